"""Normalised scores over all data sets together: interquartile mean, optimality gap, performance profiles."""

import numpy as np
import pandas as pd

from harness.results.folder import Results, TruthColumn
from harness.statistics.estimates import (
    FloatArray,
    bootstrap_interval,
    interquartile_mean,
    normalised_score,
    optimality_gap,
    performance_profile,
    pooled,
)

BAND_RESAMPLES = 2_000
"""Enough for a band that is looked at."""

LOWEST_SCORE = -1.0
"""Where the axis of the profiles begins at the lowest: as far below the average cell as the best is above it."""


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


def profiles(scored: dict[str, FloatArray]) -> dict[str, pd.DataFrame]:
    """Return the performance profile of each variant from the lowest score shown up to 1, see `performance_profile`."""
    lowest = min(float(own.min()) for own in scored.values())
    thresholds = np.linspace(max(LOWEST_SCORE, min(lowest, 0.9)) - 0.02, 1, 83)
    return {
        variant: performance_profile([own], thresholds, resamples=BAND_RESAMPLES) for variant, own in scored.items()
    }
