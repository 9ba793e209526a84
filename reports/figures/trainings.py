"""The figure of both spreads: each run of a variant, and below it each training of the cells that these runs found."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.results.folder import TruthColumn
from reports.drawing import style
from reports.drawing.rows import (
    COLOURS,
    GROUP_GAP,
    GROUPS,
    NAME_LENGTH,
    TALL,
    beside,
    draw_runs,
    lay_out,
    name_row,
    name_rows,
)
from reports.figures.accuracy import stretch_axis

ROW = 0.38
"""Height of a row, inches: runs above, trainings below."""
HALF = 0.19
"""From the middle of a row to its runs or trainings, rows."""
TRAINING = "#7a3e9d"
SEARCHES, TRAININGS = 0.12, 1.12
"""Where the numbers stand, inches right of the plot."""


def both_spreads(
    runs: pd.DataFrame, table: pd.DataFrame, marks: pd.DataFrame, trainings: pd.DataFrame, column: TruthColumn
) -> Figure:
    """Return the figure of one truth column.

    Args:
        runs: the finished runs with a truth in the column.
        table: `trainings.spreads`.
        marks: `summary.landmarks` of the column.
        trainings: the rows of `Results.trainings` of the column.
        column: the column to show.
    """
    layout = lay_out(table)
    first = layout.end + GROUP_GAP
    end = first + len(marks) + (column.noise is not None)
    figure, axes = style.sheet(end * ROW + 0.95, left=2.05, right=2.1, top=0.5, bottom=0.45)
    axes.set_ylim(end - 0.3, -0.6)
    shown = [*runs[column.key], *trainings["accuracy"], *marks[column.key].dropna()]
    stretch_axis(axes.xaxis, max(column.best, *shown), shown)
    axes.grid(True, axis="x")
    axes.tick_params(axis="x", labeltop=end > TALL)
    name_rows(axes, {**layout.headings, "No search": layout.end}, layout.variants)
    draw_runs(axes, runs.assign(x=runs[column.key], y=runs["variant"].map(layout.variants) - HALF))
    for variant, row in table.iterrows():
        y = layout.variants[str(variant)]
        _draw_trainings(axes, trainings, runs.loc[runs["variant"] == variant, "cell_index"], y + HALF)
        count = "" if pd.isna(row["trainings"]) else f"of {row['trainings']:.0f}"
        _write(axes, y, row["search_sd"], f"n = {row['n']:.0f}", row["training_sd"], count)
    _draw_landmarks(axes, marks, trainings, column, first)
    if column.noise is not None:
        name_row(axes, "cells of the same function", end - 1)
        beside(axes, end - 1, f"± {column.noise:.2f} (noise floor)", SEARCHES, style.INK)
    axes.set_xlabel(f"{column.label} accuracy (%; axis stretched upward)")
    _headings(figure, axes, set(runs["kind"]))
    return figure


def _draw_trainings(axes: Axes, trainings: pd.DataFrame, cells: pd.Series, y: float) -> None:
    """Draw each training of some cells as a ring, those of a cell joined by a line."""
    own = trainings[trainings["cell_index"].isin(cells)]
    for _, values in own.groupby("cell_index")["accuracy"]:
        axes.plot([values.min(), values.max()], [y, y], color=TRAINING, lw=0.9, alpha=0.45, zorder=1.5)
    axes.plot(own["accuracy"], [y] * len(own), **_RING)


_RING: dict[str, Any] = {"ls": "", "marker": "o", "ms": 4.2, "mfc": "none", "mec": TRAINING, "mew": 0.9, "zorder": 2}


def _draw_landmarks(
    axes: Axes, marks: pd.DataFrame, trainings: pd.DataFrame, column: TruthColumn, first: float
) -> None:
    for row, (_, mark) in enumerate(marks.iterrows()):
        y = first + row
        name_row(axes, style.shorten(mark["name"], NAME_LENGTH), y)
        axes.plot(mark[column.key], y - HALF, "D", color=style.LANDMARK, ms=4, mec="white", mew=0.5)
        own = trainings[trainings["cell_index"] == mark["cell_index"]]
        _draw_trainings(axes, trainings, own["cell_index"], y + HALF)
        _write(axes, y, float("nan"), "", own["accuracy"].std(), f"of {len(own)}")


def _write(axes: Axes, y: float, searches: float, runs: str, trainings: float, count: str) -> None:
    """Write both spreads beside a row; where one is not known, a dash."""
    for value, note, inches, colour in (
        (searches, runs, SEARCHES, style.INK),
        (trainings, count, TRAININGS, TRAINING),
    ):
        beside(axes, y, "–" if pd.isna(value) else f"± {value:.2f}", inches, colour)
        beside(axes, y, note, inches + 0.55, style.FAINT)


def _headings(figure: Figure, axes: Axes, kinds: set[str]) -> None:
    """Write what stands right of the plot, and the legend."""
    for text, inches, colour in (("searches", SEARCHES, style.INK), ("trainings", TRAININGS, TRAINING)):
        beside(axes, -0.35, text, inches, colour)
    handles = [
        Line2D([], [], ls="", marker="o", ms=4.6, color=COLOURS[kind], label=f"{kind} run: mean of its cell")
        for kind in GROUPS
        if kind in kinds
    ]
    handles.append(Line2D([], [], label="single training of a found cell", **_RING))
    handles.append(Line2D([], [], ls="", marker="D", ms=4, color=style.LANDMARK, label="mean of a cell without search"))
    figure.legend(
        handles=handles, loc="upper center", ncols=len(handles), columnspacing=1.4, handletextpad=0.4,
        bbox_to_anchor=(0.5, 1.0), borderaxespad=0.3,
    )  # fmt: skip
