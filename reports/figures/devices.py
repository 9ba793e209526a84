"""True accuracy against what a cell costs on a device: all cells, their Pareto front, and the derived cells."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.results.folder import CostColumn, TruthColumn
from reports.drawing import style
from reports.figures.accuracy import stretch_axis
from reports.figures.frontier import label_plainly, name_points

GREYS = LinearSegmentedColormap.from_list("cells", ["#eceff3", "#9ca3af"])
BINS = 70
LOOKS = {"search": ("o", style.SEARCH), "baseline": ("s", style.BASELINE)}


def pareto(
    space: pd.DataFrame,
    front: pd.DataFrame,
    derived: pd.DataFrame,
    named: pd.DataFrame,
    cost: CostColumn,
    column: TruthColumn,
) -> Figure:
    """Return a picture of accuracy over cost; of the front without what is worse than all derived cells.

    Args:
        space: all cells, with cost and truth.
        front: those that no other cell beats, from the cheapest.
        derived: `landscape.derived_costs`.
        named: medians that get a mark and a name: variant, cost and truth.
        cost: the column of costs.
        column: the truth column.
    """
    figure, axes = style.sheet(5.2, left=0.62, right=0.25, top=0.45, bottom=0.5)
    axes.grid(True)
    front = front[front[column.key] >= min(derived["truth"].min(), column.median)]
    _stretch_costs(axes, min(front[cost.key].min(), derived["cost"].min()), space[cost.key].max())
    stretch_axis(axes.yaxis, column.best, [*derived["truth"], column.median])
    _draw_all_cells(axes, space[cost.key].to_numpy(), space[column.key].to_numpy())
    ends = [axes.get_xlim()[1], front[column.key].max()]
    steps = [*front[[cost.key, column.key]].to_numpy().tolist(), ends]
    axes.step(*zip(*steps, strict=True), where="post", color=style.INK, lw=1.2, zorder=2)
    axes.plot(front[cost.key], front[column.key], ".", ms=4, color=style.INK, zorder=2)
    for kind, (marker, colour) in LOOKS.items():
        for own, face in ((False, "white"), (True, colour)):
            points = derived[(derived["kind"] == kind) & (derived["own"] == own)]
            axes.plot(points["cost"], points["truth"], marker, ls="", ms=5, mfc=face, mec=colour, mew=1, zorder=3 + own)
    axes.plot(named["cost"], named["truth"], "D", ls="", ms=4.5, mfc=style.INK, mec="white", mew=0.8, zorder=5)
    name_points(axes, named, "cost")
    axes.set_xlabel(f"{cost.heading}{'; logarithmic' if axes.get_xscale() == 'log' else ''}")
    axes.set_ylabel(f"{column.label} accuracy (%)")
    _legend(figure, set(derived["kind"]), not derived["own"].all())
    return figure


def _stretch_costs(axes: Axes, low: float, high: float) -> None:
    if low > 0 and high / low > 20:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.1, high * 1.1)
        label_plainly(axes.xaxis)
    else:
        room = 0.03 * (high - low) or 0.5
        axes.set_xlim(low - room, high + room)


def _draw_all_cells(axes: Axes, costs: np.ndarray, truths: np.ndarray) -> None:
    """Draw how many cells lie where, as squares of the picture: 15,625 points would make a file of megabytes."""
    known = ~(np.isnan(costs) | np.isnan(truths))
    points = axes.transData.transform(np.column_stack([costs[known], truths[known]]))
    corners = axes.transAxes.transform([(0, 0), (1, 1)])
    edges = [np.linspace(corners[0, side], corners[1, side], count + 1) for side, count in ((0, BINS), (1, BINS // 2))]
    counts, *_ = np.histogram2d(points[:, 0], points[:, 1], bins=edges)
    inverse = axes.transData.inverted()
    x = inverse.transform(np.column_stack([edges[0], np.full(BINS + 1, corners[0, 1])]))[:, 0]
    y = inverse.transform(np.column_stack([np.full(BINS // 2 + 1, corners[0, 0]), edges[1]]))[:, 1]
    drawn = np.ma.masked_equal(counts.T, 0)
    axes.pcolormesh(x, y, drawn, cmap=GREYS, norm=LogNorm(1, max(counts.max(), 2)), rasterized=True, zorder=0.5)


def _legend(figure: Figure, kinds: set[str], others: bool) -> None:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=style.INK, lw=1.2, marker=".", label="front of all cells"),
        Patch(color="#c4c9d1", label="all cells (darker: more)"),
    ]
    for kind, label in (("search", "cell of a search"), ("baseline", "cell of a baseline")):
        if kind in kinds:
            marker, colour = LOOKS[kind]
            handles.append(Line2D([], [], ls="", marker=marker, ms=5, color=colour, label=label))
    if others:
        handles.append(Line2D([], [], ls="", marker="o", ms=5, mfc="white", mec=style.SEARCH, label="by another rule"))
    handles.append(Line2D([], [], ls="", marker="D", ms=4.5, color=style.INK, label="median of a variant"))
    style.panel_legend(figure, handles)
