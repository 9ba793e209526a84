"""How well one-shot accuracies rank cells."""

import math
from statistics import NormalDist

import pandas as pd

from harness.statistics.rank_correlation import BEST_CELLS, BEST_SHARE

STATISTICS = {
    "kendall": "Kendall's tau",
    "spearman": "Spearman's rho",
    "kendall_best_fifth": "tau, best fifth",
    "precision_at_10": f"precision at {BEST_CELLS}",
}
"""Column of the rank correlations and how it is called."""


def over_epochs(correlations: pd.DataFrame) -> pd.DataFrame:
    """Return a row a variant, measured epoch and truth column: seeds, cells, and `<statistic>`, `_low`, `_high`.

    The statistic is the median over the seeds, low and high the smallest and the largest; NaN where none is defined.
    """
    return _summary(correlations, ["variant", "epoch", "column"])


TAUS = ("kendall", "kendall_best_fifth")
"""The statistics that are drawn over the epochs."""


def taus(courses: pd.DataFrame) -> pd.DataFrame:
    """Return `TAUS` of `over_epochs`, a row each: variant, epoch, seeds, statistic, low, median, high."""
    frames = []
    for name in TAUS:
        own = courses[["variant", "epoch", "seeds", f"{name}_low", name, f"{name}_high"]]
        frames.append(
            own.set_axis(["variant", "epoch", "seeds", "low", "median", "high"], axis=1).assign(statistic=name)
        )
    return pd.concat(frames, ignore_index=True)


def at_the_end(correlations: pd.DataFrame) -> pd.DataFrame:
    """Return the same of each run's last measurement: a row a variant and truth column, `epoch` is the median.

    chance_best_fifth: what tau within the best fifth exceeds in one of 20 rankings that have nothing to do with truth.
    """
    last = _last(correlations)
    table = _summary(last, ["variant", "column"])
    table["epoch"] = last.groupby(["variant", "column"], sort=False)["epoch"].median().to_numpy()
    return table.assign(chance_best_fifth=[chance_tau(math.ceil(BEST_SHARE * cells)) for cells in table["cells"]])


def chance_tau(cells: int) -> float:
    """Return the 95 % point of Kendall's tau of two unrelated rankings, by its normal approximation; NaN for one cell.

    Its variance without ties is 2 (2n + 5) / (9n (n - 1)). Kendall, A New Measure of Rank Correlation, 1938.
    """
    if cells < 2:
        return math.nan
    return NormalDist().inv_cdf(0.95) * math.sqrt(2 * (2 * cells + 5) / (9 * cells * (cells - 1)))


def _last(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["epoch"] == table.groupby(["variant", "seed"])["epoch"].transform("max")]


def _summary(correlations: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    grouped = correlations.groupby(keys, sort=False)
    table = pd.DataFrame({"seeds": grouped["seed"].nunique(), "cells": grouped["cells"].median()})
    for name in STATISTICS:
        table[name] = grouped[name].median()
        table[f"{name}_low"], table[f"{name}_high"] = grouped[name].min(), grouped[name].max()
    return table.reset_index()


def last_accuracies(one_shot: pd.DataFrame, truth: str) -> pd.DataFrame:
    """Return a row a variant and cell: accuracy, truth, seeds, best_fifth (whether it is of the 20 % of best truth).

    The accuracy, percent, is the median over the seeds' last measurements.
    """
    grouped = _last(one_shot).groupby(["variant", "cell_index"], sort=False)
    table = grouped.agg(accuracy=("accuracy", "median"), truth=(truth, "first"), seeds=("seed", "nunique"))
    table = table.reset_index().dropna(subset=["accuracy", "truth"])
    places = table.groupby("variant")["truth"].rank(ascending=False, method="min")
    return table.assign(best_fifth=places <= (BEST_SHARE * table.groupby("variant")["truth"].transform("size")))
