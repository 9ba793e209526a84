"""The figure of the derivation study."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reports.figures import style
from reports.tables.table import DASH


def heat_map(variants: pd.DataFrame, order: list[str], labels: dict[str, str]) -> Figure:
    """Return variants by rule: the mean truth as text, the difference from the own rule as colour.

    Args:
        variants: `derivation.by_variant`.
        order: the variants from top to bottom.
        labels: the rules from left to right, and what they are called.
    """
    rows = [variant for variant in order if variant in set(variants["variant"])]
    by_cell = variants.set_index(["variant", "rule"])
    grid = pd.MultiIndex.from_product([rows, labels])
    means, differences = (
        by_cell[name].reindex(grid).to_numpy().reshape(len(rows), len(labels)) for name in ("mean", "difference")
    )
    figure, axes = style.sheet(0.26 * len(rows) + 1.25, left=2.05, right=1.3, top=0.6, bottom=0.6)
    scale = _scale(differences)
    _squares(axes, means, differences, scale)
    axes.set_xticks(range(len(labels)), [label.replace("-", "-\n", 1) for label in labels.values()])
    axes.set_yticks(range(len(rows)), [style.shorten(name, 30) for name in rows])
    runs = by_cell["n"].groupby("variant").max()
    for row, variant in enumerate(rows):
        axes.annotate(
            f"n = {runs[variant]}", (1, row), (6, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
            va="center", color=style.FAINT, annotation_clip=False,
        )  # fmt: skip
    _colour_bar(figure, scale)
    return figure


def _scale(differences: NDArray[np.float64]) -> ScalarMappable:
    reach = max(5.0, float(np.nanmax(np.abs(differences))))
    return ScalarMappable(SymLogNorm(linthresh=1, linscale=0.7, vmin=-reach, vmax=reach), "PuOr")


def _squares(axes: Axes, means: NDArray[np.float64], differences: NDArray[np.float64], scale: ScalarMappable) -> None:
    colours = scale.to_rgba(np.ma.masked_invalid(differences))
    colours[np.isnan(differences)] = 1
    axes.imshow(colours, aspect="auto", interpolation="nearest")
    for (row, column), mean in np.ndenumerate(means):
        text = DASH if np.isnan(mean) else f"{mean:.2f}"
        # White reads better than ink where the luminance of the square is low (Rec. 709).
        dark = np.dot(colours[row, column, :3], (0.2126, 0.7152, 0.0722)) < 0.45
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if dark else style.INK)
    axes.xaxis.tick_top()
    axes.set_xticks(np.arange(-0.5, means.shape[1]), minor=True)
    axes.set_yticks(np.arange(-0.5, means.shape[0]), minor=True)
    axes.grid(True, which="minor", color="white", lw=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


def _colour_bar(figure: Figure, scale: ScalarMappable) -> None:
    height = figure.get_figheight()
    bar = figure.add_axes((0.35, 0.36 / height, 0.4, 0.11 / height))
    reach = float(scale.get_clim()[1] or 0)
    ticks = [tick for tick in (-50, -20, -5, -1, 0, 1, 5, 20, 50) if abs(tick) <= reach]
    labels = [f"{tick:+d}" if tick else "0" for tick in ticks]
    figure.colorbar(scale, cax=bar, orientation="horizontal").set_ticks(ticks, labels=labels)
    bar.minorticks_off()
    bar.set_xlabel("mean truth minus that of the own rule (points)", labelpad=1)
