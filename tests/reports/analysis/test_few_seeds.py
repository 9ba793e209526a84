from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.results.folder import Results, load_results
from harness.space.cell import ALL_SKIP, RESIDUAL
from reports.analysis.statistics import by_few_seeds, complete, pairs_apart
from reports.tables.statistics import few_seeds_table
from reports.tables.table import DASH
from tests.reports.simulate import Simulation


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Three searches of six seeds, one of which lacks a result, and a baseline."""
    Simulation(
        searches={"low": (ALL_SKIP, 1.0), "high": (RESIDUAL, 1.0), "partial": (RESIDUAL, 0.5)},
        baselines=("random-search",),
        seeds=(0, 1, 2, 3, 4, 5),
        epochs=2,
        evaluations=2,
        lost={("partial", 3): ("failed", "memory")},
    ).write(tmp_path)
    return load_results(tmp_path)


def test_only_searches_with_a_result_for_every_seed_take_part(results: Results) -> None:
    values = complete(results)
    assert (set(values.index), list(values.columns)) == ({"low", "high"}, [0, 1, 2, 3, 4, 5])


def test_the_whole_board_is_shown_with_every_smaller_number_of_seeds(results: Results) -> None:
    values, found = by_few_seeds(results)
    assert list(found.index) == [1, 2, 3, 5]
    assert found["pairs_apart"].eq(1).all()
    assert found[["other_winner", "reversed"]].eq(0).all(axis=None)
    assert few_seeds_table(values, found, results).name == "few-seeds"


def test_pairs_are_told_apart_by_all_seeds_and_beyond_the_noise() -> None:
    clear = pd.DataFrame([np.linspace(90, 91, 10), np.linspace(80, 81, 10), np.linspace(80.01, 81.01, 10)])
    assert pairs_apart(clear, None).tolist() == [[False, True, True], [True, False, True], [True, True, False]]
    assert pairs_apart(clear, 0.2).tolist() == [[False, True, True], [True, False, False], [True, False, False]]
    assert not pairs_apart(clear.iloc[:, :5], None).any()


def test_the_table_writes_shares_in_percent(results: Results) -> None:
    values = pd.DataFrame([np.linspace(90, 91, 6), np.linspace(80, 81, 6)], index=["a", "b"])
    found = pd.DataFrame(
        {
            **{"subsets": [20], "other_winner": [0.125], "winner_apart": [0.0], "tau": [0.5], "tau_low": [0.0]},
            **{"tau_high": [1.0], "reversed": [np.nan], "other_best": [1.0], "pairs_apart": [1]},
        },
        index=pd.Index([3], name="k"),
    )
    table = few_seeds_table(values, found, results)
    (row,) = table.groups[0][1]
    assert [entry.text for entry in row] == ["3 of 6", "20", "12 %", "0 %", "0.50", DASH, "100 %"]


def test_a_board_of_few_seeds_has_no_such_table(results: Results) -> None:
    runs = results.runs[results.runs["seed"] < 3]
    assert by_few_seeds(replace(results, runs=runs)) is None
