import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.statistics import significance
from harness.statistics.estimates import probability_of_improvement
from harness.statistics.significance import (
    compare_with,
    detectable_difference,
    fewest_pairs,
    noise_floor,
    pair_by_seed,
    seeds_needed,
    seeds_needed_for_shares,
    sign_flip_test,
    wilcoxon_test,
)

NAN = float("nan")
differences = st.lists(st.integers(-500, 500).map(lambda value: value / 100), min_size=1, max_size=9)


def by_flipping(values, statistic=np.sum):
    """Two-sided p-value over all sign patterns, in exact integers of a hundredth."""
    hundredths = np.rint(np.multiply(values, 100)).astype(int)
    bound = abs(statistic(hundredths))
    flipped = [abs(statistic(hundredths * signs)) >= bound for signs in product((1, -1), repeat=len(values))]
    return np.mean(flipped)


# Pairs


def test_runs_are_paired_by_seed_and_the_rest_is_counted():
    first, second = pd.Series({0: 93.0, 2: 92.0, 1: 91.0}), pd.Series({1: 90.0, 5: 10.0, 0: 94.0})
    pairs = pair_by_seed(first, second)
    assert pairs.seeds == (0, 1)
    assert pairs.unpaired == (2, 5)
    assert pairs.differences.tolist() == [-1.0, 1.0]
    assert len(pairs) == 2


def test_no_common_seed_gives_no_pairs():
    assert len(pair_by_seed(pd.Series({0: 1.0}), pd.Series({1: 1.0}))) == 0
    assert len(pair_by_seed(pd.Series(dtype=float), pd.Series({1: 1.0}))) == 0


def test_a_seed_twice_or_a_missing_value_is_refused():
    good = pd.Series({0: 1.0})
    with pytest.raises(ValueError, match="seed 7 stands twice in the second sample"):
        pair_by_seed(good, pd.Series([1.0, 2.0], index=[7, 7]))
    with pytest.raises(ValueError, match="the first sample has 1 of 1 values"):
        pair_by_seed(pd.Series({0: NAN}), good)


def test_equal_accuracies_tie_in_spite_of_rounding():
    pairs = pair_by_seed(pd.Series({0: 0.1 + 0.2}), pd.Series({0: 0.3}))
    assert pairs.differences.tolist() == [0.0]


# Sign-flip test


@given(differences)
def test_sign_flip_test_is_the_share_of_all_sign_patterns(values):
    assert sign_flip_test(values) == by_flipping(values)


@given(differences, st.integers(1, 7))
def test_sign_flip_test_knows_no_side_scale_or_order(values, scale):
    p = sign_flip_test(values)
    assert p == sign_flip_test(np.negative(values)) == sign_flip_test(values[::-1])
    assert p == sign_flip_test(np.multiply(values, scale)) == sign_flip_test([*values, 0.0])


def test_sign_flip_test_by_hand():
    # The absolute sums of 1, 2 and 4 under the signs are 7, 5, 3 and 1, each for 2 of 8 patterns.
    assert sign_flip_test([1, 2, 4]) == 2 / 8
    assert sign_flip_test([1, 2, -4]) == 1.0
    assert sign_flip_test([1, -2, 4]) == 6 / 8
    assert sign_flip_test([3.0]) == 1.0
    assert sign_flip_test([0.0, 0.0]) == 1.0
    assert sign_flip_test([0.61] * 10) == 2 / 1024


def test_sign_flip_test_agrees_with_scipy():
    values = np.random.default_rng(4).normal(0.5, 1, size=11)
    theirs = stats.permutation_test((values,), np.sum, permutation_type="samples", n_resamples=4096)
    assert sign_flip_test(values) == pytest.approx(theirs.pvalue)


def test_drawn_sign_flips_are_close_to_all_of_them(monkeypatch):
    values = np.random.default_rng(5).normal(0.4, 1, size=14)
    exact = sign_flip_test(values)
    monkeypatch.setattr(significance, "EXACT_PAIRS", 10)
    drawn = sign_flip_test(values, seed=1)
    assert drawn == pytest.approx(exact, abs=0.005)
    assert drawn == sign_flip_test(values, seed=1) != sign_flip_test(values, seed=2)


