"""Whether a diagnostic at the end of a search goes with the truth of its cell."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from harness.results.folder import TruthColumn
from reports.analysis.end_values import DIAGNOSTICS
from reports.analysis.predictors import known_diagnostics
from reports.drawing import style
from reports.figures.accuracy import stretch_axis

PANELS_A_ROW = 4

OTHER: dict[str, Any] = {"ls": "", "marker": "o", "ms": 3.6, "mfc": style.SEARCH, "mec": "white", "mew": 0.4}
REFERENCE: dict[str, Any] = {"ls": "", "marker": "D", "ms": 4.4, "mfc": style.LOST, "mec": "white", "mew": 0.5}
EARLIER: dict[str, Any] = {"ls": "", "marker": "o", "ms": 2.6, "mfc": "none", "mec": style.FAINT, "mew": 0.5}


def end_values_figure(values: pd.DataFrame, column: TruthColumn, reference: str) -> Figure:
    """Return a panel per diagnostic: its value at the end of each finished search against the truth of its cell.

    Args:
        values: `end_values`.
        column: the truth column.
        reference: the variant whose runs stand out.
    """
    names = known_diagnostics(values, column.key)
    own = values.index.get_level_values("variant") == reference
    figure, axes = style.panels(len(names), PANELS_A_ROW, panel_height=1.75, share_x=False)
    stretch_axis(axes[0].yaxis, column.best, values[column.key], spacing=0.11)
    for panel, name in zip(axes, names, strict=True):
        x = signed_log_axis([panel], values[name]) if name == "hessian_largest" else values[name]
        # Points that coincide are drawn once.
        points = pd.DataFrame({"x": x, "y": values[column.key], "own": own}).dropna().drop_duplicates()
        for is_own, look in ((False, OTHER), (True, REFERENCE)):
            shown = points[points["own"] == is_own]
            panel.plot(shown["x"], shown["y"], **look)
        panel.axhline(column.median, color=style.FAINT, lw=0.9, ls=(0, (1, 2)), zorder=0)
        panel.margins(x=0.07)
        if name != "hessian_largest":
            panel.xaxis.set_major_locator(MaxNLocator(4, integer=DIAGNOSTICS[name].unit == "edges"))
        runs = int(values[[name, column.key]].notna().all(axis=1).sum())
        unit = DIAGNOSTICS[name].unit
        style.panel_title(panel, DIAGNOSTICS[name].label, f"{unit}{', ' if unit else ''}n = {runs}", 28)
    style.label_panels(figure, "value at the end of the search", f"{column.label} accuracy (%)")
    handles = [Line2D([], [], **OTHER, label="one run")]
    if own.any():
        handles.append(Line2D([], [], **REFERENCE, label=f"run of {style.shorten(reference, 24)}"))
    style.panel_legend(figure, [*handles, _median_handle()])
    return figure


def eigenvalue_figure(measured: pd.DataFrame, order: list[str], column: TruthColumn) -> Figure:
    """Return a panel per variant: the largest eigenvalue of the Hessian in alpha against the truth of the argmax cell.

    Args:
        measured: `predictors.measured_eigenvalues`.
        order: the variants in the order of the panels.
        column: the truth column.
    """
    variants = [variant for variant in order if variant in set(measured["variant"])]
    figure, axes = style.panels(len(variants), PANELS_A_ROW, panel_height=1.7)
    stretch_axis(axes[0].yaxis, column.best, measured[column.key], spacing=0.11)
    measured = measured.assign(x=signed_log_axis(axes, measured["hessian_largest"]))
    for panel, variant in zip(axes, variants, strict=True):
        own = measured[measured["variant"] == variant]
        for last, look in ((False, EARLIER), (True, OTHER)):
            points = own[own["last"] == last]
            panel.plot(points["x"], points[column.key], **look)
        panel.axhline(column.median, color=style.FAINT, lw=0.9, ls=(0, (1, 2)), zorder=0)
        style.panel_title(panel, variant, f"n = {own['seed'].nunique()}", 24)
    style.label_panels(figure, "largest eigenvalue of the Hessian in alpha (nats)", f"{column.label} accuracy (%)")
    handles = [Line2D([], [], **OTHER, label="last measurement of a run")]
    if not measured["last"].all():
        handles.append(Line2D([], [], **EARLIER, label="earlier measurement"))
    style.panel_legend(figure, [*handles, _median_handle()])
    return figure


def signed_log_axis(panels: list[Axes], values: pd.Series) -> pd.Series:
    """Give x axes a logarithmic scale of the positive values and return the positions; others stand left of it.

    The positions are decimal logarithms; a value of 0 or less has none and stands in a column of its own.
    """
    logarithms = np.log10(values[values > 0])
    low, high = (math.floor(logarithms.min()), math.ceil(logarithms.max() + 1e-9)) if len(logarithms) else (-1, 0)
    places = [float(place) for place in range(low, high + 1, math.ceil((high - low) / 4))]
    labels = [f"{10.0**place:g}" for place in places]
    width = 0.16 * (high - low)
    outside = low - 2 * width
    if (values <= 0).any():
        places, labels = [outside, *places], ["≤ 0", *labels]
        for panel in panels:
            panel.axvspan(outside - width, outside + width, color=style.SHADE, zorder=0)
    for panel in panels:
        panel.set_xticks(places, labels)
    return np.log10(values.where(values > 0)).where(~(values <= 0), outside)


def _median_handle() -> Line2D:
    return Line2D([], [], color=style.FAINT, lw=0.9, ls=(0, (1, 2)), label="median of all cells")
