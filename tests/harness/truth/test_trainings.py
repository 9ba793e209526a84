"""Single trainings: imported from a table with a row each, kept, and told beside the means."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from harness.base.errors import UserError
from harness.cli import main
from harness.settings.tables import AccuracyColumn, TruthSettings
from harness.settings.validation import validate
from harness.space.cell import ALL_CONV3, ALL_SKIP, CELL_COUNT
from harness.truth import table_file, table_reading
from harness.truth.columns import TruthColumns
from harness.truth.sources import import_truth
from harness.truth.table import TRUTH_FILE, Truth, describe_cell, write_truth
from harness.truth.table_file import import_table
from harness.truth.two_cells import describe_difference

TEST = AccuracyColumn(data_set="cifar10", split="test", epochs=200)
VALID = AccuracyColumn(data_set="cifar10-valid", split="valid", epochs=200)
C10 = TEST.model_dump()
SKIP = ALL_SKIP.index
CONV = ALL_CONV3.index

ROWS = f"""cell,run,seed,test,valid
{SKIP},0,777,60,40
{SKIP},1,888,40,
{SKIP},2,999,62,42
{CONV},5,-1,93.5,90
{CONV},9,,93.9,91
7,0,777,80,70
"""


@pytest.fixture
def trained(tmp_path: Path) -> Truth:
    return imported(tmp_path, ROWS)


def imported(folder: Path, text: str, **changes: object) -> Truth:
    (folder / "trials.csv").write_text(text)
    content = {
        "source": "table", "path": str(folder / "trials.csv"), "cell_column": "cell", "trial_column": "run",
        "seed_column": "seed", "columns": {"test": C10, "valid": VALID.model_dump()}, "partial": True, **changes,
    }  # fmt: skip
    import_truth(validate(TruthSettings, content, "truth"), folder / "truth.parquet")
    return Truth.read(folder / "truth.parquet")


def test_every_training_is_kept_with_its_seed_where_that_is_known(trained: Truth) -> None:
    rows = trained.trials([SKIP, CONV], **C10)
    assert rows["accuracy"].tolist() == (
        [93.5, 93.9, 60.0, 40.0, 62.0] if CONV < SKIP else [60.0, 40.0, 62.0, 93.5, 93.9]
    )
    by_cell = rows.set_index("cell")
    assert by_cell.loc[SKIP, "trial"].tolist() == [1, 2, 3]
    assert by_cell.loc[SKIP, "training_seed"].tolist() == [777, 888, 999]
    assert by_cell.loc[CONV, "trial"].tolist() == [1, 2]
    assert by_cell.loc[CONV, "training_seed"].isna().all()
    assert trained.accuracy([SKIP, CONV, 7], **C10).tolist() == [54.0, 93.7, 80.0]
    assert trained.provenance.cells == 3


def test_a_training_has_one_number_on_every_split(trained: Truth) -> None:
    rows = trained.trials([SKIP], **VALID.model_dump())
    assert rows[["trial", "accuracy"]].to_numpy().tolist() == [[1, 40.0], [3, 42.0]]


def test_the_spread_of_each_cell_is_told(trained: Truth) -> None:
    counted, sds = trained.spread(**C10)
    assert counted[[SKIP, CONV, 7]].tolist() == [3, 2, 1]
    assert sds[SKIP] == pytest.approx(np.std([60, 40, 62], ddof=1))
    assert math.isnan(sds[7])
    assert math.isnan(counted[8])
    spreads = TruthColumns(trained).spreads(pd.Series([SKIP, math.nan, 7]))
    assert spreads["trainings/cifar10/test"].tolist()[::2] == [3, 1]
    assert spreads["training_sd/cifar10/test"][0] == pytest.approx(sds[SKIP])
    assert spreads["training_error/cifar10/test"][0] == pytest.approx(sds[SKIP] / math.sqrt(3))
    assert spreads["training_freedom/cifar10/test"].tolist()[::2] == [2, 3]  # of one training: of the cells like it
    assert spreads.iloc[1].isna().all()


def test_the_command_tells_the_trainings_of_a_cell(trained: Truth) -> None:
    found = next(entry for entry in describe_cell(trained, ALL_SKIP)["accuracies"] if entry["data_set"] == "cifar10")
    assert (found["mean"], found["trials"], found["single"]) == (54.0, 3, [60.0, 40.0, 62.0])
    assert found["sd"] == pytest.approx(12.166, abs=1e-3)
    assert json.dumps(describe_difference(trained, ALL_SKIP, ALL_CONV3), allow_nan=False)


def test_a_difference_that_training_allows_is_called_so(project: Path) -> None:
    text = ROWS + "".join(f"8,{run},,{value},80\n" for run, value in enumerate((70, 71, 72)))
    write_truth(imported(project, text), project / TRUTH_FILE)
    result = CliRunner().invoke(main, ["truth", "show", str(SKIP), "8", "--json"])
    above = {entry["data_set"]: entry for entry in json.loads(result.stdout)["above_other"]}
    assert above["cifar10"]["difference"] == -17
    assert above["cifar10"]["training_noise"] == pytest.approx(29.94, abs=0.01)  # 12.17 / sqrt(3) by t, 2 degrees
    assert above["cifar10"]["called"] == "within training noise"
    assert above["cifar10-valid"]["called"] == "beyond training noise"
    result = CliRunner().invoke(main, ["truth", "show", str(SKIP), str(CONV)])
    assert "single 60 40 62" in result.stdout
    assert "called beyond training noise" in result.stdout


def test_a_table_of_means_has_no_trainings(tmp_path: Path) -> None:
    text = f"cell,test\n{SKIP},54\n{CONV},93.7\n"
    truth = imported(tmp_path, text, trial_column=None, seed_column=None, columns={"test": C10})
    assert truth.trials([SKIP], **C10)["trial"].isna().all()
    assert np.isnan(truth.spread(**C10)[0]).all()
    assert describe_difference(truth, ALL_SKIP, ALL_CONV3)[0]["called"] == "not known"
    assert TruthColumns(truth).trainings(pd.Series([SKIP])).empty


def test_a_column_may_have_means_where_another_has_trainings(tmp_path: Path) -> None:
    truth = imported(
        tmp_path, f"cell,run,seed,test,valid\n{SKIP},0,777,60,\n{SKIP},1,,40,\n{SKIP},,999,,41.5\n{CONV},,,93,\n"
    )
    assert truth.trials([SKIP], **VALID.model_dump())[["trial", "accuracy"]].isna().to_numpy().tolist() == [
        [True, False]
    ]
    assert truth.accuracy([SKIP, CONV], **C10).tolist() == [50, 93]
    assert truth.trials([SKIP], **VALID.model_dump())["training_seed"].isna().all()
    counted, _ = truth.spread(**C10)
    assert counted[SKIP] == 2
    assert math.isnan(counted[CONV])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ROWS + f"{SKIP},1,5,50,50\n", f"cell {SKIP} stands twice with the same cifar10 test of its training 2"),
        (
            ROWS + f"{CONV},,5,,50\n",
            f"column 'valid', row 7: without a number of a training it is a mean, but single trainings of cell {CONV}",
        ),
        (ROWS + "8,1.5,5,50,50\n", "column 'run', row 7: expected a whole number, not 1.5"),
        (ROWS + "8,first,5,50,50\n", "column 'run', row 7: expected a whole number, not 'first'"),
        (ROWS + "8,0,9999999999,50,50\n", "column 'seed', row 7: expected a whole number, not"),
        (ROWS.replace("run", "Run"), "has no column 'run', did you mean 'Run'?"),
    ],
)
def test_trainings_that_cannot_be_are_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        imported(tmp_path, text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_cell_has_not_any_number_of_trainings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_reading, "CELL_COUNT", 4)
    monkeypatch.setattr(table_file, "MOST_TRAININGS", 2)
    rows = {"cell": [1] * 9, "run": list(range(9)), "acc": [50.0] * 9}
    if name.endswith("csv"):
        pd.DataFrame(rows).to_csv(tmp_path / name, index=False)
    else:
        pq.write_table(pa.table(rows), tmp_path / name)
    with pytest.raises(UserError, match="has more rows than 2 trainings of each of the 4 cells"):
        import_table(tmp_path / name, "cell", {"acc": TEST}, trial_column="run", allow_partial=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"source": "nats-bench", "cell_column": None, "columns": {}},
            "trial_column and seed_column belong to the source",
        ),
        ({"trial_column": None}, "seed_column needs trial_column"),
        ({"trial_column": "cell"}, "trial_column: the column 'cell' holds the cells or accuracies, expected another"),
        ({"seed_column": "test"}, "seed_column: the column 'test' holds the cells or accuracies"),
    ],
)
def test_settings_that_do_not_fit_are_told_with_their_key(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError) as caught:
        imported(tmp_path, ROWS, **changes)
    assert said in str(caught.value)


def test_the_command_imports_trainings(project: Path) -> None:
    (project / "trials.csv").write_text(ROWS)
    command = ["truth", "import", "table", "trials.csv", "--cell-column", "cell", "--column", "test=cifar10/test/200"]
    command += ["--trial-column", "run", "--seed-column", "seed", "--partial", "--output", "out.parquet"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "is not known: it has other accuracies of 2 known cells than any known table" in result.stdout
    assert len(Truth.read(Path("out.parquet")).frame) == 6


def test_the_benchmark_itself_trained_the_skip_cell_to_39_61_and_63_percent(reference_data: Path) -> None:
    path = reference_data / "nas-bench-201-v1.1-cifar10-test-trials.parquet"
    truth = import_table(path, "cell_index", {"accuracy": TEST}, trial_column="trial", seed_column="training_seed")
    assert len(truth.frame) == 36_986
    rows = truth.trials([SKIP], **C10)
    assert rows["accuracy"].round(2).tolist() == [61.21, 39.13, 62.55]
    assert rows["training_seed"].tolist() == [777, 888, 999]
    _, sds = truth.spread(**C10)
    assert int(np.nanargmax(sds)) == SKIP
    assert truth.accuracy([SKIP], **C10)[0] == pytest.approx(54.30, abs=0.005)
    assert len(sds) == CELL_COUNT