def test_drawn_sign_flips_never_give_zero():
    assert sign_flip_test([1.0] * 40) == 1 / (1 + significance.MONTE_CARLO_FLIPS)


def test_sign_flip_test_keeps_its_level():
    # Under the null hypothesis P(p <= a) <= a: all 2^8 patterns of one sample are equally likely.
    sizes = np.array([0.1, 0.2, 0.2, 0.5, 0.7, 1.1, 1.3, 2.0])
    ps = np.array([sign_flip_test(sizes * signs) for signs in product((1, -1), repeat=8)])
    for level in (0.01, 0.05, 0.1, 0.5):
        assert (ps <= level).mean() <= level
    assert (ps <= 0.1).mean() > 0.07


# Wilcoxon


def test_wilcoxon_agrees_with_scipy():
    for values in ([0.3, -0.1, 0.5, 1.2, -0.7, 0.9, 2.0], [0.0, 0.0, 1.0, 2.0, 3.0, 4.0, -5.0]):
        assert wilcoxon_test(values) == pytest.approx(stats.wilcoxon(values).pvalue)
    many = np.random.default_rng(6).normal(0.3, 1, size=40)
    assert wilcoxon_test(many) == pytest.approx(stats.wilcoxon(many, method="exact").pvalue, abs=0.005)


def test_wilcoxon_drops_zeros_and_shares_ranks_among_ties():
    ranks = [2, 2, -2, 4, 5]
    assert wilcoxon_test([0.1, 0.1, -0.1, 0.2, 0.3, 0.0]) == pytest.approx(by_flipping(ranks))
    assert wilcoxon_test([0.3 - 0.2, 0.1, 0.2 - 0.3, 0.2, 0.3]) == pytest.approx(by_flipping(ranks))


@pytest.mark.parametrize("values", [[0.0] * 5, [0.0], [1e-14, -1e-14]])
def test_wilcoxon_of_equal_runs_is_one(values):
    assert wilcoxon_test(values) == 1.0


@settings(deadline=None, max_examples=30)
@given(differences)
def test_wilcoxon_is_a_probability_without_a_side(values):
    p = wilcoxon_test(values)
    assert 0 < p <= 1
    assert p == pytest.approx(wilcoxon_test(np.negative(values)))


# Noise floor


def test_noise_floor_names_the_pairs_that_it_covers():
    table = noise_floor(pd.Series({"a": 94.0, "b": 93.5, "c": 93.9}), 0.18)
    assert table[["first", "second"]].to_numpy().tolist() == [["a", "c"], ["c", "b"], ["a", "b"]]
    assert table["difference"].tolist() == pytest.approx([0.1, 0.4, 0.5])
    assert table["inside"].tolist() == [True, False, False]


def test_noise_floor_of_one_variant_has_no_pair():
    assert len(noise_floor(pd.Series({"a": 94.0}), 0.18)) == 0


def test_no_noise_covers_nothing():
    assert noise_floor(pd.Series({"a": 1.0, "b": 1.0}), 0.0)["inside"].tolist() == [False]


# How many seeds


def test_seeds_needed_by_tables():
    # Cohen 1988, table 2.4.1: power 0.8 at the level 0.05, two-sided.
    assert seeds_needed(0.5, 0.5) == 17
    assert seeds_needed(-0.5, 0.5) == 17
    assert seeds_needed(0.2, 1.0) == 394
    assert seeds_needed(0.5, 1.0) == 64
    assert seeds_needed(0.8, 1.0) == 26
    # The same for differences of pairs.
    assert seeds_needed(0.5, 1.0, paired=True) == 34
    assert seeds_needed(0.2, 1.0, paired=True) == 199
    # Without end: 2 (1.95996 + 0.84162)^2 / 0.001^2, and Guenther's 1.95996^2 / 4.
    assert seeds_needed(0.001, 1.0) == 15_697_761


@pytest.mark.parametrize("effect", [0.5, 0.7, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0])
def test_pairs_needed_have_the_power_by_simulation(effect):
    # With fewer than 6 pairs the test says nothing, so large effects are found more often.
    pairs = int(seeds_needed(effect, 1.0, paired=True))
    samples = np.random.default_rng(0).normal(effect, 1.0, size=(400, pairs))
    if pairs <= 16:
        found = np.mean([sign_flip_test(sample) <= 0.05 for sample in samples])
    else:
        found = np.mean(stats.ttest_1samp(samples, 0.0, axis=1).pvalue <= 0.05)
    assert found > 0.75
    assert found < 0.9 or pairs == fewest_pairs()


