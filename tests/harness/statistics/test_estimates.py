from functools import partial
from itertools import product
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.statistics.estimates import (
    Interval,
    bootstrap_interval,
    cliffs_delta,
    interquartile_mean,
    normalised_score,
    optimality_gap,
    performance_profile,
    pooled,
    probability_of_improvement,
    probability_of_improvement_interval,
    proportion_interval,
    regret,
    relative_improvement,
)

quick = partial(bootstrap_interval, resamples=300)
MEAN, MEDIAN, IQM = pooled(np.mean), pooled(np.median), pooled(interquartile_mean)

accuracies = st.lists(st.integers(0, 10_000).map(lambda value: value / 100), min_size=1, max_size=12)
COLLAPSED = [54.30] * 5


# Interquartile mean


def test_interquartile_mean_drops_a_quarter_at_each_end():
    assert interquartile_mean([1, 2, 3, 100]) == 2.5
    assert interquartile_mean([100, 1, 2, 3, 4, 5, 6, 7]) == 4.5
    assert interquartile_mean([7.0]) == 7.0


def test_interquartile_mean_drops_whole_values_only():
    # floor(7 / 4) = 1 and floor(3 / 4) = 0 at each end, as scipy's trim_mean and rliable do.
    assert interquartile_mean([0, 1, 2, 3, 4, 5, 60]) == 3.0
    assert interquartile_mean([0, 1, 20]) == 7.0


def test_interquartile_mean_is_over_all_runs_and_data_sets_together():
    # Two data sets of four runs: the two lowest and the two highest of all eight values go.
    scores = np.array([[0, 10], [1, 11], [2, 12], [3, 13]])
    assert interquartile_mean(scores) == np.mean([2, 3, 10, 11])
    assert interquartile_mean(scores, axis=0).tolist() == [1.5, 11.5]


@given(accuracies)
def test_interquartile_mean_is_scipys_trimmed_mean(values):
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25))
    assert min(values) - 1e-9 <= interquartile_mean(values) <= max(values) + 1e-9


# Scores


def test_normalised_score_maps_mean_to_zero_and_best_to_one():
    scores = normalised_score([87.06, 94.37, 54.30], mean=87.06, best=94.37)
    assert scores.tolist() == pytest.approx([0, 1, -4.4815], abs=1e-4)


def test_regret_is_the_distance_to_the_best():
    assert regret([94.37, 93.76], 94.37).tolist() == pytest.approx([0, 0.61])


def test_relative_improvement_is_in_percent_of_the_random_cell():
    assert relative_improvement([90.0, 45.0, 180.0], 90.0).tolist() == pytest.approx([0, -50, 100])


def test_optimality_gap_counts_no_surplus():
    assert optimality_gap([0.5, 1.0, 1.5]) == pytest.approx(0.5 / 3)
    assert optimality_gap([[0.0, 1.0], [0.5, 2.0]], axis=0).tolist() == [0.75, 0.0]
    assert optimality_gap([1.0, 3.0], target=2.0) == 0.5


# Probability of improvement


def test_probability_of_improvement_counts_ties_half():
    # Pairs: 1>0, 1=1, 2>0, 2>1.
    assert probability_of_improvement([1, 2], [0, 1]) == 3.5 / 4
    assert probability_of_improvement(COLLAPSED, COLLAPSED) == 0.5
    assert probability_of_improvement([2], [1, 1, 1]) == 1.0
    assert cliffs_delta([1, 2], [0, 1]) == 0.75


@given(accuracies, accuracies)
def test_probability_of_improvement_is_the_mann_whitney_statistic(first, second):
    probability = probability_of_improvement(first, second)
    assert probability == pytest.approx(stats.mannwhitneyu(first, second).statistic / (len(first) * len(second)))
    assert probability + probability_of_improvement(second, first) == pytest.approx(1)
    assert probability_of_improvement(np.exp(np.divide(first, 50)), np.exp(np.divide(second, 50))) == probability
    assert cliffs_delta(first, second) == pytest.approx(-cliffs_delta(second, first))


