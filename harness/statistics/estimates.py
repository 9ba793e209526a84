"""Estimates and their intervals: pure functions on arrays, no units of their own.

One rule holds everywhere: a value that is not finite is a `ValueError`. A run without a result has no accuracy, and
how many there are is a result itself, so the caller drops and counts them.

The accuracies of a search are few, discrete and often bimodal (collapsed or not), so no interval here assumes a normal
distribution. Tests of differences are in `harness.statistics.significance`.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from harness.base.streams import stream

FloatArray = NDArray[np.float64]

DECIMALS = 9
"""Accuracies carry fewer; differences that agree this far are ties, not results of rounding."""

Strata = Sequence[ArrayLike]
"""Groups of runs that are resampled separately: each [runs] or [runs, columns].

Accuracies of the same runs on several data sets are the columns of one stratum, because they move together. Runs that
searched on different data sets are strata of their own.
"""

Statistic = Callable[[list[FloatArray]], FloatArray]
"""Takes the strata, each [resamples, runs, columns], and returns [resamples]."""

RESAMPLES = 10_000


class Interval(NamedTuple):
    """An estimate with the ends of its interval, in the unit of the values."""

    estimate: float
    low: float
    high: float

    @property
    def degenerate(self) -> bool:
        """Whether the interval has no width: the runs show no spread, which does not prove that there is none."""
        return self.low == self.high


def finite(values: ArrayLike, name: str = "the sample") -> FloatArray:
    """Return the values as float64.

    Raises:
        ValueError: there is no value, or one that is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise ValueError(f"{name} is empty")
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise ValueError(f"{name} has {bad} of {array.size} values that are not finite: drop these runs and count them")
    return array


def check_share(share: float, name: str) -> None:
    """Raise ValueError unless the share lies strictly between 0 and 1."""
    if not 0 < share < 1:
        raise ValueError(f"{name} is {share}, expected a number between 0 and 1")


# Estimates


def interquartile_mean(values: ArrayLike, axis: int | None = None) -> FloatArray:
    """Return the mean without the lowest and the highest floor(n / 4) values, over all values or along an axis.

    Fewer than four values are averaged as they are. Agarwal et al., Deep Reinforcement Learning at the Edge of the
    Statistical Precipice, NeurIPS 2021, section 4.3.

    Raises:
        ValueError: see `finite`.
    """
    import scipy  # searches reach this module, and do without

    return np.asarray(scipy.stats.trim_mean(finite(values), 0.25, axis=axis), dtype=np.float64)


def normalised_score(accuracy: ArrayLike, mean: float, best: float) -> FloatArray:
    """Return (accuracy - mean) / (best - mean): 0 is the mean of all cells, 1 the best cell; it may be negative.

    All three in the same unit; `mean` and `best` are those of the truth column.

    Raises:
        ValueError: see `finite`; or the best is not above the mean.
    """
    if not best > mean:
        raise ValueError(f"the best accuracy {best} is not above the mean {mean}")
    return (finite(accuracy) - mean) / (best - mean)


def regret(accuracy: ArrayLike, best: float) -> FloatArray:
    """Return best - accuracy, in the unit of the accuracies.

    Raises:
        ValueError: see `finite`.
    """
    return float(finite(best, "the best accuracy")) - finite(accuracy)


def relative_improvement(accuracy: ArrayLike, random_accuracy: float) -> FloatArray:
    """Return 100 (accuracy - random) / random, in percent of the accuracy of the average random cell.

    Yang, Esperança and Carlucci, NAS Evaluation is Frustratingly Hard, ICLR 2020, section 4.

    Raises:
        ValueError: see `finite`; or the random accuracy is not positive.
    """
    if not random_accuracy > 0:
        raise ValueError(f"the accuracy of the random cell is {random_accuracy}, expected a positive number")
    return 100 * (finite(accuracy) - random_accuracy) / random_accuracy


