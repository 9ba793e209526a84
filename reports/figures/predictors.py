"""Whether a diagnostic at the end of a search goes with the truth of its cell."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy import stats

from harness.statistics.estimates import FloatArray, bootstrap_interval
from reports.analysis.end_values import DIAGNOSTICS
from reports.analysis.summary import SIGN_TEST_SEEDS
from reports.figures import style
from reports.results import Results
from reports.tables.table import DASH, Entry, Table, number

RESAMPLES = 2_000
PANELS_A_ROW = 4
MOST_POINTS = 2_000
"""Points of a figure above which it shows the last epoch of each run only."""

OTHER: dict[str, Any] = {"ls": "", "marker": "o", "ms": 3.6, "mfc": style.SEARCH, "mec": "white", "mew": 0.4}
REFERENCE: dict[str, Any] = {"ls": "", "marker": "D", "ms": 4.4, "mfc": style.LOST, "mec": "white", "mew": 0.5}
EARLIER: dict[str, Any] = {"ls": "", "marker": "o", "ms": 2.6, "mfc": "none", "mec": style.FAINT, "mew": 0.5}


def predictors(values: pd.DataFrame, truth: str) -> pd.DataFrame:
    """Return Spearman's rank correlation of each diagnostic with a truth column over the runs of `end_values`.

    Index: diagnostic. Columns: runs (with both values), spearman, low, high: 95 % bootstrap interval over the runs. NaN
    for fewer than six runs, and where either side is constant.
    """
    rows = {}
    for name in DIAGNOSTICS:
        both = values[[name, truth]].dropna().to_numpy(dtype=float)
        interval: tuple[float, ...] = (math.nan,) * 3
        if len(both) >= SIGN_TEST_SEEDS and (np.ptp(both, axis=0) > 0).all():
            interval = tuple(bootstrap_interval([both], _spearman, resamples=RESAMPLES))
        rows[name] = (len(both), *interval)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["runs", "spearman", "low", "high"])
    return table.rename_axis("diagnostic")


def _spearman(strata: list[FloatArray]) -> FloatArray:
    """Return the rank correlation of the two columns of each resample; 0 where one side is constant."""
    ranks = stats.rankdata(strata[0], axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    product = (ranks[..., 0] * ranks[..., 1]).sum(axis=1)
    norm = np.sqrt((ranks**2).sum(axis=1).prod(axis=1))
    return np.divide(product, norm, out=np.zeros_like(product), where=norm > 0)


def sentence(row: pd.Series, subject: str, label: str) -> str:
    """Say what one row of `predictors` shows."""
    if pd.isna(row["spearman"]):
        why = f"fewer than {SIGN_TEST_SEEDS} runs" if row["runs"] < SIGN_TEST_SEEDS else "no spread"
        n = f"n = {row['runs']:.0f}"
        return f"Whether the {subject} predicts the {label} accuracy cannot be said from these runs: {why} ({n})."
    numbers = (
        f"Spearman {row['spearman']:+.2f}, 95 % interval {row['low']:+.2f} to {row['high']:+.2f}, n = {row['runs']:.0f}"
    )
    over = "Over the finished searches"
    if row["low"] <= 0 <= row["high"]:
        return f"{over} the {subject} shows no clear correlation with the {label} accuracy ({numbers})."
    direction = "lower" if row["spearman"] < 0 else "higher"
    return f"{over} a higher {subject} goes with a {direction} {label} accuracy ({numbers})."


def predictors_table(found: pd.DataFrame, label: str) -> Table:
    """Return `predictors` as a table; an interval without 0 is bold."""
    rows = []
    for name, row in found.iterrows():
        known = pd.notna(row["spearman"])
        text = f"{row['spearman']:+.2f}" if known else DASH
        interval = f"{row['low']:+.2f} to {row['high']:+.2f}" if known else DASH
        bold = bool(known and not row["low"] <= 0 <= row["high"])
        rows.append(
            [
                Entry(DIAGNOSTICS[str(name)].label),
                Entry(text, bold=bold),
                Entry(interval),
                Entry(number(row["runs"], 0)),
            ]
        )
    caption = (
        f"Spearman's rank correlation of each diagnostic at the end of a search with the {label} accuracy of its cell, "
        "over the finished searches of all variants, with its 95 % bootstrap interval over the runs (bold: it excludes "
        f"0). A dash: fewer than {SIGN_TEST_SEEDS} runs, or no spread. Runs of one variant resemble each other, so the "
        "intervals are too narrow; and a correlation is no cause."
    )
    header = ["diagnostic", "correlation", "95 % interval", "runs"]
    return Table("collapse-predictors", caption, header, [("", rows)], found.reset_index())


def known_diagnostics(values: pd.DataFrame, truth: str) -> list[str]:
    """Return the diagnostics that at least one run has beside a truth."""
    known = values[values[truth].notna()]
    return [name for name in DIAGNOSTICS if known[name].notna().any()]


def end_values_figure(results: Results, values: pd.DataFrame, reference: str) -> Figure:
    """Return a panel per diagnostic: its value at the end of each finished search against the truth of its cell."""
    column = results.main
    names = known_diagnostics(values, column.key)
    own = values.index.get_level_values("variant") == reference
    figure, axes = style.panels(len(names), PANELS_A_ROW, panel_height=1.75, share_x=False)
    style.stretch_axis(axes[0].yaxis, column.best, *style.limits(list(values[column.key]), column.best), spacing=0.11)
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
    _legend(figure, [*handles, _median_handle()])
    return figure


def eigenvalue_figure(results: Results, order: list[str]) -> Figure:
    """Return a panel per variant: the largest eigenvalue of the Hessian in alpha against the truth of the argmax cell.

    A point per measured epoch, or per run at its last one where the board is large.
    """
    column = results.main
    measured = measured_eigenvalues(results)
    variants = [variant for variant in order if variant in set(measured["variant"])]
    figure, axes = style.panels(len(variants), PANELS_A_ROW, panel_height=1.7)
    style.stretch_axis(axes[0].yaxis, column.best, *style.limits(list(measured[column.key]), column.best), spacing=0.11)
    measured["x"] = signed_log_axis(axes, measured["hessian_largest"])
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
    _legend(figure, [*handles, _median_handle()])
    return figure


def measured_eigenvalues(results: Results) -> pd.DataFrame:
    """Return the epochs of searches with an eigenvalue and a truth, and whether each is the `last` of its run.

    Only the last ones where there are more than `MOST_POINTS`.
    """
    column = results.main.key
    searches = results.epochs[results.epochs["kind"] == "search"].dropna(subset=["hessian_largest", column])
    searches = searches.sort_values("epoch", kind="stable")
    searches = searches.assign(last=~searches.duplicated(["variant", "seed"], keep="last"))
    return searches[searches["last"]].copy() if len(searches) > MOST_POINTS else searches


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


def _legend(figure: Figure, handles: list[Line2D]) -> None:
    anchor = (0.62 / style.WIDTH, 1 - 0.05 / figure.get_figheight())
    figure.legend(
        handles=handles, loc="upper left", ncols=len(handles), columnspacing=1.3, handletextpad=0.5, handlelength=1.6,
        borderaxespad=0, bbox_to_anchor=anchor,
    )  # fmt: skip
