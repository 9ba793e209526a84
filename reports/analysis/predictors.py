"""Whether a diagnostic at the end of a search goes with the truth of its cell."""

import math

import numpy as np
import pandas as pd

from harness.results.folder import Results
from harness.statistics.clusters import clustered_spearman
from reports.analysis.end_values import DIAGNOSTICS

FEWEST_VARIANTS = 6
"""Fewer resampled variants do not tell how much their correlation varies."""

MOST_POINTS = 2_000
"""Points of a figure above which it shows the last epoch of each run only."""


def predictors(values: pd.DataFrame, truth: str) -> pd.DataFrame:
    """Return Spearman's rank correlation of each diagnostic with a truth column over the runs of `end_values`.

    Index: diagnostic. Columns: runs, variants (with both values), spearman, low, high: 95 % bootstrap interval, for
    which whole variants are drawn, because their runs resemble each other. NaN for fewer than `FEWEST_VARIANTS`, and
    where either side is constant.
    """
    rows = {}
    for name in DIAGNOSTICS:
        known = values[[name, truth]].dropna()
        variants = known.index.get_level_values("variant")
        both = known.to_numpy(dtype=float)
        interval: tuple[float, ...] = (math.nan,) * 3
        if variants.nunique() >= FEWEST_VARIANTS and (np.ptp(both, axis=0) > 0).all():
            interval = tuple(clustered_spearman(both[:, 0], both[:, 1], variants.to_numpy()))
        rows[name] = (len(both), variants.nunique(), *interval)
    columns = ["runs", "variants", "spearman", "low", "high"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.rename_axis("diagnostic")


def sentence(row: pd.Series, subject: str, label: str) -> str:
    """Say what one row of `predictors` shows."""
    if pd.isna(row["spearman"]):
        why = f"fewer than {FEWEST_VARIANTS} variants" if row["variants"] < FEWEST_VARIANTS else "no spread"
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
