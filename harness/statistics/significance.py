"""Tests of differences, and how many runs they need: pure functions on arrays and data frames.

Runs of two variants with the same seed share initialisation, split and order of the batches, so they are compared in
pairs. As in `harness.statistics.estimates`, a value that is not finite is a `ValueError`. Accuracies are in any one
unit.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import scipy  # loads its parts when they are used
from numpy.typing import ArrayLike

from harness.base.streams import stream
from harness.statistics import estimates
from harness.statistics.estimates import DECIMALS, FloatArray, check_share, finite
from harness.statistics.step_down import adjusted_p_values

EXACT_PAIRS = 20
"""Most pairs whose sign flips are all counted: 2**20."""

MONTE_CARLO_FLIPS = 100_000

MOST_SEEDS = 1_000_000
"""Beyond it, how many are needed is not worth counting one by one."""


@dataclass(frozen=True)
class Pairs:
    """The runs of two variants, matched by seed."""

    seeds: tuple[int, ...]
    first: FloatArray
    second: FloatArray
    unpaired: tuple[int, ...]
    """Seeds that only one of the two has: their runs are left out."""

    def __len__(self) -> int:
        return len(self.seeds)

    @property
    def differences(self) -> FloatArray:
        """First minus second, [pairs]."""
        return np.asarray(np.round(self.first - self.second, DECIMALS))


def pair_by_seed(first: pd.Series, second: pd.Series) -> Pairs:
    """Match two series of results whose index is the seed; without a common seed there are 0 pairs.

    Raises:
        ValueError: a seed stands twice, or a value is not finite.
    """
    for series, name in ((first, "first"), (second, "second")):
        if series.index.has_duplicates:
            raise ValueError(f"seed {series.index[series.index.duplicated()][0]} stands twice in the {name} sample")
        if len(series):
            finite(series, f"the {name} sample")
    seeds = sorted(set(first.index) & set(second.index))
    unpaired = sorted(set(first.index) ^ set(second.index))
    values = [series.loc[seeds].to_numpy(dtype=np.float64) for series in (first, second)]
    return Pairs(tuple(seeds), values[0], values[1], tuple(unpaired))


def sign_flip_test(differences: ArrayLike, *, seed: int = 0) -> float:
    """Return the two-sided p-value of the paired permutation test of the mean difference, [pairs].

    Under the null hypothesis each difference is as likely with either sign. Up to `EXACT_PAIRS` pairs all sign patterns
    are counted; above, `MONTE_CARLO_FLIPS` are drawn from the stream of the seed and p is (1 + count) / (1 + draws),
    which keeps the level (Phipson and Smyth 2010). Fisher 1935, section 21.

    Raises:
        ValueError: see `finite`.
    """
    values = np.ravel(finite(differences, "the list of differences"))
    tolerance = 10.0**-DECIMALS * np.abs(values).sum()
    bound = abs(values.sum()) - tolerance
    if len(values) <= EXACT_PAIRS:
        return float(np.mean(np.abs(_sums_of_all_signs(values)) >= bound))
    count = sum(int((np.abs(sums) >= bound).sum()) for sums in _sums_of_drawn_signs(values, seed))
    return (1 + count) / (1 + MONTE_CARLO_FLIPS)


def _sums_of_all_signs(values: FloatArray) -> FloatArray:
    # The first sign stays: flipping all signs does not change the absolute sum.
    sums = values[:1]
    for value in values[1:]:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _sums_of_drawn_signs(values: FloatArray, seed: int) -> Iterator[FloatArray]:
    generator = stream(seed, "sign-flips")
    for _ in range(10):
        yield (2 * generator.integers(2, size=(MONTE_CARLO_FLIPS // 10, len(values))) - 1) @ values


def wilcoxon_test(differences: ArrayLike, *, seed: int = 0) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test, [pairs]; 1 where all differences are zero.

    Zeros are dropped and ties share their mean rank. It is the `sign_flip_test` of the signed ranks, and so exact with
    ties too, up to the same number of pairs. Wilcoxon 1945.

    Raises:
        ValueError: see `finite`.
    """
    values = np.round(np.ravel(finite(differences, "the list of differences")), DECIMALS)
    values = values[values != 0]
    return sign_flip_test(np.sign(values) * scipy.stats.rankdata(np.abs(values)), seed=seed) if len(values) else 1.0