def test_seeds_needed_at_the_limits():
    assert seeds_needed(0.0, 0.5) == math.inf
    assert seeds_needed(0.0, 0.0) == math.inf
    assert seeds_needed(0.5, 0.0) == 2
    assert seeds_needed(0.5, 0.0, paired=True) == seeds_needed(50.0, 0.1, paired=True) == fewest_pairs()


@given(st.floats(0.01, 5), st.floats(0.01, 5), st.floats(0.5, 0.95))
@settings(deadline=None)
def test_seeds_needed_grow_with_spread_and_power_and_fall_with_the_difference(difference, sd, power):
    needed = seeds_needed(difference, sd, power=power)
    assert needed <= seeds_needed(difference, 2 * sd, power=power)
    assert needed <= seeds_needed(difference / 2, sd, power=power)
    assert needed <= seeds_needed(difference, sd, power=power + 0.04)
    assert needed <= seeds_needed(difference, sd, power=power, level=0.01)
    assert needed == seeds_needed(10 * difference, 10 * sd, power=power)


def test_the_detectable_difference_needs_the_seeds_that_it_was_made_for():
    for seeds in (2, 3, 6, 17, 64):
        difference = detectable_difference(0.5, seeds)
        assert seeds_needed(difference * 1.0001, 0.5) == seeds
        assert seeds_needed(difference * 0.9999, 0.5) == seeds + 1
    # Cohen 1988, table 2.4.1: 0.5 sd with 64 each.
    assert detectable_difference(1.0, 64) == pytest.approx(0.5, abs=0.002)
    with pytest.raises(ValueError, match="1 runs, expected at least 2"):
        detectable_difference(0.5, 1)


def test_seeds_needed_for_shares_by_hand():
    # (1.95996 sqrt(2 * 0.3 * 0.7) + 0.84162 sqrt(0.4 * 0.6 + 0.2 * 0.8))^2 / 0.2^2 = 81.2
    assert seeds_needed_for_shares(0.4, 0.2) == 82
    assert seeds_needed_for_shares(0.2, 0.4) == 82
    # (1.95996 sqrt(0.5))^2 = 1.9
    assert seeds_needed_for_shares(1.0, 0.0) == 2
    assert seeds_needed_for_shares(0.3, 0.3) == math.inf


@given(st.floats(0, 0.4), st.floats(0.05, 0.25))
def test_shares_further_apart_need_fewer_seeds(share, gap):
    assert seeds_needed_for_shares(share, share + 2 * gap) <= seeds_needed_for_shares(share, share + gap)


def test_fewest_pairs_by_hand():
    # 2 / 2^5 = 0.0625, 2 / 2^6 = 0.031.
    assert fewest_pairs() == 6
    assert fewest_pairs(0.0625) == 5


@pytest.mark.parametrize("level", [0.05, 0.01])
def test_fewest_pairs_is_where_the_test_starts_to_reject(level):
    n = fewest_pairs(level)
    assert sign_flip_test([1.0] * n) <= level
    assert sign_flip_test([1.0] * (n - 1)) > level


# The whole comparison


@pytest.fixture
def runs():
    results = {
        "better": {0: 93.0, 1: 94.0, 2: 93.5, 3: 94.2, 4: 93.1, 5: 93.9, 9: 90.0},
        "darts": dict.fromkeys(range(6), 54.3),
        "same": dict.fromkeys(range(6), 54.3),
        "one": {0: 60.0},
        "apart": {7: 60.0, 8: 50.0},
    }
    rows = [(variant, seed, value) for variant, values in results.items() for seed, value in values.items()]
    return pd.DataFrame(rows, columns=["variant", "seed", "accuracy"])


def test_comparison_with_a_reference(runs):
    table = compare_with(runs, "accuracy", "darts")
    assert list(table.index) == ["better", "same", "one", "apart"]
    better = table.loc["better"]
    assert (better["pairs"], better["unpaired"]) == (6, 1)
    assert (better["wins"], better["ties"], better["losses"]) == (6, 0, 0)
    assert better["mean_difference"] == pytest.approx(np.mean([93.0, 94.0, 93.5, 94.2, 93.1, 93.9]) - 54.3)
    assert better["low"] < better["mean_difference"] < better["high"]
    assert better["probability_of_improvement"] == 1.0
    assert better["p_sign_flip"] == better["p_wilcoxon"] == 2 / 64
    assert better["p_adjusted"] == 2 / 64
    assert better["pairs_needed"] == 6