def optimality_gap(scores: ArrayLike, target: float = 1.0, axis: int | None = None) -> FloatArray:
    """Return the mean shortfall from the target, max(target - score, 0), over all values or along an axis.

    Meant for normalised scores, where the target 1 is the best cell. Agarwal et al. 2021, section 4.3.

    Raises:
        ValueError: see `finite`.
    """
    return np.asarray(np.maximum(target - finite(scores), 0).mean(axis=axis), dtype=np.float64)


def probability_of_improvement(first: ArrayLike, second: ArrayLike) -> float:
    """Return P(X > Y) + P(X = Y) / 2 over all pairs of a run of the first and a run of the second, [runs] each.

    It is the Mann-Whitney statistic divided by the number of pairs, and the effect size A of Vargha and Delaney (2000).

    Raises:
        ValueError: see `finite`; or a sample has more than one axis.
    """
    samples = finite(first, "the first sample"), finite(second, "the second sample")
    if any(sample.ndim != 1 for sample in samples):
        raise ValueError("the samples need one axis each; several columns go to probability_of_improvement_interval")
    return float(_wins(*samples).mean())


def cliffs_delta(first: ArrayLike, second: ArrayLike) -> float:
    """Return P(X > Y) - P(X < Y), the effect size from -1 to 1; 0 is no difference. Cliff 1993.

    Raises:
        ValueError: see `probability_of_improvement`.
    """
    return 2 * probability_of_improvement(first, second) - 1


