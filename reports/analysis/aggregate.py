"""Normalised scores over all data sets together: interquartile mean, optimality gap, performance profiles."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from harness.statistics.estimates import (
    FloatArray,
    bootstrap_interval,
    interquartile_mean,
    normalised_score,
    optimality_gap,
    performance_profile,
    pooled,
)
from reports.figures import style
from reports.results import Results, TruthColumn
from reports.tables.table import Entry, Table, interval_entry, number

BAND_RESAMPLES = 2_000
"""Enough for a band that is looked at."""

LOWEST_SCORE = -1.0
"""Where the axis of the profiles begins at the lowest: as far below the average cell as the best is above it."""

REFERENCE_LINE: dict[str, Any] = {"color": style.INK, "lw": 0.9, "ls": (0, (3, 2))}

PANELS_A_ROW, TITLE_LENGTH = 5, 17


def aggregate_columns(results: Results) -> list[TruthColumn]:
    """Return one column per data set, its test where it has one; those without a best cell above the mean are left "
    "out."""
    usable = [column for column in results.columns if column.best > column.mean]
    tests = [column for column in usable if column.key.endswith("/test")]
    return tests or usable


def scores(results: Results, order: list[str]) -> dict[str, FloatArray]:
    """Return the normalised scores of the finished runs of each variant, [runs, columns of `aggregate_columns`].

    Runs without an accuracy in one of the columns are left out, and so are variants without a run.
    """
    columns = aggregate_columns(results)
    known = results.finished.dropna(subset=[column.key for column in columns])
    found = {}
    for variant in order if columns else []:
        own = known[known["variant"] == variant]
        if len(own):
            scored = [normalised_score(own[column.key], column.mean, column.best) for column in columns]
            found[variant] = np.stack(scored, axis=1)
    return found


def aggregate_data(scored: dict[str, FloatArray]) -> pd.DataFrame:
    """Return statistics of the scores: index variant; n, mean, and iqm and optimality gap with their intervals.

    The runs of a variant searched on one data set, so they are one stratum: a run is drawn with all its columns.
    """
    rows = {}
    for variant, own in scored.items():
        iqm = bootstrap_interval([own], pooled(interquartile_mean))
        gap = bootstrap_interval([own], pooled(optimality_gap))
        rows[variant] = {
            "n": len(own), "iqm": iqm.estimate, "iqm_low": iqm.low, "iqm_high": iqm.high, "mean": float(own.mean()),
            "optimality_gap": gap.estimate, "optimality_gap_low": gap.low, "optimality_gap_high": gap.high,
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")


def aggregate_table(results: Results, scored: dict[str, FloatArray]) -> Table:
    """Return the table of `aggregate_data`."""
    data = aggregate_data(scored)
    rows = [
        [
            Entry(str(variant)),
            Entry(f"{row['n']:.0f}"),
            interval_entry(row, "iqm", 3),
            Entry(number(row["mean"], 3)),
            interval_entry(row, "optimality_gap", 3),
        ]
        for variant, row in data.iterrows()
    ]
    columns = aggregate_columns(results)
    over = ", ".join(column.label for column in columns)
    alone = " There is only one, so this aggregates nothing." if len(columns) == 1 else ""
    caption = (
        f"Normalised score over {over}: 0 is the mean of all cells, 1 the best cell.{alone} IQM: mean without the "
        "lowest and highest quarter, over all runs and data sets together. Optimality gap: mean shortfall from 1. "
        "Brackets: 95 % bootstrap interval, stratified by the data set of the search; a run is drawn with its "
        "accuracies on all data sets, because they move together."
    )
    header = ["method", "runs", "IQM of the score", "mean score", "optimality gap"]
    return Table("aggregate", caption, header, [("", rows)], data.reset_index())


def profiles(scored: dict[str, FloatArray]) -> dict[str, pd.DataFrame]:
    """Return the performance profile of each variant from the lowest score shown up to 1, see `performance_profile`."""
    lowest = min(float(own.min()) for own in scored.values())
    thresholds = np.linspace(max(LOWEST_SCORE, min(lowest, 0.9)) - 0.02, 1, 83)
    return {
        variant: performance_profile([own], thresholds, resamples=BAND_RESAMPLES) for variant, own in scored.items()
    }


def draw_profiles(scored: dict[str, FloatArray], baselines: set[str], reference: str) -> Figure:
    """Return a panel per variant: the share of runs above each score, with its band, beside the reference."""
    drawn = profiles(scored)
    figure, axes = style.panels(len(drawn), PANELS_A_ROW, panel_height=1.45)
    for panel, (variant, profile) in zip(axes, drawn.items(), strict=True):
        colour = style.BASELINE if variant in baselines else style.SEARCH
        panel.fill_between(profile["threshold"], profile["low"], profile["high"], color=colour, alpha=0.2, lw=0)
        if reference in drawn:
            panel.plot(drawn[reference]["threshold"], drawn[reference]["share"], **REFERENCE_LINE)
        panel.plot(profile["threshold"], profile["share"], color=colour, lw=1.6)
        panel.axvline(0, color=style.FAINT, lw=0.9, ls=(0, (1, 2)))
        style.panel_title(panel, variant, f"n = {len(scored[variant])}", TITLE_LENGTH)
    first = next(iter(drawn.values()))["threshold"]
    axes[0].set(ylim=(-0.03, 1.03), yticks=[0, 0.5, 1], xlim=(first.min(), 1.02))
    axes[0].xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    style.label_panels(figure, "normalised score: 0 is the mean of all cells, 1 the best", "share of runs above")
    handles = [
        Line2D([], [], color=style.SEARCH, lw=1.8, label="search"),
        Line2D([], [], color=style.BASELINE, lw=1.8, label="multi-trial"),
        Line2D([], [], color=style.FAINT, lw=0.9, ls=(0, (1, 2)), label="mean of all cells"),
    ]
    if reference in drawn:
        handles.insert(2, Line2D([], [], **REFERENCE_LINE, label=style.shorten(reference, 30)))
    left = (0.62 / style.WIDTH, 1 - 0.05 / figure.get_figheight())
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=left, ncols=len(handles), borderaxespad=0)
    return figure
