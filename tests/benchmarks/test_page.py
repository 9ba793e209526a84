import importlib
import math
from pathlib import Path

import click
import pandas as pd
import pytest
from click.testing import CliRunner

from benchmarks import page
from benchmarks.page import figure, markdown, page_options, write_page
from harness.base.errors import UserError
from tests.conftest import ROOT

BENCHMARKS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if "@page_options\n" in path.read_text())
TABLE = pd.DataFrame({"way": ["one", "other"], "ms": [1234.56, math.nan], "runs": [10, 20000]})


@click.command()
@click.option("--fail", is_flag=True)
@page_options
def command(fail: bool, quick: bool, output: Path | None) -> None:
    if fail:
        raise UserError("nothing to measure")
    write_page("tried", "# Tried", TABLE, quick=quick, output=output, remarks=("a remark",), device="a card")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(page, "RESULTS", tmp_path / "results")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path / "results"


def test_a_full_measurement_goes_among_the_results(results: Path) -> None:
    result = CliRunner().invoke(command, [])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in results.iterdir()) == ["tried.csv", "tried.md"]
    text = (results / "tried.md").read_text()
    assert text in result.output
    assert text.startswith("# Tried\n\n- command: `python -m benchmarks.tried")
    assert "\n- a remark\n" in text
    assert "- hardware: a card; " in text
    read = pd.read_csv(results / "tried.csv")
    pd.testing.assert_frame_equal(read, TABLE)


def test_a_quick_one_never_does(results: Path) -> None:
    result = CliRunner().invoke(command, ["--quick"])
    assert result.exit_code == 0, result.output
    assert not results.exists()
    assert len(list(results.parent.glob("benchmark-*/tried.md"))) == 1


def test_it_goes_where_it_is_told(results: Path, tmp_path: Path) -> None:
    for more in ([], ["--quick"]):
        result = CliRunner().invoke(command, [*more, "--output", str(tmp_path / "own" / f"page{len(more)}.md")])
        assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == [
        "page0.csv",
        "page0.md",
        "page1.csv",
        "page1.md",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


def test_a_mistake_is_one_sentence(results: Path) -> None:
    result = CliRunner().invoke(command, ["--fail"])
    assert (result.exit_code, result.output) == (1, "Error: nothing to measure\n")


def test_a_table_has_three_digits_and_nothing_where_there_is_nothing() -> None:
    rows = [[part.strip() for part in line.split("|")[1:-1]] for line in markdown(TABLE).splitlines()]
    assert rows[0] == ["way", "ms", "runs"]
    assert rows[2:] == [["one", "1,230", "10"], ["other", "", "20,000"]]
    assert [figure(value) for value in (0.012345, 99.96, 123.4, 5e6, "text")] == [
        *("0.0123", "100", "123", "5,000,000", "text"),
    ]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_page_is_named_after_its_module(name: str) -> None:
    assert name == importlib.import_module(f"benchmarks.{name}").NAME