def noise_floor(means: pd.Series, noise: float) -> pd.DataFrame:
    """Return every two variants with their difference, and whether it lies inside the noise floor.

    `means`: index variant; `noise`: standard deviation of the accuracies of cells that compute the same function, in
    the same unit. Columns: first, second (the first has the higher or the same mean), difference, inside. The closest
    two come first.

    Raises:
        ValueError: see `finite`; the noise is negative.
    """
    if not noise >= 0:
        raise ValueError(f"the noise is {noise}, expected a number from 0")
    finite(means, "the list of means")
    ranked = means.sort_values(ascending=False, kind="stable")
    rows = [(first, second, ranked[first] - ranked[second]) for first, second in combinations(ranked.index, 2)]
    table = pd.DataFrame(rows, columns=["first", "second", "difference"]).astype({"difference": float})
    table["inside"] = table["difference"] < noise
    return table.sort_values("difference", kind="stable", ignore_index=True)


def seeds_needed(
    difference: float, sd: float, *, paired: bool = False, level: float = 0.05, power: float = 0.8
) -> float:
    """Return how many seeds each of two variants needs for a two-sided test to find a difference of the means.

    The power of Student's t test, by the non-central t distribution. `sd` is that of the runs of one variant, in the
    unit of the difference. `paired`: it is that of the differences between runs of a seed, and the test is that of sign
    flips, which has about the power of the t test at the largest level below that it can reach; so no fewer than
    `fewest_pairs`. Infinite for a difference of zero. Do not use it for a mixture of collapsed and sound runs: see
    `seeds_needed_for_shares`.

    Raises:
        ValueError: a number is not finite, the standard deviation is negative, or level or power are no shares.
    """
    finite([difference, sd], "the effect")
    if sd < 0:
        raise ValueError(f"the standard deviation is {sd}, expected a number from 0")
    quantiles = _quantile(level, "the level"), _power_quantile(power)
    if difference == 0:
        return math.inf
    fewest = float(fewest_pairs(level) if paired else 2)
    if sd == 0:
        return fewest
    effect = float(f"{abs(difference) / sd:.12g}")  # so that the unit does not matter
    # What a normal distribution would need is less; for many seeds the correction of Guenther (1981) is exact enough.
    normal = (1 if paired else 2) * (max(0.0, sum(quantiles)) / effect) ** 2
    if normal > MOST_SEEDS:
        return _whole(normal + quantiles[0] ** 2 / (2 if paired else 4))
    seeds = max(fewest, _whole(normal))
    while _power(effect, int(seeds), paired, level) < power:
        seeds += 1
    return seeds


def detectable_difference(sd: float, seeds: int, *, level: float = 0.05, power: float = 0.8) -> float:
    """Return the difference of two means that a two-sided test of so many runs each finds with the given power.

    `seeds_needed` solved for the difference, in the unit of `sd`.

    Raises:
        ValueError: there are fewer than two runs, or level or power are no shares.
    """
    check_share(level, "the level")
    check_share(power, "the power")
    if seeds < 2:
        raise ValueError(f"{seeds} runs, expected at least 2")
    found = 0.1
    while _power(found, seeds, False, level) < power:
        found *= 2
    return sd * float(scipy.optimize.brentq(lambda effect: _power(effect, seeds, False, level) - power, 0.0, found))


def _power(effect: float, seeds: int, paired: bool, level: float) -> float:
    if paired and seeds <= EXACT_PAIRS:
        patterns = 2 ** (seeds - 1)
        level = math.floor(level * patterns + 1e-9) / patterns
    freedom = seeds - 1 if paired else 2 * seeds - 2
    shift = effect * math.sqrt(seeds if paired else seeds / 2)
    bound = scipy.stats.t.isf(level / 2, freedom)
    return float(scipy.stats.nct.sf(bound, freedom, shift) + scipy.stats.nct.cdf(-bound, freedom, shift))


def seeds_needed_for_shares(first: float, second: float, *, level: float = 0.05, power: float = 0.8) -> float:
    """Return how many seeds each of two variants needs to tell two shares, such as P(collapse), apart.

    Normal approximation of the two-sided test without correction for continuity; infinite for equal shares. Fleiss,
    Levin and Paik, Statistical Methods for Rates and Proportions, 2003, equation 4.14.

    Raises:
        ValueError: a share is not within 0 to 1, or level or power are no shares.
    """
    if not (0 <= first <= 1 and 0 <= second <= 1):
        raise ValueError(f"the shares are {first} and {second}, expected numbers from 0 to 1")
    quantiles = _quantile(level, "the level"), _power_quantile(power)
    if first == second:
        return math.inf
    middle = (first + second) / 2
    null = math.sqrt(2 * middle * (1 - middle))
    apart = math.sqrt(first * (1 - first) + second * (1 - second))
    distance = max(0.0, quantiles[0] * null + quantiles[1] * apart)
    return max(2.0, _whole((distance / (first - second)) ** 2))


