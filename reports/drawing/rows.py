"""Rows of a figure, a variant each: where they stand, their names, what stands beside them, and the runs as points."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import seaborn
from matplotlib.axes import Axes

from harness.results.folder import FINISHED
from reports.drawing import style

ROW = 0.27
"""Height of a row, inches."""
TALL = 25
"""Rows from which on the numbers of an axis stand above the plot too."""
GROUP_GAP = 1.0
"""Rows taken by a group's heading."""
GROUPS = {"search": "Searches", "baseline": "Baselines"}
COLOURS = {"search": style.SEARCH, "baseline": style.BASELINE}
SPREAD = 0.44
"""Height over which the seeds of a variant are spread, rows."""
NAME_LENGTH = 30


@dataclass(frozen=True)
class Layout:
    """Where the rows stand, counted downward from 0 at the top."""

    variants: dict[str, float]
    headings: dict[str, float]
    end: float


def lay_out(table: pd.DataFrame) -> Layout:
    """Return where each variant of `summary.comparison` stands: searches, then baselines, each under a heading."""
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
    return Layout(variants, headings, row)


def name_rows(axes: Axes, headings: dict[str, float], names: dict[str, float]) -> None:
    """Write the headings and the names of the variants left of the plot."""
    axes.set_yticks(list(names.values()), [style.shorten(name, NAME_LENGTH) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    for heading, row in headings.items():
        axes.annotate(
            heading, (0, row), (-2.0 * 72, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
            va="center", ha="left", color=style.FAINT, fontweight="bold",
        )  # fmt: skip


def run_points(runs: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """Return the runs with their heights, y. A seed stands at the same height in every row."""
    place = runs.groupby("variant")["seed"].rank(method="first") - 1
    count = runs.groupby("variant")["seed"].transform("size")
    spread = SPREAD * (place / (count - 1).clip(lower=1) - 0.5).where(count > 1, 0.0)
    return runs.assign(y=runs["variant"].map(layout.variants) + spread)


def draw_runs(axes: Axes, points: pd.DataFrame, **look: Any) -> None:
    """Draw a point per run, a cross where it has no result; `points`: kind, status, x and y."""
    finished = points["status"].isin(FINISHED)
    common: dict[str, Any] = {"x": "x", "y": "y", "legend": False, "zorder": 2, "ax": axes, **look}
    if finished.any():
        seaborn.scatterplot(points[finished], hue="kind", palette=COLOURS, s=23, ec="white", lw=0.5, **common)
    if not finished.all():
        seaborn.scatterplot(points[~finished], color=style.LOST, marker="x", s=25, lw=1.3, **common)
    axes.set(xlabel="", ylabel="")


def beside(axes: Axes, y: float, text: str, inches: float, colour: str) -> None:
    """Write a text right of the plot, so many inches from it."""
    axes.annotate(
        text, (1, y), (inches * 72, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
        va="center", ha="left", color=colour, annotation_clip=False,
    )  # fmt: skip


def name_row(axes: Axes, text: str, y: float) -> None:
    """Write the name of a row that is no variant left of the plot."""
    axes.annotate(
        text, (0, y), (-5, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
        va="center", ha="right", fontsize=8,
    )  # fmt: skip