def test_interval_of_the_probability_of_improvement_is_that_of_all_resamples():
    # All 2^2 * 3^3 resamples of two and three runs, counted one by one.
    first, second = [1.0, 3.0], [0.0, 2.0, 2.5]
    every = [probability_of_improvement(x, y) for x in product(first, repeat=2) for y in product(second, repeat=3)]
    interval = probability_of_improvement_interval([first], [second], level=0.5, resamples=20_000)
    assert interval.estimate == probability_of_improvement(first, second)
    assert interval.low == pytest.approx(np.quantile(every, 0.25), abs=0.01)
    assert interval.high == pytest.approx(np.quantile(every, 0.75), abs=0.01)


def test_probability_of_improvement_is_averaged_over_the_columns():
    first, second = np.array([[1.0, 1.0], [2.0, 0.0]]), np.array([[0.0, 2.0], [0.0, 2.0], [0.0, 2.0]])
    as_columns = probability_of_improvement_interval([first], [second])
    as_strata = probability_of_improvement_interval([*first.T], [*second.T])
    assert as_columns.estimate == as_strata.estimate == 0.5


@settings(deadline=None, max_examples=30)
@given(accuracies, accuracies)
def test_interval_of_the_probability_of_improvement_contains_it(first, second):
    interval = probability_of_improvement_interval([first], [second], resamples=300)
    assert 0 <= interval.low <= interval.estimate + 1e-12
    assert interval.estimate - 1e-12 <= interval.high <= 1 + 1e-12


def test_separated_samples_have_a_degenerate_probability_of_improvement():
    assert probability_of_improvement_interval([[3.0, 4.0]], [[1.0, 2.0]]) == Interval(1, 1, 1)


def test_rounding_is_no_spread():
    # Weights of sevenths do not add up to 1 exactly.
    assert probability_of_improvement_interval([[54.3] * 7], [[54.3] * 7]) == Interval(0.5, 0.5, 0.5)


# Proportions


@given(st.integers(0, 40), st.integers(1, 40), st.sampled_from([0.5, 0.9, 0.95]))
def test_wilson_interval_has_its_closed_form(successes, runs, level):
    successes = min(successes, runs)
    z, share = stats.norm.ppf((1 + level) / 2), successes / runs
    centre = (share + z**2 / (2 * runs)) / (1 + z**2 / runs)
    half = z / (1 + z**2 / runs) * sqrt(share * (1 - share) / runs + z**2 / (4 * runs**2))
    interval = proportion_interval(successes, runs, level=level)
    assert interval == pytest.approx((share, centre - half, centre + half), abs=1e-9)
    assert interval.low <= interval.estimate <= interval.high


@given(st.integers(0, 40), st.integers(1, 40), st.sampled_from([0.5, 0.9, 0.95]))
def test_clopper_pearson_interval_has_its_closed_form(successes, runs, level):
    successes = min(successes, runs)
    tail = (1 - level) / 2
    low = stats.beta.ppf(tail, successes, runs - successes + 1) if successes else 0
    high = stats.beta.ppf(1 - tail, successes + 1, runs - successes) if successes < runs else 1
    interval = proportion_interval(successes, runs, level=level, method="clopper-pearson")
    assert interval == pytest.approx((successes / runs, low, high), abs=1e-9)


def test_clopper_pearson_covers_every_share_at_least_at_the_level():
    intervals = [proportion_interval(k, 10, method="clopper-pearson") for k in range(11)]
    for share in np.linspace(0.01, 0.99, 50):
        masses = stats.binom.pmf(range(11), 10, share)
        covered = sum(m for m, i in zip(masses, intervals, strict=True) if i.low <= share <= i.high)
        assert covered >= 0.95


def test_all_collapsed_is_no_proof_of_certain_collapse():
    interval = proportion_interval(10, 10)
    assert interval == pytest.approx((1, 0.7225, 1), abs=1e-4)
    assert not interval.degenerate
    assert proportion_interval(10, 10, method="clopper-pearson").low == pytest.approx(0.025**0.1)


@pytest.mark.parametrize(("successes", "runs"), [(1, 0), (-1, 3), (4, 3)])
def test_impossible_counts_are_refused(successes, runs):
    with pytest.raises(ValueError, match="successes in"):
        proportion_interval(successes, runs)


