import math

import numpy as np
import pandas as pd

from harness.space.cell import ALL_SKIP, RESIDUAL
from reports.analysis import cell_timelines

MAIN = "truth/cifar10/test"


def epochs_of(variant: str, seed: int, truths: list[float], cells: list | None = None) -> pd.DataFrame:
    cells = cells or [str(ALL_SKIP)] * len(truths)
    frame = pd.DataFrame({"epoch": range(1, len(truths) + 1), "cell": cells, MAIN: truths})
    return frame.assign(variant=variant, seed=seed, kind="search")


def test_of_many_runs_the_lowest_the_median_and_the_highest_are_shown():
    truths = {0: 90.0, 1: 10.0, 2: 94.0, 3: 70.0, 4: 80.0}
    many = [epochs_of("many", seed, [99.0, truth]) for seed, truth in truths.items()]
    few = [epochs_of("few", seed, [50.0]) for seed in (2, 1, 0)]
    chosen = cell_timelines.chosen_runs(pd.concat([*many, *few]), MAIN)
    assert chosen.loc[chosen["variant"] == "many", "seed"].tolist() == [1, 4, 2]
    assert chosen.loc[chosen["variant"] == "many", "truth"].tolist() == [10.0, 80.0, 94.0]
    assert chosen.loc[chosen["variant"] == "few", "seed"].tolist() == [0, 1, 2]


def test_runs_without_a_cell_have_no_strip():
    runs = pd.concat([epochs_of("a", 0, [50.0], [None]), epochs_of("a", 1, [math.nan])])
    assert cell_timelines.chosen_runs(runs, MAIN)["seed"].tolist() == [1]


def test_strips_hold_the_operations_in_the_order_of_the_epochs():
    run = epochs_of("a", 0, [0.0, 0.0, 0.0], [str(ALL_SKIP), None, str(RESIDUAL)]).iloc[::-1]
    epochs, codes = cell_timelines.operation_codes(run)
    assert epochs.tolist() == [1, 2, 3]
    assert codes.tolist() == [list(ALL_SKIP.codes), [-1] * 6, list(RESIDUAL.codes)]


def test_spans_join_consecutive_epochs():
    epochs = np.array([1, 2, 3, 4, 5, 6])
    holds = np.array([True, True, False, True, False, True])
    assert cell_timelines.constant_spans(epochs, holds) == [(1, 2), (4, 4), (6, 6)]
    assert cell_timelines.constant_spans(epochs, ~holds | holds) == [(1, 6)]
    assert cell_timelines.constant_spans(epochs, holds & ~holds) == []


def test_timelines_have_a_row_a_span():
    cells = [str(ALL_SKIP), str(ALL_SKIP), str(RESIDUAL)]
    epochs = pd.concat([epochs_of("a", 4, [1.0, 2.0, 3.0], cells), epochs_of("b", 0, [9.0], [None])])
    found = cell_timelines.timelines(epochs, MAIN)
    assert set(found["variant"]) == {"a"} and set(found["truth"]) == {3.0} and set(found["place"]) == {0}
    changed = [edge for edge, (old, new) in enumerate(zip(ALL_SKIP.codes, RESIDUAL.codes, strict=True)) if old != new]
    for edge, own in found.groupby("edge"):
        spans = own[["first", "last"]].to_numpy().tolist()
        assert sorted(spans) == ([[1, 2], [3, 3]] if edge in changed else [[1, 3]])