def _wins(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return [runs of first, runs of second, ...]: 1 where the first is higher, 1/2 for a tie, 0 where it is lower."""
    return (np.sign(first[:, None] - second[None, :]) + 1) / 2


# Intervals


def proportion_interval(
    successes: int,
    runs: int,
    *,
    level: float = 0.95,
    method: Literal["wilson", "clopper-pearson"] = "wilson",
) -> Interval:
    """Return the share of successes with its interval.

    `wilson` covers the level on average (Wilson 1927); `clopper-pearson` covers at least the level, whatever the true
    share (Clopper and Pearson 1934). Neither is degenerate, even where all runs agree.

    Raises:
        ValueError: there is no run, the successes are not within 0 and runs, or the level is not within 0 and 1.
    """
    check_share(level, "the level")
    if runs < 1 or not 0 <= successes <= runs:
        raise ValueError(
            f"{successes} successes in {runs} runs: expected at least one run and 0 to that many successes"
        )
    methods = {"wilson": "wilson", "clopper-pearson": "exact"}
    if method not in methods:
        raise ValueError(f"{method!r} is no interval of a proportion, expected one of: {', '.join(methods)}")
    import scipy  # searches reach this module, and do without

    interval = scipy.stats.binomtest(int(successes), int(runs)).proportion_ci(level, methods[method])
    estimate = successes / runs
    # Rounding must not push an end past the estimate: both are 0 without, and 1 with nothing but, successes.
    return Interval(estimate, min(float(interval.low), estimate), max(float(interval.high), estimate))


def pooled(statistic: Callable[..., FloatArray]) -> Statistic:
    """Turn `statistic(values, axis=-1)`, such as np.median, into one of all values of all strata together."""

    def of_strata(strata: list[FloatArray]) -> FloatArray:
        return statistic(np.concatenate([group.reshape(len(group), -1) for group in strata], axis=-1), axis=-1)

    return of_strata


def bootstrap_interval(
    strata: Strata, statistic: Statistic, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return a statistic with its stratified percentile bootstrap interval.

    Runs are drawn with replacement within each stratum, a run with all its columns. The same seed and the same numbers
    of runs give the same draws. The percentile interval is defined on constant samples, where BCa is not; with few
    runs it is too narrow. Efron and Tibshirani 1993, chapter 13; Agarwal et al. 2021, section 4.1.

    Raises:
        ValueError: see `finite`; there is no stratum, one has more than two axes, or the statistic has the wrong shape.
    """
    groups = _groups(strata)
    generator = resampling(level, resamples, seed)
    drawn = [group[generator.integers(len(group), size=(resamples, len(group)))] for group in groups]
    estimate, draws = statistic([group[None] for group in groups]), statistic(drawn)
    if np.shape(draws) != (resamples,):
        raise ValueError(f"the statistic has the shape {np.shape(draws)}, expected one number a resample")
    return percentile_interval(float(np.squeeze(estimate)), draws, level)


def probability_of_improvement_interval(
    first: Strata,
    second: Strata,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return `probability_of_improvement`, averaged over all columns, with its bootstrap interval.

    Both hold the same strata with the same columns; the numbers of runs may differ. Runs of the first and of the second
    are resampled separately. Agarwal et al. 2021, section 4.3.

    Raises:
        ValueError: see `finite`; the strata or their columns differ.
    """
    sides = list(zip(_groups(first), _groups(second), strict=True))
    if any(x.shape[1] != y.shape[1] for x, y in sides):
        raise ValueError("the two samples differ in their columns")
    generator = resampling(level, resamples, seed)
    columns = sum(x.shape[1] for x, _ in sides)
    estimate, draws = 0.0, np.zeros(resamples)
    for x, y in sides:
        wins = _wins(x, y).sum(axis=2) / columns
        weights = resampled_weights(generator, len(x), resamples), resampled_weights(generator, len(y), resamples)
        estimate += float(wins.mean())
        draws += ((weights[0] @ wins) * weights[1]).sum(axis=1)
    return percentile_interval(estimate, draws, level)


def performance_profile(
    strata: Strata,
    thresholds: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the share of runs above each threshold, averaged over all columns, with a pointwise bootstrap band.

    A row per threshold: threshold, share, low, high. The share falls as the threshold rises. Dolan and Moré 2002;
    Agarwal et al. 2021, section 4.2.

    Raises:
        ValueError: see `finite`.
    """
    groups, marks = _groups(strata), np.atleast_1d(finite(thresholds, "the list of thresholds"))
    generator = resampling(level, resamples, seed)
    columns = sum(group.shape[1] for group in groups)
    share, draws = np.zeros(len(marks)), np.zeros((resamples, len(marks)))
    for group in groups:
        above = (group[:, :, None] > marks).sum(axis=1) / columns
        share += above.mean(axis=0)
        draws += resampled_weights(generator, len(group), resamples) @ above
    bands = [percentile_interval(float(value), draws[:, place], level) for place, value in enumerate(share)]
    table = pd.DataFrame(bands, columns=["share", "low", "high"])
    table.insert(0, "threshold", marks)
    return table


def _groups(strata: Strata) -> list[FloatArray]:
    """Return the strata as [runs, columns]."""
    groups = [finite(values, f"stratum {place}") for place, values in enumerate(strata)]
    if not groups:
        raise ValueError("there is no stratum")
    if any(group.ndim not in (1, 2) for group in groups):
        raise ValueError("a stratum has the wrong shape, expected [runs] or [runs, columns]")
    return [group.reshape(len(group), -1) for group in groups]


def resampling(level: float, resamples: int, seed: int) -> np.random.Generator:
    """Return the stream of a bootstrap after a look at its numbers."""
    check_share(level, "the level")
    if resamples < 1:
        raise ValueError(f"{resamples} resamples, expected at least 1")
    return stream(seed, "bootstrap")


def resampled_weights(generator: np.random.Generator, runs: int, resamples: int) -> FloatArray:
    """Return the weight of each run in each resample, [resamples, runs]; a mean is then a product of matrices."""
    drawn = generator.integers(runs, size=(resamples, runs)) + runs * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * runs).reshape(resamples, runs) / runs


def percentile_interval(estimate: float, draws: FloatArray, level: float) -> Interval:
    """Return the interval between the quantiles of the draws, [resamples]; none where they agree up to rounding."""
    # The order of additions differs between resamples of equal values; that is no spread.
    if np.ptp(draws) <= 1e-12 * max(1.0, abs(estimate)):
        return Interval(estimate, estimate, estimate)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high))
