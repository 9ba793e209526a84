"""The look of every figure: colours, type, the stretched accuracy axis, and saving as SVG and PNG."""

import html
import io
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.base.processes import map_in_processes

SEARCH, BASELINE, LANDMARK, LOST = "#0072b2", "#e69f00", "#444444", "#d55e00"
"""Colours of the groups and of runs without a result, from the palette of Okabe and Ito."""
INK, FAINT, SHADE, GRID, BAND = "#222222", "#6b7280", "#eceff3", "#e5e7eb", "#fdecc8"

SETTINGS = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "sans-serif"],
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    # Where titles stand is then not searched for, which would take a third of the time of drawing.
    "axes.titley": 1.0,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9ca3af",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": "#6b7280",
    "ytick.color": "#6b7280",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "text.color": INK,
    # A variant's name is text, whatever signs it holds.
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "dartsboard",
}

WIDTH = 10.0
"""Width of every figure in inches; the page shows it at about 1.6 times the size."""


class Picture:
    """A figure: drawn when it is first looked at, or beside others by `draw_together`."""

    def __init__(self, name: str, title: str, plot: Callable[..., Figure], *arguments: Any):
        """Describe a figure.

        Args:
            name: its file name without ending.
            title: what it shows, in one line.
            plot: a function of a module that makes it.
            arguments: what `plot` is given.
        """
        self.name = name
        self.title = title
        self._plot = plot
        self._arguments = arguments

    @property
    def svg(self) -> str:
        """The figure as a file of its own, the same for the same data."""
        return self._forms[0]

    @property
    def png(self) -> bytes:
        """The figure in pixels, the same for the same data."""
        return self._forms[1]

    @property
    def inline(self) -> str:
        """The SVG element alone, for an HTML page."""
        return self.svg[self.svg.index("<svg") :]

    @cached_property
    def _forms(self) -> tuple[str, bytes]:
        return _drawn(self)


def draw_together(pictures: Sequence[Picture], processes: int) -> None:
    """Draw many figures at the same time in so many processes; 0: one after the other in this one.

    Raises:
        UserError: a process was killed.
    """
    for picture, forms in zip(pictures, map_in_processes(_drawn, pictures, processes), strict=True):
        picture._forms = forms


def _drawn(picture: Picture) -> tuple[str, bytes]:
    with matplotlib.rc_context(SETTINGS):
        figure = picture._plot(*picture._arguments)
        svg, png = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg")
        figure.savefig(png, format="png", dpi=160, metadata={"Software": None})
    return _tidy(svg.getvalue(), f"figure-{picture.name}", picture.title), png.getvalue()


def _tidy(svg: str, name: str, title: str) -> str:
    # All names inside begin with the figure's own, for they must be unique on a page that holds many figures.
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!DOCTYPE.*?>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\sid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    # Matplotlib's style rule would otherwise hold for the whole page.
    svg = svg.replace("*{stroke-linejoin", f"#{name} *{{stroke-linejoin", 1)
    return svg.replace("<svg ", f'<svg id="{name}" role="img" aria-label="{html.escape(title)}" ', 1)


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


STRETCH = 0.5
"""Points of regret below which the stretched axis turns linear."""


def stretch_axis(axis: Any, best: float, low: float, high: float, spacing: float = 0.055) -> None:
    """Give an accuracy axis the scale -log(best - accuracy + STRETCH), with round ticks.

    It shows collapsed cells at 50 % and differences of a tenth of a point below the optimum in one picture.

    Args:
        axis: `axes.xaxis` or `axes.yaxis`.
        best: accuracy of the best cell, percent.
        low: lower end of the axis, percent.
        high: upper end, percent.
        spacing: smallest distance of two ticks as a share of the axis.
    """

    def forward(accuracy: Any) -> Any:
        # Above the optimum the scale goes on as a straight line, for matplotlib asks beyond the limits.
        regret = best - np.asarray(accuracy, dtype=float)
        inside = -np.log(np.maximum(regret, 0) + STRETCH)
        return np.where(regret < 0, inside - regret / STRETCH, inside)

    def inverse(position: Any) -> Any:
        position = np.asarray(position, dtype=float)
        top = -np.log(STRETCH)
        return np.where(
            position > top,
            best + (position - top) * STRETCH,
            best + STRETCH - np.exp(np.minimum(-position, 700)),
        )

    setter = axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale
    setter("function", functions=(forward, inverse))
    limit = axis.axes.set_xlim if axis.axis_name == "x" else axis.axes.set_ylim
    limit(low, high)
    ticks = _round_ticks(forward, low, high, spacing)
    axis.set_major_locator(matplotlib.ticker.FixedLocator(ticks))
    axis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axis.set_minor_locator(matplotlib.ticker.NullLocator())


def _round_ticks(forward: Callable[[Any], Any], low: float, high: float, spacing: float) -> list[float]:
    start, end = float(forward(low)), float(forward(high))
    ticks: list[float] = []
    for step in (10.0, 5.0, 1.0, 0.5):
        for tick in np.arange(np.ceil(low / step) * step, high + 1e-9, step):
            distances = [abs(float(forward(tick)) - float(forward(other))) for other in ticks]
            if min(distances, default=end - start) >= spacing * (end - start):
                ticks.append(float(tick))
    return sorted(ticks)


def spread(position: int, count: int, height: float = 0.44) -> float:
    """Return the offset of the `position`th of `count` seeds in its row: the same seed stands at the same height."""
    return 0.0 if count < 2 else height * (position / (count - 1) - 0.5)


def limits(values: Sequence[float], column_best: float) -> tuple[float, float]:
    """Return the ends of an accuracy axis that shows all `values` and the best cell."""
    finite = [value for value in values if np.isfinite(value)]
    lowest = min([*finite, column_best - 1.0])
    return lowest - 0.1 * (column_best - lowest) - 0.1, column_best + 0.12
