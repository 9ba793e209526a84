import json
import math
import re
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from harness.base.errors import UserError
from harness.board.compare import Comparison, compare, told_apart
from harness.cli import main
from tests.conftest import tiny_params, write_params

TEST, OTHER = "truth/cifar10/test", "truth/ImageNet16-120/valid"
LABELS = {OTHER: "ImageNet16-120 valid", TEST: "CIFAR-10 test"}
HIGH = [94.0, 93.5, 94.5, 94.0, 93.0, 94.2, 93.9, 94.1]


def write_results(folder: Path, truths: dict[str, list[float]], status: str = "done") -> Path:
    """A results folder with the given accuracies of seeds 0, 1, ..., on two truth columns; `lost` has no result."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"variant": name, "seed": seed, "kind": "search", "status": status, TEST: value, OTHER: value / 2}
        for name, values in truths.items()
        for seed, value in enumerate(values)
    ]
    rows.append({"variant": "lost", "seed": 0, "kind": "search", "status": "failed", TEST: math.nan, OTHER: math.nan})
    pd.DataFrame(rows).to_parquet(folder / "runs.parquet")
    columns = {key: {"label": label} for key, label in LABELS.items()}
    (folder / "truth.json").write_text(json.dumps({"columns": columns}))
    return folder


def main_column(tmp_path: Path, first: list[float], second: list[float]) -> Comparison:
    return compare("a", "b", write_results(tmp_path / "results", {"a": first, "b": second}))[0]


def test_a_difference_counts_when_it_is_significant_and_above_the_noise():
    assert told_apart(-0.3, 0.01, 0.18)
    assert told_apart(0.1, 0.01, None)
    assert not told_apart(0.3, 0.05, 0.18)
    assert not told_apart(-0.1, 0.01, 0.18)
    assert not told_apart(0.3, math.nan, 0.18)


def test_the_column_to_rank_by_comes_first_and_every_column_is_there(tmp_path):
    found = compare("a", "b", write_results(tmp_path, {"a": HIGH, "b": HIGH}))
    assert [comparison.label for comparison in found] == ["CIFAR-10 test", "ImageNet16-120 valid"]
    assert [comparison.noise for comparison in found] == [0.18, None]


def test_numbers_are_those_of_the_pairs(tmp_path):
    # Seed 3 has no partner; the others are +2, -1, 0.
    found = main_column(tmp_path, [94.0, 92.0, 93.0, 50.0], [92.0, 93.0, 93.0])
    row = found.row
    assert (row["pairs"], row["unpaired"], row["wins"], row["ties"], row["losses"]) == (3, 1, 1, 1, 1)
    assert row["mean_difference"] == pytest.approx(1 / 3)
    # 12 pairs of runs: 94 beats three; 92 ties one of three; 93 beats one and ties two; 50 beats none.
    assert row["probability_of_improvement"] == pytest.approx((3 + 0.5 + 1 + 2 * 0.5) / 12)
    assert found.values.loc[3, "first"] == 50.0
    assert math.isnan(found.values.loc[3, "second"])


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (
            [value - 1 for value in HIGH],
            "a is 1.00 points above b [1.00, 1.00]; the board tells them apart (8 pairs, p = 0.00781).",
        ),
        ([value + 1 for value in HIGH], "b is 1.00 points above a [1.00, 1.00]; the board tells them apart"),
        (HIGH, "equal in 8 pairs, so the board cannot tell them apart"),
        (
            [value - 0.1 for value in HIGH],
            "[0.10, 0.10]; the board cannot tell them apart: that is less than the noise floor of 0.18",
        ),
        (HIGH[::-1][:4], "4 pairs cannot reach p < 0.05 even if all agree (6 needed)"),
        (
            [93.0, 94.5, 93.0, 94.5, 92.0, 95.0, 92.0, 95.0],
            "chance can explain it (p = 0.52); a true difference of this size would need about 1",
        ),
        # One collapse against seven small losses: the mean says one thing, the ranks another.
        ([94.1, 93.6, 94.6, 94.1, 93.1, 94.3, 94.0, 60.0], "cannot tell them apart"),
    ],
)
def test_verdicts(tmp_path, second, sentence):
    verdict = main_column(tmp_path, HIGH, second).verdict()
    assert verdict.startswith("CIFAR-10 test: ")
    assert sentence in verdict


def test_a_difference_that_training_of_the_cells_allows_tells_nothing_apart(tmp_path):
    # Every run of `a` found one cell and every run of `b` another: eight seeds, and one mean of three trainings each.
    folder = write_results(tmp_path, {"a": [93.9] * 8, "b": [93.5] * 8})
    runs = pd.read_parquet(folder / "runs.parquet")
    errors = {"training_error/cifar10/test": 0.2 / math.sqrt(3), "training_freedom/cifar10/test": 2.0}
    cells = runs["variant"].map({"a": 5.0, "b": 6.0})
    runs.assign(cell_index=cells, **errors).to_parquet(folder / "runs.parquet")
    found = compare("a", "b", folder)
    assert found[0].row["p_sign_flip"] < 0.05
    assert found[0].training_noise == pytest.approx(0.4534, abs=1e-4)
    assert not found[0].told_apart
    assert "training noise of the cells they found allows up to 0.45, and more seeds" in found[0].verdict()
    assert found[1].training_noise is None
    assert found[1].told_apart
    runs.assign(cell_index=cells, **{**errors, "training_error/cifar10/test": 0.1}).to_parquet(folder / "runs.parquet")
    assert compare("a", "b", folder)[0].told_apart


def test_results_of_an_earlier_version_tell_no_training_noise(tmp_path):
    assert main_column(tmp_path, HIGH, [value - 1 for value in HIGH]).training_noise is None


def test_verdict_names_the_winner_of_most_pairs_when_few_pairs_decide_the_mean(tmp_path):
    first = [90.0 + seed / 10 for seed in range(12)]
    second = [value + 0.5 + place / 50 for place, value in enumerate(first)]
    second[0] = 60.0
    verdict = main_column(tmp_path, first, second).verdict()
    assert "though b is higher in 11 of 12 pairs: few pairs decide the mean" in verdict


def test_without_a_common_seed_the_board_cannot_tell(tmp_path):
    folder = write_results(tmp_path, {"a": [94.0], "b": [93.0]})
    runs = pd.read_parquet(folder / "runs.parquet")
    runs.loc[runs["variant"] == "b", "seed"] = 7
    runs.to_parquet(folder / "runs.parquet")
    found = compare("a", "b", folder)[0]
    assert "no seed has a result of both" in found.verdict()
    assert found.row["probability_of_improvement"] == 1.0


def test_a_column_that_one_side_lacks_is_left_out(tmp_path):
    folder = write_results(tmp_path, {"a": HIGH, "b": HIGH})
    runs = pd.read_parquet(folder / "runs.parquet")
    runs.loc[runs["variant"] == "b", OTHER] = math.nan
    runs.to_parquet(folder / "runs.parquet")
    assert [comparison.key for comparison in compare("a", "b", folder)] == [TEST]


def test_methods_whose_cells_have_no_truth_are_told_in_a_sentence(tmp_path):
    folder = write_results(tmp_path, {"a": HIGH, "b": [math.nan] * 8})
    with pytest.raises(UserError, match="'a' and 'b' have no truth column in common"):
        compare("a", "b", folder)


def test_stopped_runs_are_results_and_diverged_ones_are_not(tmp_path):
    assert compare("a", "b", write_results(tmp_path / "x", {"a": HIGH, "b": HIGH}, status="stopped"))
    with pytest.raises(UserError, match="'a' has no finished run to compare: 8 diverged"):
        compare("a", "b", write_results(tmp_path / "y", {"a": HIGH, "b": HIGH}, status="diverged"))


# The command


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, tiny_params())
    low = [value - 1 for value in HIGH]
    return write_results(tmp_path / "results", {"darts": low, "gdas": HIGH, "[b]odd[/b]": HIGH[:1]})


def dartsboard(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(main, ["compare", *arguments])


def test_command_prints_seeds_statistics_and_verdicts(board):
    text = dartsboard("gdas", "darts").stdout
    assert "A = gdas, B = darts" in text
    assert text.count("+1.00") >= len(HIGH)
    assert "8 / 0 / 0" in text
    assert "+1.00 (no spread)" in text
    assert text.splitlines()[-4].startswith(
        "CIFAR-10 test: gdas is 1.00 points above darts [1.00, 1.00]; the board tells them apart"
    )
    assert text.splitlines()[-3].startswith("ImageNet16-120 valid: ")
    assert text.splitlines()[-2].startswith("These two are one of 3 pairs on the board. Whoever chose them because")


def test_names_are_printed_as_they_are_and_one_run_is_enough(board):
    text = dartsboard("[b]odd[/b]", "darts").stdout
    assert "A = [b]odd[/b], B = darts" in text
    assert "1 pair cannot reach" in text


def test_command_prints_json(board):
    content = json.loads(dartsboard("darts", "[b]odd[/b]", "--json").stdout)
    assert [entry["key"] for entry in content] == [TEST, OTHER]
    assert content[0]["told_apart"] is False
    assert content[0]["row"]["pairs_needed"] is None
    assert content[0]["values"]["1"] == {"first": HIGH[1] - 1, "second": None}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("dart", "gdas"), "no variant or baseline 'dart', did you mean 'darts'?"),
        (("gdas", "zzz"), "no variant or baseline 'zzz', expected one of: "),
        (("gdas", "gdas"), "'gdas' is named twice"),
        (("gdas", "lost"), "'lost' has no finished run to compare: 1 failed"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(board, names, message):
    result = dartsboard(*names)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["runs.parquet", "truth.json"])
def test_missing_or_damaged_results_are_named(board, name):
    (board / name).write_text("{")
    result = dartsboard("gdas", "darts")
    assert result.exit_code == 2
    assert re.search(rf"results(/{re.escape(name)})? is damaged", result.stderr)
    (board / name).unlink()
    result = dartsboard("gdas", "darts")
    assert (result.exit_code, f"results/{name} is missing" in result.stderr) == (2, True)
    assert "dvc repro lookup" in result.stderr
