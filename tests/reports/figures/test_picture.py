import pytest
from matplotlib.figure import Figure

from reports.drawing import style
from reports.drawing.picture import Picture, draw_together
from tests.conftest import ROOT


def dot(height: float) -> Figure:
    figure = Figure(figsize=(1, 1))
    figure.add_subplot().plot([0, 1], [0, height], "o")
    return figure


@pytest.mark.slow
def test_figures_drawn_at_the_same_time_are_the_same():
    alone, together = ([Picture(f"dot-{n}", f"Dot {n}", dot, n / 3) for n in range(3)] for _ in range(2))
    draw_together(together, processes=2)
    assert [picture.svg for picture in together] == [picture.svg for picture in alone]
    assert [picture.png for picture in together] == [picture.png for picture in alone]
    assert len({picture.png for picture in together}) == 3
    assert 'aria-label="Dot 2"' in together[2].inline


def test_drawings_turn_dark_with_the_page():
    sheet = (ROOT / "reports" / "templates" / "style.css").read_text()
    dark = sheet.partition("prefers-color-scheme: dark")[2].partition("@page")[0]
    assert "invert(" in dark
    # The rule counts on drawings that are made on white.
    assert style.SETTINGS["figure.facecolor"] == style.SETTINGS["axes.facecolor"] == "white"
