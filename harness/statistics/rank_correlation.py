"""Does the accuracy with shared weights rank cells as training each alone does? (Yu et al., ICLR 2020)."""

import numpy as np
import pandas as pd

BEST_SHARE = 0.2
BEST_CELLS = 10
STATISTICS = ("cells", "kendall", "spearman", "kendall_best_fifth", "precision_at_10")


def rank_correlation_table(one_shot: pd.DataFrame, truth_columns: list[str]) -> pd.DataFrame:
    """Return the rank correlations of every list of cells: a row a variant, seed, epoch and truth column.

    Args:
        one_shot: a row a judged cell: variant, seed, epoch, accuracy (one-shot, percent) and the truth columns.
        truth_columns: which columns of `one_shot` to compare with.
    """
    keys = ["variant", "seed", "epoch"]
    rows = [
        dict(zip(keys, name, strict=True))
        | {"column": column}
        | rank_correlation(cells["accuracy"].to_numpy(float), cells[column].to_numpy(float))
        for name, cells in (one_shot.groupby(keys, sort=False) if len(one_shot) else ())
        for column in truth_columns
    ]
    return pd.DataFrame(rows, columns=[*keys, "column", *STATISTICS])


def rank_correlation(one_shot: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return how well one-shot accuracies rank a list of cells by truth; both [cells].

    cells               cells with both numbers; only those count
    kendall, spearman   Kendall's tau-b and Spearman's rho over all of them
    kendall_best_fifth  tau-b among the 20 % with the best truth, where a search must tell cells apart
    precision_at_10     share of the 10 one-shot-best that are among the 10 truth-best; of equal cells at the boundary
                        each counts with its chance of being taken
    A list that is constant on one side, and a precision of 10 cells or fewer, is NaN: it ranks nothing.
    """
    known = ~(np.isnan(one_shot) | np.isnan(truth))
    one_shot, truth = one_shot[known], truth[known]
    best = np.zeros(0, dtype=bool)
    if len(truth):
        best = truth >= np.sort(truth)[-int(np.ceil(BEST_SHARE * len(truth)))]
    return {
        "cells": len(truth),
        "kendall": _kendall(one_shot, truth),
        "spearman": _spearman(one_shot, truth),
        "kendall_best_fifth": _kendall(one_shot[best], truth[best]),
        "precision_at_10": _precision(one_shot, truth),
    }


def _ranks_nothing(one_shot: np.ndarray, truth: np.ndarray) -> bool:
    return len(truth) < 2 or bool(np.ptp(one_shot) == 0 or np.ptp(truth) == 0)


def _kendall(one_shot: np.ndarray, truth: np.ndarray) -> float:
    from scipy.stats import kendalltau

    if _ranks_nothing(one_shot, truth):
        return float("nan")
    return float(kendalltau(one_shot, truth).statistic)


def _spearman(one_shot: np.ndarray, truth: np.ndarray) -> float:
    from scipy.stats import spearmanr

    return float("nan") if _ranks_nothing(one_shot, truth) else float(spearmanr(one_shot, truth).statistic)


def _precision(one_shot: np.ndarray, truth: np.ndarray) -> float:
    if len(truth) <= BEST_CELLS or _ranks_nothing(one_shot, truth):
        return float("nan")
    return float(_chance_of_being_taken(one_shot) @ _chance_of_being_taken(truth)) / BEST_CELLS


def _chance_of_being_taken(values: np.ndarray) -> np.ndarray:
    """Return each value's chance to be among the `BEST_CELLS` largest when equal ones are drawn at random."""
    boundary = np.sort(values)[-BEST_CELLS]
    above, equal = values > boundary, values == boundary
    return above + equal * (BEST_CELLS - above.sum()) / equal.sum()
