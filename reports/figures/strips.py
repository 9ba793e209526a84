"""Figures with a row per variant: the truth of every run, and what the runs cost."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from harness.results.folder import FINISHED, TruthColumn
from reports.drawing import style
from reports.drawing.bands import PERCENTILES, draw_boxes
from reports.drawing.rows import (
    COLOURS,
    GROUP_GAP,
    GROUPS,
    NAME_LENGTH,
    ROW,
    TALL,
    beside,
    draw_runs,
    lay_out,
    name_row,
    name_rows,
    run_points,
)
from reports.figures.accuracy import stretch_axis


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
    layout = lay_out(table)
    marks_row = layout.end
    end = marks_row + GROUP_GAP + len(marks) + (1 if column.quantiles else 0)
    top = 0.45 if end > TALL else 0.32
    figure, axes = style.sheet(end * ROW + top + 0.45, left=2.05, right=2.1, top=top, bottom=0.45)
    axes.set_ylim(end - 0.3, -0.6)
    shown = [*runs[column.key].dropna(), *marks[column.key].dropna()]
    stretch_axis(axes.xaxis, column.best, shown)
    axes.tick_params(axis="x", labeltop=end > TALL)
    _references(axes, table, column)
    name_rows(axes, {**layout.headings, "No search": marks_row}, layout.variants)
    draw_runs(axes, run_points(runs, layout).assign(x=runs[column.key]))
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


def _write_summary(axes: Axes, row: pd.Series, column: TruthColumn, y: float) -> None:
    mean, sd, n = (row[f"{column.key}/{name}"] for name in ("mean", "sd", "n"))
    text = "no result" if n == 0 else f"{mean:.2f}" + ("" if pd.isna(sd) else f" ± {sd:.2f}")
    beside(axes, y, text, 0.12, style.INK)
    beside(axes, y, f"n = {n}", 1.12, style.FAINT)
    if n < row["runs"]:
        beside(axes, y, f"{row['runs'] - n} lost", 1.62, style.LOST)


def _draw_landmarks(axes: Axes, marks: pd.DataFrame, column: TruthColumn, first: float) -> None:
    for row, (name, accuracy) in enumerate(zip(marks["name"], marks[column.key], strict=True), start=0):
        y = first + row
        name_row(axes, style.shorten(name, NAME_LENGTH), y)
        if pd.notna(accuracy):
            axes.plot(accuracy, y, "D", color=style.LANDMARK, ms=4, mec="white", mew=0.5)
        beside(axes, y, f"{accuracy:.2f}" if pd.notna(accuracy) else "–", 0.12, style.INK)


def _draw_all_cells(axes: Axes, column: TruthColumn, cell_count: int, y: float) -> None:
    percentiles = pd.DataFrame({name: [column.quantiles[int(name[1:])]] for name in PERCENTILES})
    name_row(axes, f"all {cell_count:,} cells", y)
    draw_boxes(axes, percentiles, [y], style.LANDMARK, 0.52, "horizontal")
    beside(axes, y, f"{column.mean:.2f} ± {column.sd:.2f}", 0.12, style.INK)


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
    layout = lay_out(table)
    points = run_points(finished, layout)
    tall = layout.end > TALL
    top = 0.3 if tall else 0.1
    figure = Figure(figsize=(style.WIDTH, layout.end * ROW + top + 0.65))
    height = figure.get_figheight()
    width, left, gap = 2.42, 2.05, 0.25
    for number, (name, (label, divisor)) in enumerate(COSTS.items()):
        box = ((left + number * (width + gap)) / style.WIDTH, 0.5 / height)
        axes = figure.add_axes((*box, width / style.WIDTH, 1 - (top + 0.5) / height))
        axes.tick_params(axis="x", labeltop=tall)
        axes.set_ylim(layout.end - 0.3, -0.6)
        axes.grid(True, axis="x")
        if number == 0:
            name_rows(axes, layout.headings, layout.variants)
        else:
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
        axes.set_xlim(0, 1.06 * float((finished[name] / divisor).max()) or 1.0)
        draw_runs(axes, points.assign(x=points[name] / divisor), clip_on=False)
        axes.ticklabel_format(axis="x", style="plain", useOffset=False)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlabel(label)
    return figure