def test_unknown_interval_is_refused():
    with pytest.raises(ValueError, match="expected one of: wilson, clopper-pearson"):
        proportion_interval(1, 2, method="wald")  # type: ignore[arg-type]


# Bootstrap


def test_bootstrap_interval_is_that_of_all_resamples():
    # The 4^4 resamples of four runs, counted one by one.
    runs = [90.0, 91.0, 93.0, 94.0]
    means = np.mean(list(product(runs, repeat=4)), axis=1)
    interval = bootstrap_interval([runs], MEAN, level=0.8, resamples=50_000)
    assert interval.estimate == 92.0
    assert interval.low == pytest.approx(np.quantile(means, 0.1), abs=0.05)
    assert interval.high == pytest.approx(np.quantile(means, 0.9), abs=0.05)


def test_bootstrap_agrees_with_scipy():
    runs = np.random.default_rng(1).normal(90, 2, size=30)
    theirs = stats.bootstrap((runs,), np.mean, method="percentile", n_resamples=20_000, rng=2).confidence_interval
    ours = bootstrap_interval([runs], MEAN, resamples=20_000)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.05)


def test_bootstrap_is_reproducible_and_keyed_by_the_seed():
    runs = [54.3, 70.0, 88.1, 93.2]
    assert quick([runs], MEAN, seed=3) == quick([runs], MEAN, seed=3)
    assert quick([runs], MEAN, seed=3) != quick([runs], MEAN, seed=4)


@settings(deadline=None, max_examples=50)
@given(st.lists(accuracies, min_size=1, max_size=3), st.sampled_from([MEAN, MEDIAN, IQM]))
def test_interval_contains_the_mean_and_grows_with_the_level(strata, statistic):
    wide, narrow = quick(strata, statistic, level=0.99), quick(strata, statistic, level=0.8)
    values = np.concatenate(strata)
    assert values.min() - 1e-9 <= wide.low <= narrow.low <= narrow.high <= wide.high <= values.max() + 1e-9
    if statistic is MEAN:
        assert wide.low <= wide.estimate <= wide.high


@settings(deadline=None, max_examples=50)
@given(accuracies, st.integers(-50, 50), st.integers(1, 8))
def test_interval_moves_with_shift_and_scale(runs, shift, scale):
    before, after = quick([runs], MEAN), quick([np.multiply(runs, scale) + shift], MEAN)
    assert after == pytest.approx([scale * end + shift for end in before], abs=1e-6)


@pytest.mark.parametrize("runs", [COLLAPSED, [93.7], [0.1] * 7])
@pytest.mark.parametrize("statistic", [MEAN, MEDIAN, IQM])
def test_constant_samples_and_single_runs_are_degenerate(runs, statistic):
    interval = quick([runs], statistic)
    assert interval.degenerate
    assert interval.low == interval.estimate == pytest.approx(runs[0])


def test_spread_is_not_degenerate():
    assert not quick([[54.3, 54.3, 93.0]], MEAN).degenerate


def test_strata_keep_their_sizes():
    # Draws across the strata would mix the two levels.
    assert quick([[1.0, 1.0], [3.0, 3.0]], MEAN) == Interval(2, 2, 2)
    assert quick([[0.0], [1.0, 1.0, 1.0]], MEAN) == Interval(0.75, 0.75, 0.75)


def test_columns_of_the_same_runs_are_drawn_together():
    # The mean of two equal columns is the mean of one; of two separate strata its spread is smaller by sqrt(2).
    runs = np.random.default_rng(0).normal(size=40)
    together = bootstrap_interval([np.stack([runs, runs], axis=1)], MEAN)
    apart = bootstrap_interval([runs, runs], MEAN)
    assert together == pytest.approx(bootstrap_interval([runs], MEAN))
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(sqrt(2), rel=0.05)


def test_a_statistic_of_the_strata_one_by_one():
    def mean_of_medians(strata):
        return np.mean([np.median(group, axis=(1, 2)) for group in strata], axis=0)

    assert quick([[0.0, 0.0, 9.0], [4.0]], mean_of_medians).estimate == 2.0


# Performance profile