def test_comparison_survives_equal_single_and_unpaired_runs(runs):
    table = compare_with(runs, "accuracy", "darts")
    same, one, apart = (table.loc[name] for name in ("same", "one", "apart"))
    assert (same["ties"], same["p_sign_flip"], same["p_wilcoxon"], same["pairs_needed"]) == (6, 1, 1, math.inf)
    assert (same["low"], same["high"], same["probability_of_improvement"]) == (0, 0, 0.5)
    assert (one["pairs"], one["unpaired"], one["p_sign_flip"]) == (1, 5, 1)
    assert np.isnan(one["pairs_needed"])
    assert (apart["pairs"], apart["unpaired"]) == (0, 8)
    assert apart[["mean_difference", "low", "p_sign_flip", "p_wilcoxon", "p_adjusted"]].isna().all()
    assert apart["probability_of_improvement"] == 0.5


def test_differences_that_cancel_need_infinitely_many_pairs():
    rows = [("a", 0, 0.1), ("a", 1, 0.2), ("a", 2, 0.0), ("b", 0, 0.0), ("b", 1, 0.0), ("b", 2, 0.3)]
    runs = pd.DataFrame(rows, columns=["variant", "seed", "accuracy"])
    assert np.mean([0.1, 0.2, -0.3]) != 0
    assert compare_with(runs, "accuracy", "b").loc["a", "pairs_needed"] == math.inf


def test_comparison_mirrors(runs):
    pair = runs[runs["variant"].isin(["better", "one"])]
    forward = compare_with(pair, "accuracy", "one").iloc[0]
    backward = compare_with(pair, "accuracy", "better").iloc[0]
    assert forward["mean_difference"] == pytest.approx(-backward["mean_difference"])
    assert forward["p_sign_flip"] == backward["p_sign_flip"]
    expected = probability_of_improvement(
        *(pair.loc[pair["variant"] == name, "accuracy"] for name in ("better", "one"))
    )
    assert forward["probability_of_improvement"] == pytest.approx(expected)


def test_a_reference_alone_compares_with_nothing(runs):
    assert compare_with(runs[runs["variant"] == "darts"], "accuracy", "darts").empty


# Bad input


@pytest.mark.parametrize("compute", [sign_flip_test, wilcoxon_test])
@pytest.mark.parametrize(("values", "message"), [([0.5, NAN], "1 of 2 values"), ([], "empty")])
def test_values_that_are_not_finite_and_empty_samples_are_refused(compute, values, message):
    with pytest.raises(ValueError, match=message):
        compute(values)


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda: noise_floor(pd.Series({"a": NAN}), 0.1), "the list of means"),
        (lambda: noise_floor(pd.Series({"a": 1.0}), -0.1), "the noise is -0.1"),
        (lambda: noise_floor(pd.Series({"a": 1.0}), NAN), "the noise is nan"),
        (lambda: seeds_needed(NAN, 1), "the effect"),
        (lambda: seeds_needed(1, -1), "standard deviation is -1"),
        (lambda: seeds_needed(1, 1, level=5), "the level is 5"),
        (lambda: seeds_needed(1, 1, power=1), "the power is 1"),
        (lambda: seeds_needed_for_shares(0.5, 1.5), "the shares are 0.5 and 1.5"),
        (lambda: seeds_needed_for_shares(0.5, NAN), "the shares"),
        (lambda: fewest_pairs(0), "the level is 0"),
    ],
)
def test_bad_arguments_are_refused(compute, message):
    with pytest.raises(ValueError, match=message):
        compute()


def test_comparison_refuses_missing_references_and_results(runs):
    with pytest.raises(ValueError, match="the reference 'gdas' has no run"):
        compare_with(runs, "accuracy", "gdas")
    runs.loc[0, "accuracy"] = NAN
    with pytest.raises(ValueError, match="1 of 7 values"):
        compare_with(runs, "accuracy", "darts")
