"""What few seeds say of a ranking by many."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import kendalltau

from harness.statistics.few_seeds import SUBSETS, few_seeds, subsets


def everything_apart(methods: int) -> np.ndarray:
    return ~np.eye(methods, dtype=bool)


def test_it_is_what_counting_every_subset_gives():
    values = np.array([[9.0, 1, 5, 5], [5, 5, 5, 5], [4, 6, 5, 4]])
    table = few_seeds(values, everything_apart(3))
    assert list(table.index) == [1, 2, 3]
    means = values.mean(axis=1)
    for size, row in table.iterrows():
        chosen = [values[:, list(places)] for places in combinations(range(4), size)]
        firsts = [np.flatnonzero(some.mean(axis=1) == some.mean(axis=1).max()) for some in chosen]
        bests = [np.flatnonzero(some.max(axis=1) == some.max()) for some in chosen]
        assert row["subsets"] == len(chosen)
        # The first two methods share the first place by all seeds.
        assert row["other_winner"] == pytest.approx(np.mean([np.mean(first == 2) for first in firsts]))
        assert row["other_best"] == pytest.approx(np.mean([np.mean(best == 2) for best in bests]))
        taus = [kendalltau(some.mean(axis=1), means).statistic for some in chosen]
        assert row["tau"] == pytest.approx(np.nanmean(taus))
        wrong = [some.mean(axis=1)[2] > some.mean(axis=1)[other] for some in chosen for other in (0, 1)]
        assert row["reversed"] == pytest.approx(np.mean(wrong))


def test_methods_that_are_equal_rank_nothing():
    table = few_seeds(np.ones((3, 5)), np.zeros((3, 3), dtype=bool))
    assert (table["other_winner"] == 0).all()
    assert table[["tau", "reversed"]].isna().all(axis=None)


def test_a_winner_that_cannot_be_told_from_the_winner_is_no_error():
    values = np.array([[3.0, 3, 3, 0], [1, 1, 1, 5]])
    assert few_seeds(values, np.zeros((2, 2), dtype=bool)).loc[1, "winner_apart"] == 0
    assert few_seeds(values, everything_apart(2)).loc[1, "winner_apart"] == 0.25


def test_many_subsets_are_drawn_and_the_same_each_time():
    drawn = subsets(20, 8)
    assert drawn.shape == (SUBSETS, 8)
    assert all(len(set(places)) == 8 for places in drawn.tolist())
    assert np.array_equal(drawn, subsets(20, 8))


@pytest.mark.parametrize("values", [np.ones((3, 3)), np.ones((1, 9)), np.array([[1, 2, 3, np.nan]] * 2)])
def test_too_little_and_gaps_are_refused(values):
    with pytest.raises(ValueError, match="the accuracies"):
        few_seeds(values, everything_apart(len(values)))
