"""Searches that were made again: where their op weights part, and what they returned."""

import shutil
from contextlib import chdir
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from benchmarks.repeated_runs import main, side_by_side
from harness.results.folder import load_results
from tests.benchmarks.pages import quick_page
from tests.published import finish_board

HOW = ("--how", "on another machine")


@pytest.fixture(scope="module")
def results(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    shutil.copytree(prepared, folder, dirs_exist_ok=True)
    with chdir(folder):
        finish_board(variants={"darts": {}, "rsps": {}}, baselines={}, reference="darts")
    return folder / "results"


@pytest.fixture
def again(results: Path, tmp_path: Path) -> Path:
    shutil.copytree(results, tmp_path / "again")
    return tmp_path / "again"


def change(table: Path, where: str, column: str, value: object) -> None:
    content = pd.read_parquet(table)
    content.loc[content.query(where).index, column] = value
    content.to_parquet(table)


def test_the_same_results_do_not_differ(results: Path, again: Path, tmp_path: Path) -> None:
    page, table = quick_page(main, tmp_path, str(results), str(again), *HOW)
    assert list(table["method"].unique()) == ["darts", "rsps"]
    of_darts = table[table["method"] == "darts"]
    assert of_darts["first epoch that differs"].isna().all()
    assert (of_darts["at the end"] == 0).all()
    assert (table["same cell"] == "yes").all()
    assert f"The same cell is returned by {len(table)} of {len(table)}." in page
    assert "on another machine" in page


def test_the_place_where_op_weights_part_is_told(results: Path, again: Path) -> None:
    place = "variant == 'darts' and seed == 1 and edge == '0>2' and operation == 'none'"
    change(again / "alpha.parquet", f"{place} and epoch >= 2", "weight", 0.9)
    table = side_by_side(load_results(results), load_results(again)).set_index(["method", "seed"])
    row = table.loc["darts", 1]
    weights = pd.read_parquet(results / "alpha.parquet").query(place).set_index("epoch")["weight"]
    assert row["first epoch that differs"] == 2
    assert row["largest difference of an op weight after it"] == pytest.approx(0.9 - weights[2])
    assert row["at the end"] == pytest.approx(0.9 - weights[3])
    assert row["edges with another leading operation at the end"] == 1
    assert pd.isna(table.loc["darts", 0]["first epoch that differs"])


def test_a_search_that_stopped_earlier_is_compared_as_far_as_it_went(results: Path, again: Path) -> None:
    content = pd.read_parquet(again / "alpha.parquet")
    content[content["epoch"] <= 2].to_parquet(again / "alpha.parquet")
    table = side_by_side(load_results(results), load_results(again))
    assert (table.query("method == 'darts'")["at the end"] == 0).all()


def test_another_answer_counts_with_its_truth(results: Path, again: Path) -> None:
    best = load_results(results).space.sort_values("truth/cifar10/test").iloc[-1]
    for column, value in (("cell", best["cell"]), ("truth/cifar10/test", best["truth/cifar10/test"])):
        change(again / "runs.parquet", "variant == 'rsps' and seed == 0", column, value)
    table = side_by_side(load_results(results), load_results(again)).set_index(["method", "seed"])
    assert table.loc["rsps", 0]["same cell"] == "no"
    assert table.loc["rsps", 0]["of the repetition"] == best["truth/cifar10/test"]


@pytest.mark.parametrize(
    ("where", "column", "value", "sentence"),
    [
        ("variant == 'darts' and seed == 1", "fingerprint", "other", "darts with seed 1 has other settings"),
        ("seed >= 0", "seed", 77, "no search is in both"),
    ],
)
def test_what_is_no_repetition_is_refused(
    results: Path, again: Path, where: str, column: str, value: object, sentence: str
) -> None:
    change(again / "runs.parquet", where, column, value)
    result = CliRunner().invoke(main, [str(results), str(again), *HOW])
    assert result.exit_code == 1
    assert sentence in result.output
