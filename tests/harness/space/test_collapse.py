"""Time to collapse, against records made by hand."""

import numpy as np
import pandas as pd
import pytest

from harness.space.cell import OPERATIONS
from harness.space.collapse import CRITERIA, SKIPS, TRUTH, collapse_table, time_to_collapse

MAIN = "truth/cifar10/test"


def run(variant: str, *, skips=(), pools=(), nones=(), truth=(), seed=0, kind="search") -> pd.DataFrame:
    """Return the epochs of one run: the counts and truths given, 0 edges and 90 % where none are."""
    length = max(len(skips), len(pools), len(nones), len(truth))
    frame = pd.DataFrame({"variant": variant, "seed": seed, "kind": kind, "epoch": range(1, length + 1)})
    for operation in OPERATIONS:
        frame[f"count_{operation}"] = 0.0
    given = {"count_skip_connect": skips, "count_avg_pool_3x3": pools, "count_none": nones, MAIN: truth}
    frame[MAIN] = 90.0
    for column, values in given.items():
        if len(values):
            frame[column] = values
    return frame


def outcome(*runs: pd.DataFrame, criterion: str) -> dict[str, float]:
    """Return the epoch of collapse of each variant, NaN where it does not collapse."""
    table = collapse_table(pd.concat(runs), MAIN)
    return table[table["criterion"] == criterion].set_index("variant")["epoch"].to_dict()


@pytest.mark.parametrize(
    ("holds", "start"),
    [
        ([True, True, True], 0),
        ([False, True, True], 1),
        ([True, True, False, True], 3),
        ([True, True, False], None),
        ([False, False], None),
        ([], None),
    ],
)
def test_collapse_starts_where_the_condition_holds_until_the_end(holds, start):
    assert time_to_collapse(np.array(holds, dtype=bool)) == start
    assert time_to_collapse(pd.Series(holds, dtype=bool, index=range(7, 7 + len(holds)))) == start


def test_first_epoch_last_epoch_recovery_and_relapse():
    found = outcome(
        run("from the first", skips=[4, 5, 6]),
        run("in the last", skips=[0, 3, 4]),
        run("recovers", skips=[6, 6, 3]),
        run("relapses", skips=[6, 3, 5, 6]),
        criterion="skip",
    )
    assert found["from the first"] == 1
    assert found["in the last"] == 3
    assert found["relapses"] == 3
    assert np.isnan(found["recovers"])


@pytest.mark.parametrize(("criterion", "argument"), [("skip", "skips"), ("pool", "pools"), ("none", "nones")])
def test_each_operation_has_its_own_criterion(criterion, argument):
    table = collapse_table(run("a", **{argument: [0, SKIPS - 1, SKIPS]}), MAIN).set_index("criterion")
    assert table["collapsed"].to_dict() == {name: name == criterion for name in CRITERIA}
    assert table.loc[criterion, "epoch"] == 3


def test_truth_counts_strictly_below_its_threshold_and_never_when_unknown():
    found = outcome(
        run("below", truth=[TRUTH, TRUTH - 0.1, 10.0]),
        run("at", truth=[10.0, 10.0, TRUTH]),
        run("unknown", truth=[10.0, np.nan, np.nan]),
        criterion="truth",
    )
    assert found["below"] == 2
    assert np.isnan(found["at"])
    assert np.isnan(found["unknown"])


def test_only_searches_with_cells_have_rows():
    table = collapse_table(
        pd.concat(
            [
                run("search", skips=[6, 6]),
                run("baseline", skips=[6, 6], kind="baseline"),
                run("without cells", skips=[np.nan, np.nan], truth=[np.nan, np.nan]),
            ]
        ),
        MAIN,
    )
    assert set(table["variant"]) == {"search"}
    assert list(table["criterion"]) == list(CRITERIA)
    assert table["epochs"].tolist() == [2] * len(CRITERIA)


def test_seeds_are_separate_and_epochs_are_put_in_order():
    shuffled = pd.concat([run("a", seed=0, skips=[6, 0, 6]), run("a", seed=1, skips=[0, 6, 0])]).iloc[
        [5, 2, 4, 1, 3, 0]
    ]
    table = collapse_table(shuffled, MAIN)
    skip = table[table["criterion"] == "skip"].set_index("seed")
    assert skip["epoch"][0] == 3
    assert not skip["collapsed"][1]


def test_no_runs_give_an_empty_table_with_the_same_columns_and_types():
    empty, full = collapse_table(run("a", skips=[1]).iloc[:0], MAIN), collapse_table(run("a", skips=[1]), MAIN)
    assert empty.empty
    assert list(empty.columns) == list(full.columns)
    assert (empty.dtypes[["collapsed", "epoch", "epochs"]] == full.dtypes[["collapsed", "epoch", "epochs"]]).all()
