"""Figures with a row per variant: the truth of every run, and what the runs cost."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from reports.figures import style
from reports.figures.accuracy import stretch_axis
from reports.figures.bands import PERCENTILES, draw_boxes
from reports.results import FINISHED, TruthColumn

ROW = 0.27
"""Height of a row, inches."""
GROUP_GAP = 1.0
"""Rows taken by a group's heading."""
GROUPS = {"search": "Searches", "baseline": "Baselines"}
COLOURS = {"search": style.SEARCH, "baseline": style.BASELINE}
SPREAD = 0.44
"""Height over which the seeds of a variant are spread, rows."""
NAME_LENGTH = 30
TALL = 25
"""Rows from which on the accuracies stand above the plot too."""


@dataclass(frozen=True)
class _Layout:
    """Where the rows stand, counted downward from 0 at the top."""

    variants: dict[str, float]
    headings: dict[str, float]
    end: float


def _layout(table: pd.DataFrame) -> _Layout:
    variants: dict[str, float] = {}
    headings: dict[str, float] = {}
    row = 0.0
    for kind, heading in GROUPS.items():
        members = table.index[table["kind"] == kind]
        if len(members):
            headings[heading] = row
            row += GROUP_GAP
            for variant in members:
                variants[str(variant)] = row
                row += 1
            row += 0.25
    return _Layout(variants, headings, row)


def truth_strip(
    runs: pd.DataFrame, table: pd.DataFrame, marks: pd.DataFrame, column: TruthColumn, cell_count: int
) -> Figure:
    """Return the strip plot of one truth column: every run a point, beside landmarks and all cells.

    Args:
        runs: all runs of the board.
        table: `summary.comparison`.
        marks: `summary.landmarks` of the column.
        column: the column to show.
        cell_count: how many cells the space has.
    """
    layout = _layout(table)
    marks_row = layout.end
    end = marks_row + GROUP_GAP + len(marks) + (1 if column.quantiles else 0)
    top = 0.45 if end > TALL else 0.32
    figure, axes = style.sheet(end * ROW + top + 0.45, left=2.05, right=2.1, top=top, bottom=0.45)
    axes.set_ylim(end - 0.3, -0.6)
    shown = [*runs[column.key].dropna(), *marks[column.key].dropna()]
    stretch_axis(axes.xaxis, column.best, shown)
    axes.tick_params(axis="x", labeltop=end > TALL)
    _references(axes, table, column)
    _name_rows(axes, {**layout.headings, "No search": marks_row}, layout.variants)
    _draw_runs(axes, _points(runs, layout).assign(x=runs[column.key]))
    rows, means = table.index.map(layout.variants).to_numpy(), table[f"{column.key}/mean"]
    axes.vlines(means, rows - 0.36, rows + 0.36, color=style.INK, lw=1.4, zorder=1.9)
    for name, numbers in table.iterrows():
        _write_summary(axes, numbers, column, layout.variants[str(name)])
    _draw_landmarks(axes, marks, column, marks_row + GROUP_GAP)
    if column.quantiles:
        _draw_all_cells(axes, column, cell_count, end - 1)
    trained = f"cells trained {column.epochs} epochs" if column.epochs else "training length not stated by the source"
    axes.set_xlabel(f"{column.label} accuracy of the found cell, trained alone (%; {trained}; axis stretched upward)")
    _legend(figure, runs, column)
    return figure


def _references(axes: Axes, table: pd.DataFrame, column: TruthColumn) -> None:
    axes.grid(True, axis="x")
    if column.quantiles:
        axes.axvspan(column.quantiles[25], column.quantiles[75], color=style.SHADE, zorder=0)
    leader = table.loc[table["kind"] == "search", f"{column.key}/mean"].max()
    if column.noise is not None and pd.notna(leader):
        axes.axvspan(leader - column.noise, leader + column.noise, color=style.BAND, zorder=0.5)
    axes.axvline(column.median, color=style.FAINT, lw=0.9, ls=(0, (1, 2)), zorder=0.8)
    axes.axvline(column.best, color=style.INK, lw=0.9, ls=(0, (4, 2)), zorder=0.8)


