"""A variant beside the reference."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reports.drawing import style
from reports.drawing.bands import draw_bands

VARIANT, REFERENCE = "variant", "reference"
"""Whose line it is."""

COLOURS = {REFERENCE: "#6b7280", VARIANT: style.SEARCH}


def beside_reference(bands: pd.DataFrame, names: dict[str, str], titles: dict[str, str], x_label: str) -> Figure:
    """Return truth and diagnostics over the epochs, a panel each, of a variant and faintly of the reference.

    Args:
        bands: `trajectories.measures` of both, with the column `of`: a key of `names`.
        names: what the legend says of `variant` and, where it is shown, of `reference`.
        titles: those of the panels, by measure.
        x_label: what the epochs are.
    """
    figure, axes = style.panels(len(titles), 3, 1.9, gap=0.62, share_y=False)
    for panel, (name, title) in zip(axes, titles.items(), strict=True):
        shown = bands[bands["measure"] == name]
        # Few points are seen as points: some measures are taken every so many epochs only.
        marker = "o" if shown["epoch"].nunique() < 12 else ""
        draw_bands(panel, shown, "of", COLOURS, alpha=0.18, lw=1.7, marker=marker, ms=3, mew=0)
        panel.set_title(title, loc="left", pad=4)
        panel.yaxis.set_major_locator(MaxNLocator(4))
    axes[0].xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes[0].set_xlim(*_epoch_limits(bands.loc[bands["of"] == VARIANT, "epoch"]))
    style.label_panels(figure, x_label, "")
    handles = [Line2D([], [], color=COLOURS[of], lw=2, label=name) for of, name in names.items()]
    figure.legend(handles=handles, loc="upper left", ncols=2, borderaxespad=0.2)
    return figure


def _epoch_limits(epochs: pd.Series) -> tuple[float, float]:
    last = float(epochs.max())
    return (0.5, 1.5) if last <= 1 else (1 - 0.02 * last, 1.02 * last)
