"""How many runs of each variant collapse, by which criterion, and when."""

from typing import Any, NamedTuple

import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from harness.space.cell import POOL, SKIP
from harness.space.collapse import TRUTH
from harness.space.drawing import OPERATION_COLOURS
from reports.drawing import style

ROW = 0.27
"""Height of a row, inches."""

LANE = 0.11
"""Height of one criterion within the row of a variant, inches."""


class Look(NamedTuple):
    """How a criterion is drawn."""

    colour: str
    marker: str


LOOKS = {
    "skip": Look(OPERATION_COLOURS[SKIP], "o"),
    "pool": Look(OPERATION_COLOURS[POOL], "s"),
    "none": Look("#777777", "^"),
    "truth": Look(style.INK, "D"),
}


def rates_figure(found: pd.DataFrame) -> Figure:
    """Return a panel per criterion: P(collapse) of each variant with its interval."""
    shown = list(dict.fromkeys(found["criterion"]))
    variants = list(dict.fromkeys(found["variant"]))
    height = ROW * len(variants) + 0.85
    figure = Figure(figsize=(style.WIDTH, height))
    left, gap = 2.05, 0.62
    width = (style.WIDTH - left - gap * len(shown)) / len(shown)
    for place, criterion in enumerate(shown):
        box = ((left + place * (width + gap)) / style.WIDTH, 0.48 / height, width / style.WIDTH, 1 - 0.78 / height)
        panel = figure.add_axes(box)
        own = found[found["criterion"] == criterion].set_index("variant").reindex(variants)
        _draw_rates(panel, own, LOOKS[criterion])
        if place == 0:
            name_rows(panel, variants)
        panel.set_title(
            f"to {criterion}" if criterion != "truth" else f"truth below {TRUTH:g} %", loc="left", fontweight="bold"
        )
    figure.text(
        0.5,
        0.05 / height,
        "share of the finished runs that collapse, with its 95 % Wilson interval",
        ha="center",
    )
    return figure


def _draw_rates(panel: Axes, own: pd.DataFrame, look: Look) -> None:
    rows = range(len(own))
    panel.set(xlim=(-0.04, 1.04), ylim=(len(own) - 0.4, -0.6), xticks=[0, 0.5, 1], yticks=[])
    panel.grid(True, axis="x")
    panel.spines["left"].set_visible(False)
    panel.hlines(rows, own["low"], own["high"], color=look.colour, lw=1.6, alpha=0.65)
    panel.plot(own["share"], rows, ls="", marker=look.marker, ms=5, mec="white", mew=0.5, color=look.colour)
    for row, (collapsed, runs) in enumerate(zip(own["collapsed"], own["runs"], strict=True)):
        colour = style.INK if collapsed else style.FAINT
        panel.annotate(
            f"{collapsed:.0f} of {runs:.0f}", (1, row), (6, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", va="center", color=colour, fontsize=7.5,
        )  # fmt: skip


def name_rows(panel: Axes, variants: list[str]) -> None:
    """Write the variants left of a panel, a row each."""
    panel.set_yticks(range(len(variants)), [style.shorten(variant, 30) for variant in variants])
    panel.tick_params(axis="y", length=0)


def times_figure(collapse: pd.DataFrame, order: list[str]) -> Figure:
    """Return when the runs of each variant collapse: a row per variant that has one, a lane per criterion.

    `collapse`: a row per run and criterion.
    """
    hit = collapse[collapse["collapsed"].astype(bool)]
    shown = [criterion for criterion in LOOKS if criterion in set(hit["criterion"])]
    variants = [variant for variant in order if variant in set(hit["variant"])]
    row = max(ROW, LANE * len(shown) + 0.1)
    figure, axes = style.sheet(row * len(variants) + 0.85, left=2.05, right=0.3, top=0.35, bottom=0.48)
    lengths = collapse.groupby("variant")["epochs"].max().reindex(variants)
    axes.barh(range(len(variants)), lengths, height=0.9, color=style.SHADE, zorder=0)
    lanes: dict[str, Any] = {
        "data": hit, "x": "epoch", "y": "variant", "order": variants, "hue": "criterion", "hue_order": shown,
        "palette": {name: look.colour for name, look in LOOKS.items()}, "legend": False, "ax": axes,
    }  # fmt: skip
    seaborn.stripplot(**lanes, dodge=True, jitter=False, size=3)
    # From the first to the last, with the median: of the epochs themselves, nothing is estimated.
    seaborn.pointplot(
        **lanes, dodge=0.8 * (1 - 1 / len(shown)), estimator="median", errorbar=("pi", 100), linestyle="none",
        markers=[LOOKS[name].marker for name in shown], markersize=5, markerfacecolor="white", markeredgewidth=1.2,
        err_kws={"linewidth": 1},
    )  # fmt: skip
    axes.set(xlim=(0, 1.01 * lengths.max() + 0.5), ylim=(len(variants) - 0.4, -0.6))
    axes.grid(True, axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.spines["left"].set_visible(False)
    name_rows(axes, variants)
    axes.set(ylabel="")
    axes.set_xlabel("epoch from which on the run stays collapsed (grey: length of the longest run)")
    handles = [
        Line2D([], [], ls="", marker=LOOKS[name].marker, mfc="white", mec=LOOKS[name].colour, ms=5, mew=1.2,
               label=f"{name}, median (n = {(hit['criterion'] == name).sum()})")
        for name in shown
    ]  # fmt: skip
    handles.append(Line2D([], [], ls="", marker="o", ms=3, color=style.FAINT, label="one run"))
    figure.legend(handles=handles, loc="upper center", ncols=len(handles), bbox_to_anchor=(0.5, 1.0), borderaxespad=0.3)
    return figure
