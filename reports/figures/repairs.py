"""The matrix of variants and diagnostics."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.results.folder import TruthColumn
from reports.analysis.repairs import with_truth
from reports.analysis.summary import SIGN_TEST_SEEDS
from reports.drawing import style

HIGHER, LOWER = "#0072b2", "#d55e00"


def repairs_figure(found: pd.DataFrame, names: list[str], column: TruthColumn) -> Figure:
    """Return the matrix of variants and diagnostics: a triangle where a difference shows.

    The size is the mean difference as a share of the largest of its column, so that columns of any unit compare.
    """
    described = with_truth(column)
    variants = list(dict.fromkeys(found["variant"]))
    drawn, axes = style.sheet(0.27 * len(variants) + 1.35, left=2.05, right=0.75, top=1.25, bottom=0.1)
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(variants) - 0.4, -0.6))
    axes.set_yticks(range(len(variants)), [style.shorten(variant, 30) for variant in variants])
    axes.set_xticks(range(len(names)), [described[name].label for name in names], rotation=35, ha="left")
    axes.tick_params(length=0, labelbottom=False, labeltop=True)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.hlines(range(len(variants)), -0.5, len(names) - 0.5, color=style.GRID, lw=0.6, zorder=0)
    table = found.assign(
        x=found["diagnostic"].map({name: place for place, name in enumerate(names)}),
        y=found["variant"].map({variant: place for place, variant in enumerate(variants)}),
        size=found["mean_difference"].abs() / found.groupby("diagnostic")["mean_difference"].transform(_largest),
    ).dropna(subset=["x"])
    for change, marker, colour in (("higher", "^", HIGHER), ("lower", "v", LOWER)):
        of_change = table[table["change"] == change]
        face = [colour if pairs >= SIGN_TEST_SEEDS else "white" for pairs in of_change["pairs"]]
        axes.scatter(
            of_change["x"], of_change["y"], 18 + 62 * of_change["size"], marker=marker, c=face, ec=colour, lw=1.1
        )
    plain = table[(table["change"] == "") & (table["pairs"] > 1)]
    axes.plot(plain["x"], plain["y"], ls="", marker="o", ms=2, color="#9ca3af")
    unknown = table[table["pairs"] <= 1]
    axes.plot(unknown["x"], unknown["y"], ls="", marker="x", ms=3.5, color="#c8ccd2")
    _legend(drawn, table)
    return drawn


def _largest(values: pd.Series) -> float:
    return float(values.abs().max()) or 1.0


def _legend(drawn: Figure, table: pd.DataFrame) -> None:
    look: dict[str, Any] = {"ls": "", "ms": 7, "mew": 1.1}
    handles = [
        Line2D([], [], marker="^", color=HIGHER, label="higher than the reference", **look),
        Line2D([], [], marker="v", color=LOWER, label="lower", **look),
        Line2D([], [], ls="", marker="o", ms=2, color="#9ca3af", label="no difference that shows"),
    ]
    marked = table[table["change"] != ""]
    if (marked["pairs"] < SIGN_TEST_SEEDS).any():
        label = f"open: fewer than {SIGN_TEST_SEEDS} seeds, an observation"
        handles.insert(2, Line2D([], [], marker="^", mfc="white", mec=style.INK, label=label, **look))
    if (table["pairs"] <= 1).any():
        handles.append(Line2D([], [], ls="", marker="x", ms=3.5, color="#c8ccd2", label="fewer than 2 seeds"))
    drawn.legend(
        handles=handles, loc="upper left", ncols=len(handles), columnspacing=1.3, handletextpad=0.3, borderaxespad=0.3,
        bbox_to_anchor=(0.0, 1.0),
    )  # fmt: skip
