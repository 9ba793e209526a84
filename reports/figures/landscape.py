"""The truth of all cells of the space, and where the cells of the board's searches lie in it."""

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.results.folder import TruthColumn
from harness.space.cell import EDGES, OPERATIONS
from harness.space.drawing import OPERATION_COLOURS, OPERATION_LABELS
from reports.analysis.landscape import shapes
from reports.drawing import style
from reports.drawing.bands import draw_boxes
from reports.figures.accuracy import stretch_axis

RUN: dict[str, Any] = {"ls": "", "marker": "o", "mfc": "white", "mec": style.INK, "mew": 0.8}
CURVE_POINTS = 400


def count_figure(counts: pd.DataFrame, searches: pd.DataFrame, column: TruthColumn) -> Figure:
    """Return a panel per operation: truth of all cells against the operation's edges, and the searches' cells.

    Args:
        counts: `landscape.by_operation_count`.
        searches: `landscape.found_cells`.
        column: the truth column.
    """
    figure, axes = style.panels(len(OPERATIONS), len(OPERATIONS), panel_height=2.4)
    stretch_axis(axes[0].yaxis, column.best, [*counts["p5"], *searches[column.key]], spacing=0.08)
    for panel, operation in zip(axes, OPERATIONS, strict=True):
        own, colour = counts[counts["operation"] == operation], OPERATION_COLOURS[operation]
        draw_boxes(panel, own, list(own["count"]), colour, 0.62, "vertical")
        panel.plot(own["count"], own["mean"], color=colour, lw=1.8, marker="s", ms=3.5)
        found = searches.groupby([f"count_{operation}", column.key]).size().reset_index(name="found")
        _draw_found(panel, found[f"count_{operation}"], found[column.key], found["found"])
        style.panel_title(panel, OPERATION_LABELS[operation], "", 20)
    axes[0].set(xlim=(-0.5, len(EDGES) + 0.5), xticks=range(len(EDGES) + 1))
    style.label_panels(figure, "edges of the cell with the operation", f"{column.label} accuracy (%)")
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=style.FAINT, lw=1.8, marker="s", ms=3.5, label="mean of all cells"),
        Patch(fc="none", ec=style.FAINT, lw=0.9, label="middle half, with the median"),
        Line2D([], [], color=style.FAINT, lw=0.9, label="5 to 95 %"),
        *_run_handles(len(searches)),
    ]
    style.panel_legend(figure, handles)
    return figure


def landscape_figure(space: pd.DataFrame, searches: pd.DataFrame, column: TruthColumn) -> Figure:
    """Return the sorted truth of all cells, and their depth and parameters coloured by truth; searches on both.

    Args:
        space: the cells of the space, with the truth, depth and parameters of each.
        searches: `landscape.found_cells`.
        column: the truth column.
    """
    figure, (curve, grid) = style.panels(2, 2, panel_height=3.3, gap=0.75, share_x=False, share_y=False)
    _percentile_curve(curve, space, searches, column)
    _shape_grid(grid, space, searches, column)
    curve_handle = Line2D([], [], color=style.FAINT, lw=2, label="all cells, sorted")
    handles: list[Line2D | Patch] = [curve_handle, *_run_handles(len(searches))]
    style.panel_legend(figure, handles)
    return figure


def _percentile_curve(panel: Axes, space: pd.DataFrame, searches: pd.DataFrame, column: TruthColumn) -> None:
    truth = np.sort(space[column.key].dropna().to_numpy())
    shares = np.linspace(0, 1, CURVE_POINTS)
    stretch_axis(panel.yaxis, column.best, truth[:1], spacing=0.06)
    panel.plot(100 * shares, np.quantile(truth, shares), color=style.FAINT, lw=2)
    found = searches.groupby(column.key).size().reset_index(name="found")
    percentile = pd.Series(100 * np.searchsorted(truth, found[column.key]) / len(truth))
    _draw_found(panel, percentile, found[column.key], found["found"])
    panel.set(xlim=(-2, 102), xlabel="share of all cells that are worse (%)", ylabel=f"{column.label} accuracy (%)")
    style.panel_title(panel, "Truth of all cells", f"n = {len(truth):,}", 30)


def _shape_grid(panel: Axes, space: pd.DataFrame, searches: pd.DataFrame, column: TruthColumn) -> None:
    table = shapes(space, column.key)
    bounds = np.unique(np.round(np.quantile(space[column.key].dropna(), [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1]), 1))
    bounds = bounds if len(bounds) > 2 else np.array([bounds[0] - 1, bounds[0], bounds[0] + 1])
    colours = matplotlib.colormaps["cividis"]
    drawn = panel.scatter(
        table["parameters"] / 1e6, table["depth"], 30, c=table["mean"], ec="white", lw=0.5,
        cmap=colours, norm=BoundaryNorm(bounds, colours.N, extend="neither"),
    )  # fmt: skip
    found = searches.groupby(["depth", "parameters"]).size().reset_index(name="found")
    # Below the circle of all such cells, so that neither hides the other.
    _draw_found(panel, found["parameters"] / 1e6, found["depth"] - 0.3, found["found"])
    panel.set(xlabel="parameters (M)", ylabel="depth (edges)", yticks=range(4), ylim=(-0.6, 3.5))
    panel.figure.colorbar(drawn, ax=panel, pad=0.02, aspect=30, label=f"mean {column.label} accuracy (%)")
    style.panel_title(panel, "Depth and size of all cells", "searches: below each row", 30)


def _draw_found(panel: Axes, x: pd.Series, y: pd.Series, found: pd.Series) -> None:
    """Draw a ring per cell, larger for each doubling of the runs that found it; a few sizes keep the file small."""
    doublings = np.log2(found).astype(int)
    for doubling in sorted(set(doublings)):
        of_size = doublings == doubling
        panel.plot(x[of_size], y[of_size], ms=3.6 + 1.1 * doubling, zorder=3, **RUN)


def _run_handles(runs: int) -> list[Line2D]:
    label = f"cell a search found (n = {runs}; larger: by more runs)"
    return [Line2D([], [], ms=4, label=label, **RUN)] if runs else []
