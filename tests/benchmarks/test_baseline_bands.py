from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from benchmarks import baseline_bands
from benchmarks.baseline_bands import (
    BUDGETS,
    ENTRIES,
    SIGNAL_COLUMN,
    TABLE,
    TRIAL_SD,
    answers,
    compare,
    cost_of_a_trial,
    main,
    mean_signal,
    read_table,
    trial_signal,
    two_length_signal,
    worth_of_longer_trainings,
)
from tests.benchmarks.pages import quick_page

RUNS = 40
QUICK = [entry for entry in ENTRIES if entry.method != "tpe"]  # whose model takes a second a run


@pytest.fixture(scope="module")
def rows(reference_data: Path) -> pd.DataFrame:
    return compare(read_table(reference_data / TABLE), RUNS, QUICK)


def test_every_baseline_scores_what_an_independent_simulation_scored(rows: pd.DataFrame) -> None:
    assert len(rows) == 3 * 4 * 3 + 1 + 2 * 4 * 3
    assert rows["reference mean"].isna().sum() == 2 * 4 * 3  # the two forms of local search
    far = rows[rows["difference"].abs() > 4 * rows["standard error"]]
    assert far.empty, far.to_string()
    known = rows.dropna(subset="reference sd")
    assert (known["sd"] / known["reference sd"]).between(0.6, 1.6).all()


def test_the_order_that_the_literature_reports(rows: pd.DataFrame) -> None:
    at_100 = rows[(rows["evaluations"] == 100) & (rows["data set"] == "CIFAR-10")].set_index("baseline")["mean"]
    assert at_100["regularized-evolution"] > at_100["random-search"] + 0.1
    assert at_100["reinforce lr=0.5"] < at_100["reinforce"] - 0.3


def test_what_takes_longer_has_fewer_runs(reference_data: Path) -> None:
    signal = mean_signal(read_table(reference_data / TABLE))
    entry = replace(ENTRIES[0], fewer=3)
    found = answers(entry, signal, 9)
    assert {budget: len(cells) for budget, cells in found.items()} == dict.fromkeys(BUDGETS, 3)
    assert answers(entry, signal, 9, [60])[60] == found[60]


def test_longer_trainings_are_charged_and_seen(reference_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = read_table(reference_data / TABLE)
    assert two_length_signal(table).lengths == (12, 200)
    monkeypatch.setattr(baseline_bands, "SECONDS", (12_000,))
    found = worth_of_longer_trainings(table, 3).set_index("baseline")
    assert found.loc["random-search", "200 epochs"] == 0
    halving = found.loc["successive-halving"]
    assert 0 < halving["200 epochs"] < halving["12 epochs"] < found.loc["random-search", "12 epochs"]


def test_trainings_whose_prices_do_not_tell_their_length_are_not_counted(
    reference_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = read_table(reference_data / TABLE)
    signal = two_length_signal(table)
    cheap = replace(signal, longer=(replace(signal.longer[0], seconds=signal.seconds),))
    monkeypatch.setattr(baseline_bands, "two_length_signal", lambda table: cheap)
    with pytest.raises(AssertionError):
        worth_of_longer_trainings(table, 1)


def test_made_up_trials_have_the_means_of_the_table_and_the_spread_of_the_benchmark(reference_data: Path) -> None:
    table = read_table(reference_data / TABLE)
    drawn = trial_signal(table).scores
    assert drawn.mean(axis=0) == pytest.approx(table[SIGNAL_COLUMN].to_numpy())
    assert drawn.std(axis=0, ddof=1).mean() == pytest.approx(TRIAL_SD * (2 / np.pi) ** 0.5, rel=0.02)


def test_seeing_one_training_costs_accuracy(reference_data: Path) -> None:
    found = cost_of_a_trial(read_table(reference_data / TABLE), RUNS, QUICK[:-2]).set_index("baseline")
    assert (found["difference"] < 0.1).all()
    assert found["difference"].mean() < 0


def test_the_page_says_how_it_was_made(reference_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline_bands, "ENTRIES", baseline_bands.ENTRIES[:1])
    monkeypatch.setattr(baseline_bands, "HALVING", baseline_bands.HALVING[2:3])
    page, rows = quick_page(main, tmp_path, str(reference_data / TABLE))
    assert f"- table: {TABLE}\n" in page
    assert len(rows) == 4 * 3
    assert set(rows["n"]) == {2}


def test_a_missing_table_is_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path / "absent.parquet")])
    assert result.exit_code == 1
    assert "is missing" in result.output
    assert "Traceback" not in result.output
