"""What the report says of boards of equal methods, on fewer boards than the benchmark has."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from benchmarks import null_boards
from benchmarks.null_boards import BASELINE, BEST, KINDS, PAIR, PICKED, PREDICTOR, REFERENCE, REPAIR
from benchmarks.page import RESULTS
from harness.board.compare import LEVEL
from reports import false_rates

BOARDS = 60
SKEWED = "skewed and unequal spreads"


@pytest.fixture(scope="module")
def measured() -> pd.DataFrame:
    return pd.read_csv(RESULTS / "null_boards.csv")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seeds", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_few_boards_of_equal_methods_carry_a_false_statement(kind: str, seeds: int) -> None:
    found = null_boards.rates(kind, seeds, 9, BOARDS)
    stated = dict.fromkeys((BEST, REFERENCE, BASELINE, PAIR, REPAIR, PREDICTOR), LEVEL)
    stated[PREDICTOR] = false_rates.PREDICTORS / 100
    if seeds == 3:
        stated[REPAIR] = 0.27  # said beside the mark
    if kind == SKEWED:
        stated[PREDICTOR] = 0.13  # the highest of the mean that the page states
        stated |= {BEST: false_rates.BEST / 100, REFERENCE: false_rates.REFERENCE / 100}
        stated |= {BASELINE: false_rates.BASELINE / 100, REPAIR: max(stated[REPAIR], false_rates.REPAIR / 100)}
    for claim, rate in stated.items():
        measured, boards = found.loc[claim, ["rate", "boards"]]
        assert measured <= rate + 3 * np.sqrt(rate * (1 - rate) / boards), claim


def test_a_pair_that_was_picked_is_no_test() -> None:
    assert null_boards.rates("normal", 10, 9, BOARDS)["rate"][PICKED] > 0.15


def test_the_page_states_the_rates_that_were_measured(measured: pd.DataFrame) -> None:
    skewed = measured[(measured["board"] == SKEWED) & (measured["seeds"] >= 6)].groupby("claim")["rate"].max()
    stated = {
        BEST: false_rates.BEST,
        REFERENCE: false_rates.REFERENCE,
        BASELINE: false_rates.BASELINE,
        REPAIR: false_rates.REPAIR,
    }
    assert {claim: np.ceil(100 * skewed[claim] - 1e-6) for claim in stated} == stated
    bold = measured[measured["claim"] == PREDICTOR]
    assert round(100 * np.average(bold["rate"], weights=bold["boards"])) == false_rates.PREDICTORS


def test_every_other_rate_holds(measured: pd.DataFrame) -> None:
    said = measured["claim"].isin([PICKED, PREDICTOR]) | (measured["board"] == SKEWED)
    said |= (measured["claim"] == REPAIR) & (measured["seeds"] < 6)
    assert measured.loc[~said, "holds"].all(), measured[~said & ~measured["holds"]].to_string()


def test_a_difference_that_is_there_is_found() -> None:
    assert min(null_boards.power(5.0, 1.0, 10, 20).values()) > 0.9
    assert max(null_boards.power(0.1, 0.01, 10, 20).values()) == 0  # below the noise floor


def test_the_page_says_how_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    assert CliRunner().invoke(null_boards.main, ["--quick", "--output", str(path)]).exit_code == 0
    page = path.read_text()
    assert "- command: `python -m benchmarks.null_boards" in page
    assert "## A mark beside the best" in page and "| n = 3 " in page
    assert len(pd.read_csv(path.with_suffix(".csv"))) == len(KINDS) * 2 * len(null_boards.SAID)
