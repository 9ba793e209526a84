"""Every method on every truth column, and against what it has to beat."""

import math
from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.board.compare import LEVEL, paired_training_noise, told_apart
from harness.results.folder import Results, TruthColumn
from harness.statistics.estimates import (
    DECIMALS,
    bootstrap_interval,
    interquartile_mean,
    normalised_score,
    pooled,
    proportion_interval,
)
from harness.statistics.few_seeds import FEWEST_SEEDS, few_seeds
from harness.statistics.significance import compare_with, fewest_pairs
from harness.statistics.step_down import step_down_sign_flips
from reports.analysis import summary

HIGHER, LOWER, UNDECIDED = "higher", "lower", "not told apart"

INSIDE, TOO_FEW, EQUAL, NO_PAIR = "within the noise floor", "too few pairs", "equal", "no pair"
TRAINING = "within training noise"
"""The verdicts of `versus`."""


def column_statistics(results: Results, column: TruthColumn, order: list[str]) -> pd.DataFrame:
    """Return the statistics of each method on one truth column, index variant in the order given.

    Columns: kind, runs, n, mean, sd (ddof 1), median, min, percentile, iqm, iqm_low, iqm_high, distinct_cells,
    same_cell (runs that found the cell found most, by canonical form), same_cell_low, same_cell_high (Wilson, shares),
    score, regret (of the mean), above (runs above the median of all cells), above_low, above_high (Wilson, shares).
    Without a result all but the first three are NaN.
    """
    known = results.finished.dropna(subset=[column.key])
    groups = dict(iter(known.groupby("variant", sort=False)))
    rows = {}
    for variant, runs in results.runs.groupby("variant", sort=False):
        own = groups.get(variant)
        row = {"kind": runs["kind"].iloc[0], "runs": len(runs), "n": 0 if own is None else len(own)}
        rows[variant] = row | ({} if own is None else _statistics(own, column))
    return pd.DataFrame.from_dict(rows, orient="index").reindex(order).rename_axis("variant")


def _statistics(own: pd.DataFrame, column: TruthColumn) -> dict[str, float]:
    values = own[column.key]
    iqm = bootstrap_interval([values], pooled(interquartile_mean))
    most = int(own["canonical"].value_counts().max())
    same = proportion_interval(most, len(own))
    above = proportion_interval(int((values > column.median).sum()), len(own))
    scored = column.best > column.mean
    return {
        "mean": values.mean(), "sd": values.std(), "median": values.median(), "min": values.min(),
        "percentile": own[column.percentile_key].median(),
        "iqm": iqm.estimate, "iqm_low": iqm.low, "iqm_high": iqm.high,
        "distinct_cells": own["canonical"].nunique(),
        "same_cell": most, "same_cell_low": same.low, "same_cell_high": same.high,
        "score": float(normalised_score(values.mean(), column.mean, column.best)) if scored else math.nan,
        "regret": column.best - values.mean(),
        "above": (values > column.median).sum(), "above_low": above.low, "above_high": above.high,
    }  # fmt: skip


def best_baseline(results: Results) -> str | None:
    """Return the multi-trial baseline with the highest mean in the main column; None where none has a result."""
    table = summary.comparison(results)
    means = table.loc[table["kind"] == "baseline", f"{results.main.key}/mean"].dropna()
    return None if means.empty else str(means.idxmax())


def baselines_with_result(results: Results) -> list[str]:
    """Return the multi-trial baselines among which `best_baseline` chooses."""
    table = summary.comparison(results)
    known = table[f"{results.main.key}/mean"].notna()
    return list(table.index[known & (table["kind"] == "baseline")])


def versus(
    results: Results, column: TruthColumn, reference: str, order: list[str], candidates: Iterable[str] = ()
) -> pd.DataFrame | None:
    """Return `compare_with` of all other methods, with two more columns; None where the reference has no result.

    They are training_noise, the difference that the training of the paired runs' cells allows (points, NaN where that
    is not known), and verdict.
    """
    known = results.finished.dropna(subset=[column.key])
    if reference not in set(known["variant"]):
        return None
    present = [name for name in candidates if name in set(known["variant"])]
    data = compare_with(known, column.key, reference, candidates=present)
    data = data.reindex([variant for variant in order if variant in data.index])
    noise = [paired_training_noise(known, str(variant), reference, column.key) for variant in data.index]
    data["training_noise"] = noise
    return data.assign(verdict=[verdict(row, column.noise) for _, row in data.iterrows()])


def verdict(row: pd.Series, noise: float | None) -> str:
    """Return what a row of `compare_with` says of the difference, one of `VERDICTS`; noise: floor in points."""
    difference = row["mean_difference"]
    if row["pairs"] == 0:
        return NO_PAIR
    if row["ties"] == row["pairs"]:
        return EQUAL
    if abs(difference) < (noise or 0.0):
        return INSIDE
    if abs(difference) < row["training_noise"]:
        return TRAINING
    if row["pairs"] < fewest_pairs(LEVEL):
        return TOO_FEW
    if told_apart(difference, row["p_adjusted"], noise):
        return HIGHER if difference > 0 else LOWER
    return UNDECIDED


VERDICTS = (HIGHER, LOWER, UNDECIDED, INSIDE, TRAINING, TOO_FEW, EQUAL, NO_PAIR)


def complete(results: Results) -> pd.DataFrame:
    """Return the main true accuracy of the searches that have one for every seed, [methods, seeds].

    Of the baselines where the board has no search.
    """
    finished = results.finished
    kind = "search" if (results.runs["kind"] == "search").any() else "baseline"
    own = finished[finished["kind"] == kind]
    table = own.pivot(index="variant", columns="seed", values=results.main.key)
    return table.reindex(columns=sorted(results.runs["seed"].unique())).dropna()


def pairs_apart(values: pd.DataFrame, noise: float | None) -> NDArray[np.bool_]:
    """Return which methods all seeds tell apart, [methods, methods]; p-values are adjusted for all pairs of methods."""
    accuracies = values.to_numpy(dtype=np.float64)
    pairs = list(combinations(range(len(accuracies)), 2))
    differences = np.round(np.array([accuracies[one] - accuracies[other] for one, other in pairs]), DECIMALS)
    p_values = step_down_sign_flips(differences.T)
    apart = np.zeros((len(accuracies), len(accuracies)), dtype=np.bool_)
    for (one, other), mean, p_value in zip(pairs, differences.mean(axis=1), p_values, strict=True):
        apart[one, other] = apart[other, one] = told_apart(float(mean), float(p_value), noise)
    return apart


def by_few_seeds(results: Results) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return the accuracies that take part, and `few_seeds` of them; None where there are too few of either."""
    values = complete(results)
    if len(values) < 2 or values.shape[1] < FEWEST_SEEDS:
        return None
    apart = pairs_apart(values, results.main.noise)
    table = few_seeds(values.to_numpy(dtype=np.float64), apart)
    return values, table.assign(pairs_apart=int(apart.sum()) // 2)
