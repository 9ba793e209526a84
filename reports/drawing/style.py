"""The look of every figure: colours, type, sheets and panels, legends."""

from collections.abc import Iterable

import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

SEARCH, BASELINE, LANDMARK, LOST = "#0072b2", "#e69f00", "#444444", "#d55e00"
"""Colours of the groups and of runs without a result, from the palette of Okabe and Ito."""
INK, FAINT, SHADE, GRID, BAND = "#222222", "#6b7280", "#eceff3", "#e5e7eb", "#fdecc8"

SETTINGS = {
    **seaborn.axes_style("ticks"),
    # Text of 8.5 points, ticks and legends a little smaller.
    **seaborn.plotting_context("paper", font_scale=8.5 / 9.6),
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    # A font that matplotlib brings along, so that a figure has the same bytes wherever it is drawn.
    "font.sans-serif": ["DejaVu Sans", "Arial", "sans-serif"],
    # Where titles stand is then not searched for, which would take a third of the time of drawing.
    "axes.titley": 1.0,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9ca3af",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "patch.force_edgecolor": False,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "text.color": INK,
    # A variant's name is text, whatever signs it holds.
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "dartsboard",
}
"""The theme: seaborn's for papers, with the report's colours."""

WIDTH = 10.0
"""Width of every figure in inches; the page shows it at about 1.6 times the size."""


def shorten(text: str, length: int) -> str:
    """Cut a long name at `length` characters, with an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"


def sheet(height: float, left: float, right: float, top: float, bottom: float) -> tuple[Figure, Axes]:
    """Return a figure of the standard width with one axes, margins in inches."""
    figure = Figure(figsize=(WIDTH, height))
    position = (left / WIDTH, bottom / height, 1 - (left + right) / WIDTH, 1 - (top + bottom) / height)
    return figure, figure.add_axes(position)


def panels(
    count: int,
    columns: int,
    panel_height: float,
    top: float = 0.3,
    *,
    gap: float = 0.22,
    share_x: bool = True,
    share_y: bool = True,
) -> tuple[Figure, list[Axes]]:
    """Return a figure of the standard width with a grid of `count` equal panels, which share their axes' limits.

    `panel_height` counts title and tick labels in, inches; `top` is left free above the grid, `gap` between columns.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    height = rows * panel_height + top + 0.25
    figure = Figure(figsize=(WIDTH, height))
    left, title, ticks = 0.62, 0.26, 0.22
    width = (WIDTH - left - 0.1 - gap * (columns - 1)) / columns
    axes: list[Axes] = []
    for number in range(count):
        row, column = divmod(number, columns)
        bottom = height - top - (row + 1) * panel_height + ticks
        box = ((left + column * (width + gap)) / WIDTH, bottom / height)
        size = (width / WIDTH, (panel_height - title - ticks) / height)
        first = axes[0] if axes else None
        panel = figure.add_axes((*box, *size), sharex=first if share_x else None, sharey=first if share_y else None)
        panel.grid(True)
        panel.tick_params(labelleft=column == 0 or not share_y)
        axes.append(panel)
    return figure, axes


def label_panels(figure: Figure, x_label: str, y_label: str) -> None:
    """Write one axis label each below and left of a grid of panels."""
    height = figure.get_figheight()
    figure.text(0.5, 0.05 / height, x_label, ha="center", va="bottom")
    figure.text(0.08 / WIDTH, 0.5, y_label, rotation=90, ha="left", va="center")


def panel_title(axes: Axes, name: str, note: str, length: int) -> None:
    """Write a bold name and a faint note above a panel."""
    axes.set_title(shorten(name, length), loc="left", fontweight="bold", pad=4)
    axes.set_title(note, loc="right", color=FAINT, fontsize=7.5, pad=4)


def panel_legend(figure: Figure, handles: Iterable[Line2D | Patch], right: bool = False) -> None:
    """Write a legend of one line above a grid of panels, from its left edge on or, if `right`, up to its right end."""
    handles = list(handles)
    figure.legend(
        handles=handles, loc="upper right" if right else "upper left", ncols=len(handles), columnspacing=1.3,
        handletextpad=0.5, handlelength=1.6, borderaxespad=0,
        bbox_to_anchor=(0.99 if right else 0.62 / WIDTH, 1 - 0.05 / figure.get_figheight()),
    )  # fmt: skip
