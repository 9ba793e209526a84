"""Searches that were made again: where their op weights part, and what they returned."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from benchmarks.repeated_runs import main, side_by_side
from harness.results.folder import load_results
from tests.benchmarks.pages import quick_page
from tests.conftest import ROOT

RESULTS = ROOT / "boards" / "small-cifar-bfloat16" / "results"
HOW = ("--how", "on another machine")


@pytest.fixture
def again(tmp_path: Path) -> Path:
    """The same results, for a test to change."""
    return shutil.copytree(RESULTS, tmp_path / "again")


def change(table: Path, where: str, **values: object) -> None:
    content = pd.read_parquet(table)
    for column, value in values.items():
        content.loc[content.query(where).index, column] = value
    content.to_parquet(table)


def compared(again: Path) -> pd.DataFrame:
    return side_by_side(load_results(RESULTS), load_results(again)).set_index(["method", "seed"])


def test_the_same_results_do_not_differ(again: Path, tmp_path: Path) -> None:
    page, table = quick_page(main, tmp_path, str(RESULTS), str(again), *HOW)
    assert table.groupby("method").size().to_dict() == {"darts": 8, "pc-darts": 8, "drnas": 8}
    assert table["first epoch that differs"].isna().all()
    assert (table["at the end"] == 0).all()
    assert (table["same cell"] == "yes").all()
    assert "The same cell is returned by 24 of 24." in page
    assert "on another machine" in page


def test_the_place_where_op_weights_part_is_told(again: Path) -> None:
    place = "variant == 'darts' and seed == 1 and edge == '0>2' and operation == 'none'"
    weights = pd.read_parquet(RESULTS / "alpha.parquet").query(place).set_index("epoch")["weight"]
    change(again / "alpha.parquet", f"{place} and epoch >= 2", weight=0.9)
    table = compared(again)
    row = table.loc["darts", 1]
    assert row["first epoch that differs"] == 2
    assert row["largest difference of an op weight after it"] == pytest.approx(0.9 - weights[2])
    assert row["at the end"] == pytest.approx(0.9 - weights[40])
    assert row["edges with another leading operation at the end"] == 1
    assert pd.isna(table.loc["darts", 0]["first epoch that differs"])


def test_a_search_that_stopped_earlier_is_compared_as_far_as_it_went(again: Path) -> None:
    alpha = pd.read_parquet(again / "alpha.parquet")
    alpha[alpha["epoch"] <= 2].to_parquet(again / "alpha.parquet")
    assert (compared(again)["at the end"] == 0).all()


def test_a_search_without_op_weights_has_its_answer_alone(again: Path) -> None:
    alpha = pd.read_parquet(again / "alpha.parquet")
    alpha[alpha["variant"] != "drnas"].to_parquet(again / "alpha.parquet")
    results = load_results(again)
    table = side_by_side(results, results).set_index("method")
    assert table.loc["drnas", "at the end"].isna().all()
    assert (table.loc["drnas", "same cell"] == "yes").all()


def test_another_answer_counts_with_its_truth(again: Path) -> None:
    results = load_results(RESULTS)
    best = results.space.sort_values(results.main.key).iloc[-1]
    answer = {name: best[name] for name in ("cell", results.main.key)}
    change(again / "runs.parquet", "variant == 'darts' and seed == 0", **answer)
    row = compared(again).loc["darts", 0]
    assert row["same cell"] == "no"
    assert row["of the repetition"] == best[results.main.key] > row["true accuracy, %"]


@pytest.mark.parametrize(
    ("where", "values", "sentence"),
    [
        ("variant == 'darts' and seed == 1", {"fingerprint": "other"}, "darts with seed 1 has other settings"),
        ("seed >= 0", {"seed": 77}, "no search is in both"),
    ],
)
def test_what_is_no_repetition_is_refused(again: Path, where: str, values: dict[str, object], sentence: str) -> None:
    change(again / "runs.parquet", where, **values)
    result = CliRunner().invoke(main, [str(RESULTS), str(again), *HOW])
    assert result.exit_code == 1
    assert sentence in result.output
