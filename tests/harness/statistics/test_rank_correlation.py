import itertools
import math
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.statistics.rank_correlation import rank_correlation, rank_correlation_table


def pairs(one_shot, truth) -> dict[str, float]:
    return rank_correlation(np.array(one_shot, dtype=float), np.array(truth, dtype=float))


def tau_b(x: np.ndarray, y: np.ndarray) -> float:
    """By its definition, pair by pair."""
    products = [np.sign(x[i] - x[j]) * np.sign(y[i] - y[j]) for i, j in itertools.combinations(range(len(x)), 2)]
    untied = [sum(v[i] != v[j] for i, j in itertools.combinations(range(len(v)), 2)) for v in (x, y)]
    return sum(products) / math.sqrt(untied[0] * untied[1])


def test_four_cells_by_hand() -> None:
    found = pairs([1, 2, 3, 4], [10, 30, 20, 40])
    assert found["cells"] == 4
    assert found["kendall"] == pytest.approx(4 / 6)  # 5 pairs agree, 1 does not
    assert found["spearman"] == pytest.approx(0.8)  # 1 - 6 * 2 / (4 * 15)


def test_ties_are_taken_out_of_the_denominator() -> None:
    # 6 pairs: 4 agree, 1 is tied on the left, 1 on the right; tau-b = 4 / sqrt(5 * 5), tau-a would be 4 / 6.
    assert pairs([1, 1, 2, 3], [1, 2, 3, 3])["kendall"] == pytest.approx(4 / 5)


def test_many_cells_with_ties_against_the_definition_and_scipy() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(90, 3, 100)
    one_shot = np.round(truth + generator.normal(0, 3, 100))
    found = rank_correlation(one_shot, truth)
    best = np.argsort(-truth)[:20]
    assert found["kendall"] == pytest.approx(tau_b(one_shot, truth))
    assert found["spearman"] == pytest.approx(stats.pearsonr(stats.rankdata(one_shot), stats.rankdata(truth))[0])
    assert found["kendall_best_fifth"] == pytest.approx(tau_b(one_shot[best], truth[best]))
    assert found["kendall_best_fifth"] < found["kendall"]


def test_the_best_fifth_is_that_of_the_truth() -> None:
    # Right over all but reversed among the two best of ten; by one-shot accuracy the two best would be others.
    one_shot, truth = [1, 2, 3, 4, 5, 6, 7, 8, 6.8, 6.7], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert pairs(one_shot, truth)["kendall_best_fifth"] == -1


def test_precision_by_hand() -> None:
    # The 10 one-shot-best of 20 are cells 10 to 19, the truth-best cells 7 to 16.
    truth = np.arange(20.0)
    truth[17:] = -1, -2, -3
    assert pairs(range(20), truth)["precision_at_10"] == 0.7


def test_precision_shares_a_tie_at_the_boundary() -> None:
    # 8 cells are certain and right; 2 of 4 equal ones are taken, and 1 of those 4 is among the truth-best.
    one_shot = [9] * 8 + [5] * 4 + [1] * 8
    truth = [50] * 9 + [40, 2, 1, 0, 45] + [3] * 6  # the ten best: cells 0 to 8 and cell 13
    assert pairs(one_shot, truth)["precision_at_10"] == pytest.approx((8 + 0.5) / 10)


def test_ten_cells_or_fewer_have_no_precision() -> None:
    assert math.isnan(pairs(range(10), range(10))["precision_at_10"])
    assert pairs(range(11), range(11))["precision_at_10"] == 1


@pytest.mark.parametrize(
    ("one_shot", "truth"),
    [([5] * 12, range(12)), (range(12), [5] * 12), ([], []), ([1], [1]), ([math.nan] * 12, range(12))],
    ids=["constant one-shot", "constant truth", "empty", "one cell", "nothing known"],
)
def test_what_ranks_nothing_is_nan_without_a_warning(one_shot, truth) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = pairs(list(one_shot), list(truth))
    assert all(math.isnan(found[name]) for name in found if name != "cells")


def test_cells_without_truth_are_left_out() -> None:
    found = pairs([1, 2, 3, 99], [1, 2, 3, math.nan])
    assert (found["cells"], found["kendall"]) == (3, pytest.approx(1))


def test_the_table_has_a_row_a_list_and_column() -> None:
    rows = [
        {
            "variant": variant,
            "seed": 0,
            "epoch": epoch,
            "cell_index": cell,
            "accuracy": cell * sign,
            "truth/a/test": cell,
        }
        | {"truth/b/test": -cell}
        for variant, sign in (("one", 1), ("two", -1))
        for epoch in (5, 10)
        for cell in range(12)
    ]
    table = rank_correlation_table(pd.DataFrame(rows), ["truth/a/test", "truth/b/test"])
    assert list(table) == [
        "variant", "seed", "epoch", "column", "cells", "kendall", "spearman", "kendall_best_fifth", "precision_at_10",
    ]  # fmt: skip
    assert len(table) == 2 * 2 * 2
    found = table.set_index(["variant", "epoch", "column"])["kendall"]
    assert found["one", 5, "truth/a/test"] == found["two", 10, "truth/b/test"] == pytest.approx(1)
    assert found["one", 10, "truth/b/test"] == found["two", 5, "truth/a/test"] == pytest.approx(-1)


def test_without_a_measurement_the_table_is_empty_and_has_its_columns() -> None:
    empty = pd.DataFrame(columns=["variant", "seed", "epoch", "cell_index", "accuracy", "truth/a/test"])
    for table in (rank_correlation_table(empty, ["truth/a/test"]), rank_correlation_table(pd.DataFrame(), [])):
        assert table.empty
        assert "kendall_best_fifth" in table