def fewest_pairs(level: float = 0.05) -> int:
    """Return with how many pairs a test by sign flips can fall to the level at all, alone or among others.

    The smallest p-value is 2 / 2^n, when every difference has the same sign.

    Raises:
        ValueError: the level is not within 0 and 1.
    """
    check_share(level, "the level")
    pairs = 1
    while 2.0 ** (1 - pairs) > level:
        pairs += 1
    return pairs


def compare_with(
    runs: pd.DataFrame,
    value: str,
    reference: str,
    *,
    candidates: Iterable[str] = (),
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare every variant with a reference variant, in the order of the runs.

    `runs`: a row per run with a result, columns `variant`, `seed` and the accuracy `value`. `candidates`: the variants
    among which these runs chose the reference. Index: variant. Columns:

    - pairs, unpaired: seeds that both have, and that only one has;
    - mean_difference, low, high: variant minus reference over the pairs, with the bootstrap interval of the level;
    - wins, ties, losses: pairs in which the variant is higher, equal, lower;
    - probability_of_improvement, improvement_low, improvement_high: over all runs, paired or not;
    - p_sign_flip, p_wilcoxon: of the pairs, each test alone;
    - p_adjusted: of the sign flips, for all variants and the choice of the reference, see `adjusted_p_values`;
    - pairs_needed: pairs to find this difference at the level with power 0.8; NaN for a single pair.

    Without a pair, the columns that need pairs are NaN.

    Raises:
        ValueError: the reference has no run, a seed stands twice, or a value is not finite.
    """
    by_variant = {str(name): group.set_index("seed")[value] for name, group in runs.groupby("variant", sort=False)}
    if reference not in by_variant:
        raise ValueError(f"the reference {reference!r} has no run")
    base = by_variant.pop(reference)
    rows = {name: _comparison(series, base, level, seed) for name, series in by_variant.items()}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(_COMPARISON)).astype(_COMPARISON)
    table.index.name = "variant"
    results = runs.pivot(index="seed", columns="variant", values=value)
    adjusted = adjusted_p_values(results, reference, candidates, seed=seed)
    # Where signs are drawn, chance could put it below the test alone.
    table["p_adjusted"] = adjusted.reindex(table.index).clip(lower=table["p_sign_flip"])
    return table


_COMPARISON = {
    "pairs": int, "unpaired": int, "mean_difference": float, "low": float, "high": float, "wins": int, "ties": int,
    "losses": int, "probability_of_improvement": float, "improvement_low": float, "improvement_high": float,
    "p_sign_flip": float, "p_wilcoxon": float, "p_adjusted": float, "pairs_needed": float,
}  # fmt: skip


def _comparison(series: pd.Series, base: pd.Series, level: float, seed: int) -> dict[str, float]:
    pairs = pair_by_seed(series, base)
    differences = pairs.differences
    improvement = estimates.probability_of_improvement_interval([series], [base], level=level, seed=seed)
    row: dict[str, float] = {
        "pairs": len(pairs),
        "unpaired": len(pairs.unpaired),
        "wins": int((differences > 0).sum()),
        "ties": int((differences == 0).sum()),
        "losses": int((differences < 0).sum()),
        "probability_of_improvement": improvement.estimate,
        "improvement_low": improvement.low,
        "improvement_high": improvement.high,
    }
    if len(pairs):
        mean = estimates.bootstrap_interval([differences], estimates.pooled(np.mean), level=level, seed=seed)
        row |= {"mean_difference": mean.estimate, "low": mean.low, "high": mean.high}
        row |= {
            "p_sign_flip": sign_flip_test(differences, seed=seed),
            "p_wilcoxon": wilcoxon_test(differences, seed=seed),
        }
    if len(pairs) > 1:
        sd = float(differences.std(ddof=1))
        # A mean of differences that cancel is zero, up to rounding.
        mean_difference = round(float(differences.mean()), DECIMALS)
        row["pairs_needed"] = seeds_needed(mean_difference, sd, paired=True, level=1 - level)
    return row


def _quantile(level: float, name: str) -> float:
    check_share(level, name)
    return float(scipy.stats.norm.ppf(1 - level / 2))


def _power_quantile(power: float) -> float:
    check_share(power, "the power")
    return float(scipy.stats.norm.ppf(power))


def _whole(runs: float) -> float:
    # A hair above a whole number is rounding.
    return float(math.ceil(runs - 1e-9))
