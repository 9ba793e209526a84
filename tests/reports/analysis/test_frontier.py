import math

import numpy as np
import pandas as pd

from reports.analysis import frontier

NAN = math.nan


def medians(rows: dict[str, tuple[float, float]]) -> pd.DataFrame:
    """Variant to cost and truth."""
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["charged", "truth"])
    return table.rename_axis("variant").reset_index()


def steps(rows: list[tuple[int, float, float, float]]) -> pd.DataFrame:
    """Seed, share, charged, truth of one variant."""
    return pd.DataFrame(rows, columns=["seed", "share", "charged", "truth"])


def test_dominance_by_cost_and_truth() -> None:
    table = medians({"cheap": (1, 80), "good": (5, 93), "worse": (5, 92), "dear": (9, 93), "best": (20, 94)})
    assert frontier.dominated_by(table, "charged") == ["", "", "good", "good", ""]


def test_equal_variants_do_not_dominate_each_other_and_the_best_dominator_is_named() -> None:
    table = medians({"a": (5, 93), "b": (5, 93), "c": (6, 93), "d": (7, 90), "e": (7, 95)})
    assert frontier.dominated_by(table, "charged") == ["", "", "a", "e", ""]


def test_the_answer_at_a_cost_is_the_last_before_it() -> None:
    one = steps([(0, 0.25, 40.0, 80.0), (0, 0.5, 40.0, 90.0), (0, 1.0, 40.0, 85.0), (1, 1.0, 20.0, 70.0)])
    found = frontier.truths_at(one, "charged", np.array([9.0, 10.0, 25.0, 40.0, 99.0]))
    np.testing.assert_array_equal(found, [[NAN, 80, 90, 85, 85], [NAN, NAN, 70, 70, 70]])


def test_a_curve_starts_with_half_of_the_runs_and_ends_with_the_last() -> None:
    one = steps([(seed, 1.0, cost, truth) for seed, cost, truth in ((0, 10, 60), (1, 20, 80), (2, 40, 90))])
    found = frontier.curve(one, "charged", np.array([5.0, 10.0, 20.0, 39.0, 60.0]))
    # At 10 one run of three has an answer, at 20 two; 60 lies beyond the last end, 40.
    assert found["cost"].tolist() == [20, 39, 40]
    assert found["median"].tolist() == [70, 70, 80]
    assert found[["low", "high"]].iloc[-1].tolist() == [70, 85]


def test_the_best_baseline_of_equal_cost() -> None:
    table = medians({"search": (100, 90), "cheap": (10, 90), "a": (500, 93), "b": (300, 92)})
    table["kind"] = ["search", "search", "baseline", "baseline"]
    found = frontier.with_equal_cost(
        table,
        {
            "a": steps([(0, 0.1, 500, 70), (0, 1.0, 500, 93), (1, 0.1, 500, 72), (1, 1.0, 500, 93)]),
            "b": steps([(0, 0.3, 300, 80), (0, 1.0, 300, 92), (1, 0.9, 300, 99), (1, 1.0, 300, 92)]),
        },
    )
    # At 100 s a has 70 and 72, b has 80 in one of two runs.
    assert found["equal_cost_baseline"].tolist() == ["b", "", "", ""]
    assert found["equal_cost_truth"].tolist()[0] == 80.0
    assert found["equal_cost_truth"].isna().tolist() == [False, True, True, True]
