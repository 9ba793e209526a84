"""The figure of the derivation study."""

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from seaborn.utils import relative_luminance

from reports.drawing import style

DASH = "–"
"""Where a variant was not read by a rule."""

DARK = 0.25
"""Relative luminance below which white is read well on a square, and ink on it where the page is dark."""

REACH = 5.0
"""Points that the colours reach at least."""


def heat_map(variants: pd.DataFrame, order: list[str], labels: dict[str, str]) -> Figure:
    """Return variants by rule: the mean truth as text, the difference from the own rule as colour.

    Args:
        variants: `derivation.by_variant`.
        order: the variants from top to bottom.
        labels: the rules from left to right, and what they are called.
    """
    rows = [variant for variant in order if variant in set(variants["variant"])]
    means, differences = (
        variants.pivot(index="variant", columns="rule", values=name).reindex(index=rows, columns=list(labels))
        for name in ("mean", "difference")
    )
    figure, axes = style.sheet(0.26 * len(rows) + 1.25, left=2.05, right=1.3, top=0.6, bottom=0.6)
    bar = figure.add_axes((0.35, 0.36 / figure.get_figheight(), 0.4, 0.11 / figure.get_figheight()))
    reach = max(REACH, float(np.nanmax(differences.abs())))
    seaborn.heatmap(
        differences, ax=axes, cmap="PuOr", norm=SymLogNorm(linthresh=1, linscale=0.7, vmin=-reach, vmax=reach),
        annot=means, fmt=".2f", annot_kws={"fontsize": 8}, linewidths=1.5,
        cbar_ax=bar, cbar_kws={"orientation": "horizontal"},
        xticklabels=[label.replace("-", "-\n", 1) for label in labels.values()],
        yticklabels=[style.shorten(name, 30) for name in rows],
    )  # fmt: skip
    _make_legible(axes)
    axes.set(xlabel="", ylabel="")
    axes.tick_params(length=0, rotation=0, labeltop=True, labelbottom=False)
    runs, written = variants.groupby("variant")["n"].max(), means.to_numpy(dtype=float)
    for row, variant in enumerate(rows):
        # A square without a difference has no colour, and so no number from seaborn.
        for column in np.flatnonzero(differences.loc[variant].isna()):
            mean = written[row, column]
            text = DASH if np.isnan(mean) else f"{mean:.2f}"
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8)
        axes.annotate(
            f"n = {runs[variant]}", (1, row + 0.5), (6, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", va="center", color=style.FAINT, annotation_clip=False,
        )  # fmt: skip
    _label_bar(bar, reach)
    return figure


def _make_legible(axes: Axes) -> None:
    """Write white on dark squares only: seaborn does so on squares of middle colours too."""
    squares = axes.collections[0].get_facecolor()
    numbers = {text.get_position(): text for text in axes.texts}
    columns = round(axes.get_xlim()[1])
    for place, colour in enumerate(squares):
        row, column = divmod(place, columns)
        if text := numbers.get((column + 0.5, row + 0.5)):
            text.set_color("white" if relative_luminance(colour) < DARK else style.INK)


def _label_bar(bar: Axes, reach: float) -> None:
    ticks = [tick for tick in (-50, -20, -5, -1, 0, 1, 5, 20, 50) if abs(tick) <= reach]
    bar.set_xticks(ticks, [f"{tick:+d}" if tick else "0" for tick in ticks])
    bar.minorticks_off()
    bar.set_xlabel("mean truth minus that of the own rule (points)", labelpad=1)