def test_performance_profile_counts_runs_above_each_threshold():
    table = performance_profile([[0.2, 0.5, 0.9, 0.9]], [0.0, 0.5, 0.95])
    assert table["share"].tolist() == [1.0, 0.5, 0.0]
    assert table["threshold"].tolist() == [0.0, 0.5, 0.95]
    # All 4 runs above 0: the band has no width. Half: the ends of the binomial distribution B(4, 1/2) / 4.
    assert table.loc[0, ["low", "high"]].tolist() == [1.0, 1.0]
    assert table.loc[1, ["low", "high"]].tolist() == [0.0, 1.0]


def test_performance_profile_weighs_every_data_set_alike():
    assert performance_profile([[1.0], [0.0, 0.0, 0.0]], [0.5])["share"].tolist() == [0.5]
    assert performance_profile([[[1.0, 0.0], [1.0, 0.0]]], [0.5])["share"].tolist() == [0.5]


def test_band_of_the_performance_profile_is_the_bootstrap_of_the_share():
    runs = np.linspace(0, 1, 21)
    row = performance_profile([runs], [0.701]).iloc[0]
    share = bootstrap_interval([runs], pooled(lambda values, axis: (values > 0.701).mean(axis=axis)))
    assert row["share"] == share.estimate == pytest.approx(6 / 21)
    assert (row["low"], row["high"]) == pytest.approx((share.low, share.high), abs=0.05)


@settings(deadline=None, max_examples=30)
@given(st.lists(accuracies, min_size=1, max_size=3))
def test_performance_profile_falls(strata):
    table = performance_profile(strata, np.linspace(-1, 101, 15), resamples=100)
    assert table["share"].iloc[0] == pytest.approx(1)
    assert table["share"].iloc[-1] == 0
    for column in ("share", "low", "high"):
        assert (table[column].diff().dropna() <= 1e-12).all()


# Bad input

NAN = float("nan")


@pytest.mark.parametrize(
    "compute",
    [
        interquartile_mean,
        optimality_gap,
        lambda values: normalised_score(values, 87.0, 94.0),
        lambda values: regret(values, 94.0),
        lambda values: relative_improvement(values, 87.0),
        lambda values: probability_of_improvement(values, [1.0]),
        lambda values: probability_of_improvement([1.0], values),
        lambda values: probability_of_improvement_interval([values], [[1.0]]),
        lambda values: bootstrap_interval([values], MEAN),
        lambda values: performance_profile([values], [0.5]),
        lambda values: performance_profile([[0.5]], values),
    ],
)
@pytest.mark.parametrize(("values", "message"), [([1.0, NAN], "1 of 2 values"), ([np.inf], "finite"), ([], "empty")])
def test_values_that_are_not_finite_and_empty_samples_are_refused(compute, values, message):
    with pytest.raises(ValueError, match=message):
        compute(values)


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda: normalised_score([1.0], mean=90, best=90), "not above the mean"),
        (lambda: normalised_score([1.0], mean=NAN, best=90), "not above the mean"),
        (lambda: regret([1.0], NAN), "the best accuracy"),
        (lambda: relative_improvement([1.0], 0), "expected a positive number"),
        (lambda: bootstrap_interval([], MEAN), "there is no stratum"),
        (lambda: bootstrap_interval([[1.0]], MEAN, level=95), "the level is 95"),
        (lambda: bootstrap_interval([[1.0]], MEAN, resamples=0), "0 resamples"),
        (lambda: bootstrap_interval([np.zeros((2, 2, 2))], MEAN), "wrong shape"),
        (lambda: bootstrap_interval([[1.0]], lambda strata: strata[0]), "one number a resample"),
        (lambda: probability_of_improvement([[1.0]], [1.0]), "one axis each"),
        (lambda: probability_of_improvement_interval([[[1.0, 2.0]]], [[1.0]]), "differ in their columns"),
        (lambda: probability_of_improvement_interval([[1.0]], [[1.0], [2.0]]), "argument"),
        (lambda: proportion_interval(1, 2, level=0), "the level is 0"),
    ],
)
def test_bad_arguments_are_refused(compute, message):
    with pytest.raises(ValueError, match=message):
        compute()