def _name_rows(axes: Axes, headings: dict[str, float], names: dict[str, float]) -> None:
    axes.set_yticks(list(names.values()), [style.shorten(name, NAME_LENGTH) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    for heading, row in headings.items():
        axes.annotate(
            heading, (0, row), (-2.0 * 72, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
            va="center", ha="left", color=style.FAINT, fontweight="bold",
        )  # fmt: skip


def _points(runs: pd.DataFrame, layout: _Layout) -> pd.DataFrame:
    """Return the runs with their heights, y. A seed stands at the same height in every row."""
    place = runs.groupby("variant")["seed"].rank(method="first") - 1
    count = runs.groupby("variant")["seed"].transform("size")
    spread = SPREAD * (place / (count - 1).clip(lower=1) - 0.5).where(count > 1, 0.0)
    return runs.assign(y=runs["variant"].map(layout.variants) + spread)


def _draw_runs(axes: Axes, points: pd.DataFrame, **look: Any) -> None:
    """Draw a point per run, a cross where it has no result; `points`: kind, status, x and y."""
    finished = points["status"].isin(FINISHED)
    common: dict[str, Any] = {"x": "x", "y": "y", "legend": False, "zorder": 2, "ax": axes, **look}
    if finished.any():
        seaborn.scatterplot(points[finished], hue="kind", palette=COLOURS, s=23, ec="white", lw=0.5, **common)
    if not finished.all():
        seaborn.scatterplot(points[~finished], color=style.LOST, marker="x", s=25, lw=1.3, **common)
    axes.set(xlabel="", ylabel="")


def _write_summary(axes: Axes, row: pd.Series, column: TruthColumn, y: float) -> None:
    mean, sd, n = (row[f"{column.key}/{name}"] for name in ("mean", "sd", "n"))
    text = "no result" if n == 0 else f"{mean:.2f}" + ("" if pd.isna(sd) else f" ± {sd:.2f}")
    _beside(axes, y, text, 0.12, style.INK)
    _beside(axes, y, f"n = {n}", 1.12, style.FAINT)
    if n < row["runs"]:
        _beside(axes, y, f"{row['runs'] - n} lost", 1.62, style.LOST)


def _beside(axes: Axes, y: float, text: str, inches: float, colour: str) -> None:
    axes.annotate(
        text, (1, y), (inches * 72, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
        va="center", ha="left", color=colour, annotation_clip=False,
    )  # fmt: skip


def _draw_landmarks(axes: Axes, marks: pd.DataFrame, column: TruthColumn, first: float) -> None:
    for row, (name, accuracy) in enumerate(zip(marks["name"], marks[column.key], strict=True), start=0):
        y = first + row
        _name(axes, style.shorten(name, NAME_LENGTH), y)
        if pd.notna(accuracy):
            axes.plot(accuracy, y, "D", color=style.LANDMARK, ms=4, mec="white", mew=0.5)
        _beside(axes, y, f"{accuracy:.2f}" if pd.notna(accuracy) else "–", 0.12, style.INK)


def _name(axes: Axes, text: str, y: float) -> None:
    axes.annotate(
        text, (0, y), (-5, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
        va="center", ha="right", fontsize=8,
    )  # fmt: skip


def _draw_all_cells(axes: Axes, column: TruthColumn, cell_count: int, y: float) -> None:
    percentiles = pd.DataFrame({name: [column.quantiles[int(name[1:])]] for name in PERCENTILES})
    _name(axes, f"all {cell_count:,} cells", y)
    draw_boxes(axes, percentiles, [y], style.LANDMARK, 0.52, "horizontal")
    _beside(axes, y, f"{column.mean:.2f} ± {column.sd:.2f}", 0.12, style.INK)


def _legend(figure: Figure, runs: pd.DataFrame, column: TruthColumn) -> None:
    kinds = set(runs["kind"])
    handles: list[Line2D | Patch] = [
        Line2D([], [], ls="", marker="o", ms=4.6, color=COLOURS[kind], label=f"{kind} run")
        for kind in GROUPS
        if kind in kinds
    ]
    handles.append(Line2D([], [], ls="", marker="|", ms=9, mew=1.4, color=style.INK, label="mean"))
    if runs.loc[~runs["status"].isin(FINISHED), column.key].notna().any():
        handles.append(Line2D([], [], ls="", marker="x", ms=5, color=style.LOST, label="diverged, not in the mean"))
    if column.noise is not None and "search" in kinds:
        handles.append(Patch(color=style.BAND, label="highest mean ± noise floor"))
    if column.quantiles:
        handles.append(Patch(color=style.SHADE, label="middle half of all cells"))
    handles.append(Line2D([], [], color=style.FAINT, lw=0.9, ls=(0, (1, 2)), label="median cell"))
    handles.append(Line2D([], [], color=style.INK, lw=0.9, ls=(0, (4, 2)), label="best cell"))
    figure.legend(
        handles=handles, loc="upper center", ncols=len(handles), columnspacing=1.2, handletextpad=0.5,
        handlelength=1.4, bbox_to_anchor=(0.5, 1.0), borderaxespad=0.3,
    )  # fmt: skip


COSTS = {
    "seconds": ("wall time of the search (s)", 1.0),
    "forward_backward_passes": ("passes through the supernet", 1.0),
    "peak_memory_bytes": ("peak memory (MiB)", 2.0**20),
}
"""Column of the runs to axis label and divisor."""


def cost_strip(finished: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Return what every finished run cost: time, passes through the supernet and memory, a panel each.

    Args:
        finished: the runs with a result.
        table: `summary.comparison`.
    """
    layout = _layout(table)
    points = _points(finished, layout)
    figure = Figure(figsize=(style.WIDTH, layout.end * ROW + 0.75))
    height = figure.get_figheight()
    width, left, gap = 2.42, 2.05, 0.25
    for number, (name, (label, divisor)) in enumerate(COSTS.items()):
        box = ((left + number * (width + gap)) / style.WIDTH, 0.5 / height)
        axes = figure.add_axes((*box, width / style.WIDTH, 1 - 0.6 / height))
        axes.set_ylim(layout.end - 0.3, -0.6)
        axes.grid(True, axis="x")
        if number == 0:
            _name_rows(axes, layout.headings, layout.variants)
        else:
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
        axes.set_xlim(0, 1.06 * float((finished[name] / divisor).max()) or 1.0)
        _draw_runs(axes, points.assign(x=points[name] / divisor), clip_on=False)
        axes.ticklabel_format(axis="x", style="plain", useOffset=False)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlabel(label)
    return figure
