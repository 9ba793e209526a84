"""p-values of many comparisons: against counting by hand, and against boards of equal methods."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.statistics import step_down
from harness.statistics.significance import sign_flip_test
from harness.statistics.step_down import adjusted_p_values, step_down_sign_flips

NAN = float("nan")
tables = st.integers(1, 6).flatmap(
    lambda seeds: st.lists(
        st.lists(st.integers(-9, 9).map(float), min_size=3, max_size=3), min_size=seeds, max_size=seeds
    )
)


def by_the_definition(differences: np.ndarray) -> np.ndarray:
    """Step down over all sign patterns, one comparison and one pattern at a time."""

    def statistic(values: np.ndarray) -> float:
        norm = np.sqrt((values**2).sum())
        return round(abs(values.sum()) / norm, 9) if norm else 0.0

    patterns = [np.array(signs) for signs in product((1, -1), repeat=len(differences))]
    columns = range(differences.shape[1])
    left = sorted(columns, key=lambda column: -statistic(differences[:, column]))
    adjusted, highest = np.zeros(len(left)), 0.0
    while left:
        observed = statistic(differences[:, left[0]])
        as_large = [max(statistic(differences[:, each] * signs) for each in left) >= observed for signs in patterns]
        highest = max(highest, float(np.mean(as_large)))
        adjusted[left.pop(0)] = highest
    return adjusted


@settings(deadline=None)
@given(tables)
def test_step_down_is_the_share_of_patterns_in_which_any_that_is_left_is_as_large(rows):
    differences = np.array(rows)
    assert step_down_sign_flips(differences) == pytest.approx(by_the_definition(differences))


def test_one_comparison_is_the_sign_flip_test_alone():
    for values in ([1.0, 2.0, 4.0], [1.0, -2.0, 4.0], [0.61] * 10, np.random.default_rng(0).normal(0.5, 1, 12)):
        assert step_down_sign_flips(np.reshape(values, (-1, 1)))[0] == pytest.approx(sign_flip_test(values))


def test_more_comparisons_never_take_more_seeds():
    generator = np.random.default_rng(1)
    differences = np.column_stack([generator.normal(10, 0.1, 6), generator.normal(0, 1, (6, 30))])
    adjusted = step_down_sign_flips(differences)
    assert adjusted[0] == 2 / 2**6
    assert (adjusted[1:] > 0.05).all()


def test_drawn_patterns_are_close_to_all_of_them(monkeypatch):
    differences = np.random.default_rng(2).normal(0.4, 1, (14, 5))
    exact = step_down_sign_flips(differences)
    monkeypatch.setattr(step_down, "EXACT_SEEDS", 10)
    drawn = step_down_sign_flips(differences)
    assert drawn == pytest.approx(exact, abs=0.015)
    assert (drawn == step_down_sign_flips(differences)).all()
    assert step_down_sign_flips(np.ones((40, 1)))[0] == 1 / (1 + step_down.DRAWN_PATTERNS)


def board(columns: dict[str, Sequence[float]]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_each_method_is_compared_with_the_reference():
    results = board({"a": [1.0, 2, 3, 4], "reference": [0.0] * 4, "b": [1.0, -1, 1, -1]})
    p_values = adjusted_p_values(results, "reference")
    expected = step_down_sign_flips(results[["a", "b"]])
    assert p_values.to_dict() == pytest.approx({"a": expected[0], "b": expected[1]})


def test_the_candidates_for_the_reference_count():
    generator = np.random.default_rng(4)
    results = board({"a": generator.normal(0, 1, 8), "best": generator.normal(1, 1, 8), "c": generator.normal(0, 1, 8)})
    pairs = [("best", "a"), ("best", "c"), ("a", "c")]
    every = step_down_sign_flips(np.column_stack([results[first] - results[second] for first, second in pairs]))
    p_values = adjusted_p_values(results, "best", results.columns)
    assert p_values.to_dict() == pytest.approx({"a": every[0], "c": every[1]})
    assert (p_values > adjusted_p_values(results, "best")).any()


def test_a_seed_that_a_method_lacks_changes_nothing():
    results = board({"a": [1.0, 2, 3, NAN], "reference": [0.0] * 4, "none": [NAN] * 4})
    p_values = adjusted_p_values(results, "reference")
    assert p_values["a"] == sign_flip_test([1.0, 2, 3])
    assert np.isnan(p_values["none"])
    assert adjusted_p_values(results[["reference"]], "reference").empty


@pytest.mark.parametrize(("seeds", "spreads"), [(6, (1.0, 1.0)), (10, (1.0, 1.0)), (10, (0.05, 3.0))])
def test_the_best_of_equal_methods_beats_any_of_them_in_one_case_of_twenty(seeds, spreads):
    # One test each, without the choice in the family, does so in more than one case of ten from ten seeds on.
    generator = np.random.default_rng(3)
    beaten, boards = 0, 200
    for _ in range(boards):
        accuracies = generator.normal(0, 1, (seeds, 12)) * np.geomspace(*spreads, 12)
        results = pd.DataFrame(accuracies).rename(columns=str)
        best = str(results.mean().idxmax())
        beaten += (adjusted_p_values(results, best, results.columns) <= 0.05).any()
    assert beaten / boards <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / boards)


@pytest.mark.parametrize(("values", "message"), [([[0.5, NAN]], "1 of 2 values"), ([], "empty")])
def test_values_that_are_not_finite_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        step_down_sign_flips(values)
