"""Whether a diagnostic at the end of a search goes with the truth of its cell."""

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.results.folder import Results
from harness.statistics.clusters import clustered_spearman, spearman_within
from reports.analysis.end_values import DIAGNOSTICS

FEWEST_VARIANTS = 6
"""Fewer resampled variants do not tell how much their correlation varies."""

FEWEST_RUNS = 8
"""Of a variant; with fewer, resampled runs do not tell how much their correlation varies."""

MOST_POINTS = 2_000
"""Points of a figure above which it shows the last epoch of each run only."""


def predictors(values: pd.DataFrame, truth: str) -> pd.DataFrame:
    """Return Spearman's rank correlation of each diagnostic with a truth column over the runs of `end_values`.

    Index: diagnostic. Columns:

    runs, variants       with both values
    spearman, low, high  over all runs, with the 95 % bootstrap interval for which whole variants are drawn, because
                         their runs resemble each other; NaN for fewer than `FEWEST_VARIANTS`
    within, within_low,  over the runs of each variant by itself, with the interval for which runs are drawn
    within_high          within variants; NaN where none has `FEWEST_RUNS` that differ on both sides
    within_variants      of how many variants that is

    NaN also where either side is constant.
    """
    rows = {}
    for name in DIAGNOSTICS:
        known = values[[name, truth]].dropna()
        variants = known.index.get_level_values("variant").to_numpy()
        both = known.to_numpy(dtype=float)
        interval: tuple[float, ...] = (math.nan,) * 3
        if len(set(variants)) >= FEWEST_VARIANTS and (np.ptp(both, axis=0) > 0).all():
            interval = tuple(clustered_spearman(both[:, 0], both[:, 1], variants))
        rows[name] = (len(both), len(set(variants)), *interval, *_within(both, variants))
    columns = ["runs", "variants", "spearman", "low", "high", "within", "within_low", "within_high", "within_variants"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.rename_axis("diagnostic")


def _within(both: NDArray[np.float64], variants: NDArray[Any]) -> tuple[float, ...]:
    differing = [
        name
        for name in dict.fromkeys(variants)
        if (variants == name).sum() >= FEWEST_RUNS and (np.ptp(both[variants == name], axis=0) > 0).all()
    ]
    if not differing:
        return (math.nan, math.nan, math.nan, 0)
    kept = np.isin(variants, differing)
    return (*spearman_within(both[kept, 0], both[kept, 1], variants[kept]), len(differing))


def sentence(row: pd.Series, subject: str, label: str) -> str:
    """Say what one row of `predictors` shows."""
    if pd.isna(row["spearman"]):
        why = f"fewer than {FEWEST_VARIANTS} variants" if row["variants"] < FEWEST_VARIANTS else "no spread"
        n = f"n = {row['runs']:.0f}"
        return f"Whether the {subject} predicts the {label} accuracy across variants cannot be said: {why} ({n})."
    numbers = (
        f"Spearman {row['spearman']:+.2f}, 95 % interval {row['low']:+.2f} to {row['high']:+.2f}, n = {row['runs']:.0f}"
    )
    over = "Over the finished searches"
    if row["low"] <= 0 <= row["high"]:
        return f"{over} the {subject} shows no clear correlation with the {label} accuracy ({numbers})."
    direction = "lower" if row["spearman"] < 0 else "higher"
    return f"{over} a higher {subject} goes with a {direction} {label} accuracy ({numbers})."


def sentence_within(row: pd.Series, subject: str, label: str) -> str:
    """Say what one row of `predictors` shows of runs of the same variant."""
    if pd.isna(row["within"]):
        return f"No variant has {FEWEST_RUNS} runs or more that are not all alike in {subject} or in {label} accuracy."
    numbers = f"Spearman {row['within']:+.2f}, 95 % interval {row['within_low']:+.2f} to {row['within_high']:+.2f}"
    count = f"{row['within_variants']:.0f} variant{'' if row['within_variants'] == 1 else 's'}"
    if row["within_low"] <= 0 <= row["within_high"]:
        return (
            f"Among runs of the same variant the {subject} shows no clear correlation with the {label} accuracy "
            f"({numbers}, {count})."
        )
    direction = "lower" if row["within"] < 0 else "higher"
    return (
        f"Among runs of the same variant a higher {subject} goes with a {direction} {label} accuracy "
        f"({numbers}, {count})."
    )


def known_diagnostics(values: pd.DataFrame, truth: str) -> list[str]:
    """Return the diagnostics that at least one run has beside a truth."""
    known = values[values[truth].notna()]
    return [name for name in DIAGNOSTICS if known[name].notna().any()]


def measured_eigenvalues(results: Results) -> pd.DataFrame:
    """Return the epochs of searches with an eigenvalue and a truth, and whether each is the `last` of its run.

    Only the last ones where there are more than `MOST_POINTS`.
    """
    column = results.main.key
    searches = results.epochs[results.epochs["kind"] == "search"].dropna(subset=["hessian_largest", column])
    searches = searches.sort_values("epoch", kind="stable")
    searches = searches.assign(last=~searches.duplicated(["variant", "seed"], keep="last"))
    return searches[searches["last"]].copy() if len(searches) > MOST_POINTS else searches
