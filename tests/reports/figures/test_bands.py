import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from reports.drawing.bands import draw_bands

COLOURS = {"a": "#0072b2", "b": "#d55e00"}


def bands(epochs: list[int]) -> pd.DataFrame:
    rows = [
        (name, epoch, start + epoch - 1.0, start + epoch, start + epoch + 3.0)
        for name, start in (("b", 10.0), ("a", 0.0))
        for epoch in epochs
    ]
    return pd.DataFrame(rows, columns=["measure", "epoch", "low", "median", "high"])


def test_lines_and_bands_are_the_computed_ones():
    panel = Figure().add_subplot()
    draw_bands(panel, bands([3, 1, 2]), "measure", COLOURS)
    assert [to_hex(line.get_color()) for line in panel.lines] == list(COLOURS.values())
    assert [line.get_xydata().tolist() for line in panel.lines] == [
        [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]],
        [[1.0, 11.0], [2.0, 12.0], [3.0, 13.0]],
    ]
    (drawn,) = panel.collections
    limits = [(path.vertices[:, 1].min(), path.vertices[:, 1].max()) for path in drawn.get_paths()]
    assert limits == [(0.0, 6.0), (10.0, 16.0)]
    assert [to_hex(colour) for colour in drawn.get_facecolor()] == list(COLOURS.values())


def test_a_single_point_is_seen():
    panel = Figure().add_subplot()
    draw_bands(panel, bands([1]), "measure", COLOURS, marker="")
    assert [line.get_marker() for line in panel.lines] == ["o", "o"]


def test_a_value_without_rows_is_left_out():
    panel = Figure().add_subplot()
    draw_bands(panel, bands([1, 2]), "measure", COLOURS | {"absent": "#000000"})
    assert len(panel.lines) == len(panel.collections[0].get_paths()) == 2


def test_no_random_number_is_drawn():
    np.random.seed(0)
    draw_bands(Figure().add_subplot(), bands([1, 2]), "measure", COLOURS)
    assert np.random.random() == np.random.RandomState(0).random_sample()
