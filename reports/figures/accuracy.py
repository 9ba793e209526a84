"""The stretched accuracy axis."""

from collections.abc import Callable, Iterable
from typing import Any

import matplotlib
import numpy as np

STRETCH = 0.5
"""Points of regret below which the stretched axis turns linear."""


def stretch_axis(axis: Any, best: float, values: Iterable[float], spacing: float = 0.055) -> None:
    """Give an accuracy axis the scale -log(best - accuracy + STRETCH), with round ticks.

    It shows collapsed cells at 50 % and differences of a tenth of a point below the optimum in one picture.

    Args:
        axis: `axes.xaxis` or `axes.yaxis`.
        best: accuracy of the best cell, percent, which is shown too.
        values: the accuracies that it shows, percent; those that are not known do not count.
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

    low, high = _limits(values, best)
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


def _limits(values: Iterable[float], best: float) -> tuple[float, float]:
    lowest = min([*(value for value in values if np.isfinite(value)), best - 1.0])
    return lowest - 0.1 * (best - lowest) - 0.1, best + 0.12
