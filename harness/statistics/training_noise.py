"""What the training of a cell adds to its accuracy: pure functions on arrays, all accuracies in any one unit.

A benchmark trains a cell once to three times and tells the mean. Searches that end in the same cell share that mean
with its error, however many they are, so no number of seeds makes it smaller.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.statistics.estimates import FloatArray, check_share

LIKE = 200
"""Cells of about the same accuracy that stand in for one that was trained once: a hundred below it and above."""


WITHIN, BEYOND, UNKNOWN = "within training noise", "beyond training noise", "not known"
"""What `called` says of a difference."""


class Errors(NamedTuple):
    """How certain the means over trainings are, each [cells]; NaN where nothing is known."""

    error: FloatArray
    """Standard error of the mean, in the unit of the accuracies."""
    freedom: FloatArray
    """Degrees of freedom of that error."""


def errors_of_means(means: FloatArray, sds: FloatArray, trainings: FloatArray) -> Errors:
    """Return the standard errors of the mean accuracies of cells, all [cells].

    A cell that was trained more than once has its own spread; one that was trained once has that of the `LIKE` others
    of nearest accuracy, pooled. `sds`: over the trainings, ddof 1, NaN for fewer than two; `trainings`: their number,
    NaN where only a mean is known.
    """
    sds = np.where(trainings > 1, sds, np.nan)
    freedom = np.where(trainings > 1, trainings - 1, np.nan)
    once = trainings == 1
    if once.any() and (trainings > 1).any():
        sds[once], freedom[once] = _of_cells_like(means[once], means, sds, freedom)
    return Errors(sds / np.sqrt(trainings), freedom)


def pooled_sd(sds: FloatArray, trainings: FloatArray) -> float:
    """Return the pooled standard deviation over trainings of the cells that were trained more than once, [cells].

    NaN where there is none.
    """
    several = trainings > 1
    freedom = trainings[several] - 1
    return float(np.sqrt((freedom @ sds[several] ** 2) / freedom.sum())) if several.any() else float("nan")


def _of_cells_like(
    values: FloatArray, means: FloatArray, sds: FloatArray, freedom: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the pooled sd, and its degrees of freedom, of the cells with a spread that are nearest to each value."""
    several = np.flatnonzero(~np.isnan(sds))
    order = several[np.argsort(means[several], kind="stable")]
    squares = np.concatenate([[0.0], np.cumsum(freedom[order] * sds[order] ** 2)])
    counts = np.concatenate([[0.0], np.cumsum(freedom[order])])
    place = np.searchsorted(means[order], values)
    low, high = _window(place, len(order))
    pooled = counts[high] - counts[low]
    return np.sqrt(np.maximum(squares[high] - squares[low], 0.0) / pooled), pooled


def _window(place: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    low = np.clip(place - LIKE // 2, 0, max(0, count - LIKE))
    return low, np.minimum(low + LIKE, count)


def allowed_difference(first: pd.DataFrame, second: pd.DataFrame, *, level: float = 0.05) -> float:
    """Return how far two means over runs may lie apart by the training of their cells alone, NaN if that is not known.

    A run is a row with the columns cell, error and freedom, see `errors_of_means`; with one run on each side it is a
    comparison of two cells. A cell that both sides found as often cancels. It is the difference that chance exceeds in
    the share `level` of all cases, on either side: the t quantile times the standard error, with the degrees of
    freedom of Welch (1947) and Satterthwaite (1946).

    Raises:
        ValueError: a side has no run, or the level is no share.
    """
    check_share(level, "the level")
    if first.empty or second.empty:
        raise ValueError("a side of the difference has no run")
    if first["cell"].isna().any() or second["cell"].isna().any():
        return float("nan")
    shares = [runs["cell"].value_counts(normalize=True) for runs in (first, second)]
    weights = shares[0].sub(shares[1], fill_value=0.0)
    weights = weights[weights.abs() > 1e-12]
    known = pd.concat([first, second]).drop_duplicates("cell").set_index("cell").loc[weights.index]
    variances = (weights * known["error"]).to_numpy() ** 2
    if np.isnan(variances).any():
        return float("nan")
    variance = variances.sum()
    if variance == 0:
        return 0.0
    import scipy  # searches reach this module, and do without

    freedom = variance**2 / (variances**2 / known["freedom"].to_numpy()).sum()
    return float(scipy.stats.t.ppf(1 - level / 2, freedom) * np.sqrt(variance))


def called(difference: float, allowed: float) -> str:
    """Return what a difference is called beside the `allowed_difference`, NaN where that is not known."""
    if np.isnan(allowed):
        return UNKNOWN
    return WITHIN if abs(difference) <= allowed else BEYOND


def error_of_mean(runs: pd.DataFrame) -> float:
    """Return the standard error that training leaves in the mean over runs, columns as of `allowed_difference`."""
    shares = runs["cell"].value_counts(normalize=True)
    errors = runs.drop_duplicates("cell").set_index("cell")["error"].loc[shares.index]
    return float(np.sqrt(((shares * errors) ** 2).sum(skipna=False)))
