"""The figures of the one-shot ranking."""

import numpy as np
import pandas as pd
import seaborn
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from harness.results.folder import TruthColumn
from reports.drawing import style
from reports.drawing.bands import draw_bands
from reports.figures.accuracy import stretch_axis

PANELS_A_ROW = 5
TITLE_LENGTH = 16
ALL, BEST = "#0072b2", "#d55e00"
TAUS = {"kendall": ("all cells of the list", ALL), "kendall_best_fifth": ("the fifth with the best truth", BEST)}


def over_epochs(courses: pd.DataFrame, order: list[str], label: str) -> Figure:
    """Return, a panel a variant, tau over all cells and within the best fifth over the epochs.

    Args:
        courses: `ranking.taus` of one truth column.
        order: the variants in the order of the panels.
        label: name of the truth column.
    """
    variants = [variant for variant in order if variant in set(courses["variant"])]
    colours = {name: colour for name, (_, colour) in TAUS.items()}
    figure, axes = style.panels(len(variants), PANELS_A_ROW, panel_height=1.45)
    for panel, variant in zip(axes, variants, strict=True):
        own = courses[courses["variant"] == variant]
        panel.axhline(0, color=style.FAINT, lw=0.9, ls=(0, (1, 2)))
        draw_bands(panel, own, "statistic", colours, lw=1.6, marker="o", ms=3.2, mew=0)
        style.panel_title(panel, variant, f"n = {own['seeds'].max()}", TITLE_LENGTH)
    last = float(courses["epoch"].max())
    lowest = courses["low"].min()
    axes[0].set(xlim=(0, 1.06 * last), ylim=(float(np.fmin(-0.3, lowest)) - 0.05, 1.04), yticks=[-0.5, 0, 0.5, 1])
    axes[0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
    style.label_panels(figure, "epoch of the search", f"Kendall's tau, {label}")
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colour, lw=1.6, marker="o", ms=3.2, label=text) for text, colour in TAUS.values()
    ]
    handles.append(Patch(color="#c8ccd2", label="smallest to largest over the seeds"))
    handles.append(Line2D([], [], color=style.FAINT, lw=0.9, ls=(0, (1, 2)), label="no correlation"))
    style.panel_legend(figure, handles)
    return figure


def scatter(cells: pd.DataFrame, order: list[str], column: TruthColumn) -> Figure:
    """Return, a panel a variant, one-shot accuracy against truth.

    Args:
        cells: `ranking.last_accuracies`.
        order: the variants in the order of the panels.
        column: the truth column.
    """
    variants = [variant for variant in order if variant in set(cells["variant"])]
    figure, axes = style.panels(len(variants), PANELS_A_ROW, panel_height=1.75)
    # Sharp enough for the points, which the SVG holds as one image a panel.
    figure.set_dpi(200)
    stretch_axis(axes[0].xaxis, column.best, cells["truth"], spacing=0.22)
    for panel, variant in zip(axes, variants, strict=True):
        own = cells[cells["variant"] == variant]
        # With labels seaborn looks for no others, for which it would make all ticks.
        panel.set(xlabel=" ", ylabel=" ")
        seaborn.scatterplot(
            own.sort_values("best_fifth"), x="truth", y="accuracy", hue="best_fifth",
            palette={False: ALL, True: BEST}, s=7, alpha=0.6, lw=0, legend=False, rasterized=True, ax=panel,
        )  # fmt: skip
        panel.set(xlabel="", ylabel="")
        style.panel_title(panel, variant, f"n = {own['seeds'].max()}", TITLE_LENGTH)
    low, high = cells["accuracy"].min(), cells["accuracy"].max()
    room = 0.05 * (high - low) or 1.0
    axes[0].set_ylim(low - room, high + room)
    style.label_panels(figure, f"{column.label} accuracy of the cell trained alone (%)", "one-shot accuracy (%)")
    style.panel_legend(
        figure,
        [
            Line2D([], [], ls="", marker="o", ms=4, color=BEST, alpha=0.8, label="cells of the best fifth by truth"),
            Line2D([], [], ls="", marker="o", ms=4, color=ALL, alpha=0.8, label="the other cells"),
        ],
    )
    return figure
