from itertools import product

import pandas as pd
import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure

from harness.results.folder import TruthColumn
from reports.analysis.frontier import STRATEGIES
from reports.drawing import style
from reports.figures.frontier import COLOURS, frontier

COLUMN = TruthColumn("truth/cifar10/test", "CIFAR-10 test", 200, 87.0, 12.0, 90.0, 94.4, "", [])


def draw(costs: list[float]) -> Figure:
    """The figure of a search and a baseline of each strategy."""
    rows = [
        {"variant": f"{strategy} {kind}", "strategy": strategy, "kind": kind, "truth": 93.0, "charged_dominated_by": ""}
        for strategy, kind in product(STRATEGIES, ("search", "baseline"))
    ]
    table = pd.DataFrame(rows).assign(charged=costs, charged_low=costs, charged_high=costs, truth_low=92, truth_high=94)
    with rc_context(style.SETTINGS):
        figure = frontier(table, "charged", COLUMN, "", 9.0)
        figure.canvas.draw()
    return figure


def test_each_strategy_has_a_colour_of_its_own() -> None:
    assert set(COLOURS) == set(STRATEGIES)
    assert len(set(COLOURS.values())) == len(STRATEGIES)


def test_the_legend_of_all_strategies_lies_on_the_sheet_and_on_nothing_else() -> None:
    figure = draw([10.0**exponent for exponent in range(12)])
    boxes = [legend.get_window_extent() for legend in figure.legends]
    upper = figure.axes[0].child_axes[0].xaxis.label.get_window_extent()
    for box in boxes:
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        assert box.y0 > upper.y1
    assert boxes[1].y1 <= boxes[0].y0 + 4


@pytest.mark.parametrize("factor", [1.02, 3.0])
def test_costs_are_plain_numbers_however_near_they_lie(factor: float) -> None:
    figure = draw([400_000 * factor**number for number in range(12)])
    for axis in (figure.axes[0].xaxis, figure.axes[0].child_axes[0].xaxis):
        labels = [label.get_text() for label in (*axis.get_ticklabels(), *axis.get_ticklabels(minor=True))]
        assert any(labels)
        assert not [label for label in labels if "$" in label]
