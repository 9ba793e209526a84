"""Records and tables that are whole by their checksums, and yet none that a run writes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.base.errors import UserError
from harness.base.files import file_checksum
from harness.base.parquet import write_parquet
from harness.records.record import (
    CHECKSUMS,
    EPOCH_COLUMNS,
    read_record,
    read_unchanged_run,
    read_whole_run,
    run_folder,
    write_run,
)
from tests.harness.tracking.runs import alpha_table, epochs_table, record_of

Table = pd.DataFrame
Change = Callable[[Table], Table]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = run_folder("darts", 0, tmp_path / "runs")
    one_shot = Table({"epoch": [1, 1, 3], "cell_index": [0, 15_624, 0], "accuracy": [0.0, 100.0, np.nan]})
    write_run(folder, record_of("darts", 0), epochs_table(0), alpha_table(0, groups=("a", "b")), one_shot)
    return folder


def vouch(path: Path) -> None:
    checksums = json.loads((path.parent / CHECKSUMS).read_text()) | {path.name: file_checksum(path)}
    (path.parent / CHECKSUMS).write_text(json.dumps(checksums))


def rewrite(folder: Path, name: str, change: Change) -> str:
    """Write a table anew, with a checksum that fits, and return what reading the run then says."""
    path = folder / f"{name}.parquet"
    write_parquet(change(pd.read_parquet(path)), path)
    vouch(path)
    return complaint(folder)


def complaint(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_whole_run(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert "runs/darts/seed-0" in message
    return message


def put(column: str, value: Any, row: int = 1) -> Change:
    """Return a change of one field."""

    def change(table: Table) -> Table:
        values = table[column].tolist()
        values[row] = value
        return table.assign(**{column: values})

    return change


def test_what_runs_write_is_read(folder: Path) -> None:
    assert read_whole_run(folder) == record_of("darts", 0)
    for odd in (np.nan, np.inf, -1e149):  # a step may have diverged, and a search be over before its next
        path = folder / "epochs.parquet"
        write_parquet(put("gradient_norm", odd)(pd.read_parquet(path)), path)
        vouch(path)
        assert read_whole_run(folder) == record_of("darts", 0)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        *(("epochs", column) for column in EPOCH_COLUMNS if column not in ("signal", "cost_seconds")),
        *(("alpha", column) for column in ("epoch", "cells", "edge", "operation", "alpha", "weight")),
        *(("one_shot", column) for column in ("epoch", "cell_index", "accuracy")),
    ],
)
def test_each_column_is_asked_for_by_its_name_and_type(folder: Path, name: str, column: str) -> None:
    assert f"{name}.parquet: the column '{column}' is missing" in rewrite(
        folder, name, lambda t: t.drop(columns=column)
    )
    write_run(folder, record_of("darts", 0), epochs_table(0), alpha_table(0), Table(ONE_SHOT))
    wrong = [True] * 2 if column in ("cell", "cells", "edge", "operation") else ["x", "1"]
    message = rewrite(folder, name, lambda table: table.assign(**{column: (wrong * len(table))[: len(table)]}))
    assert f"{name}.parquet: the column '{column}' holds" in message


ONE_SHOT = {"epoch": [1, 2], "cell_index": [0, 1], "accuracy": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("epochs", lambda t: pd.concat([t, t]), "has 6 rows, expected 3"),
        ("epochs", lambda t: t.iloc[:2], "has 2 rows, expected 3"),
        ("epochs", lambda t: t.iloc[::-1], "'epoch' does not count from 1 to 3"),
        ("epochs", put("epoch", 4), "'epoch' goes from 1 to 4, expected 1 to 3"),
        ("epochs", put("cell", "|none~0|"), "'cell' holds no cell"),
        ("epochs", put("hessian_trace", 1e308), "'hessian_trace' holds 1e+308, expected -1e+150 to 1e+150"),
        ("epochs", put("valid_accuracy", 100.5), "'valid_accuracy' holds 100.5, expected 0 to 100"),
        ("epochs", put("seconds", -1.0), "'seconds' holds -1.0"),
        ("alpha", lambda t: pd.concat([t, t]), "'operation' names the same in two rows"),
        ("alpha", lambda t: t.iloc[1:], "'operation' lacks rows, expected 30 in each epoch"),
        ("alpha", put("edge", "0>4"), "'edge' holds '0>4', expected one of 0>1"),
        ("alpha", put("operation", None), "'operation' has an empty field"),
        ("alpha", put("weight", 1e200), "'weight' holds 1e+200"),
        ("alpha", put("epoch", 0), "'epoch' goes from 0 to 3"),
        ("one_shot", put("cell_index", 15_625), "'cell_index' holds 15625, expected 0 to 15624"),
        ("one_shot", put("cell_index", 0), "'cell_index' names the same in two rows"),
        ("one_shot", put("accuracy", -0.5), "'accuracy' holds -0.5"),
        ("one_shot", put("epoch", 2**40), "'epoch' goes from 1 to 1099511627776"),
    ],
)
def test_rows_that_no_run_writes_are_one_sentence(folder: Path, name: str, change: Change, said: str) -> None:
    message = rewrite(folder, name, change)
    assert f"{name}.parquet: the column" in message
    assert said in message


def test_few_bytes_that_claim_many_rows_are_not_unpacked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.records.record.MOST_ROWS", 100)
    assert "alpha.parquet is damaged (180 rows, expected at most 100)" in complaint(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"variant": "pc-darts"}, "is of 'pc-darts' with seed 0, not of its folder's run"),
        ({"seed": 1}, "is of 'darts' with seed 1, not of its folder's run"),
        ({"seconds": float("inf")}, "seconds: input should be"),
        ({"seconds": float("nan")}, "seconds: input should be"),
        ({"seconds": -0.1}, "seconds: input should be greater than or equal to 0"),
        ({"seconds": 1e308}, "seconds: input should be less than"),
        ({"peak_memory_bytes": 2**64}, "peak_memory_bytes: input should be less than"),
        ({"draws": {"|none~0|": 1}}, "draws: '|none~0|' is no cell"),
        ({"derived": {"argmax": "none"}}, "derived: 'none' is no cell"),
        ({"cell": "6111"}, "cell: '6111' is no cell"),
        ({"cell": None}, "the status is done, but the key cell names none"),
    ],
)
def test_a_record_that_no_run_writes_is_one_sentence(folder: Path, change: dict[str, Any], said: str) -> None:
    path = folder / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    vouch(path)
    assert said in complaint(folder)


def test_halves_of_letters_in_a_reason_are_told_as_question_marks(folder: Path) -> None:
    path = folder / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"reason": "no file \udcff", "status": "failed"}))
    vouch(path)
    assert read_record(folder).reason == "no file ?"


def test_a_record_of_the_first_version_may_lack_columns(folder: Path) -> None:
    path = folder / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 1}))
    write_parquet(pd.read_parquet(folder / "epochs.parquet").drop(columns="hessian_trace"), folder / "epochs.parquet")
    (folder / CHECKSUMS).unlink()
    assert read_record(folder) == read_whole_run(folder)


def test_that_a_run_is_unchanged_is_told_without_a_look_into_its_tables(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read_whole_run(folder)
    monkeypatch.setattr("harness.records.record.parse_parquet", lambda *args: pytest.fail("a table was read"))
    assert read_unchanged_run(folder) == expected


@pytest.mark.parametrize("name", ["record.json", "epochs.parquet", "alpha.parquet", "one_shot.parquet", CHECKSUMS])
@pytest.mark.parametrize("damage", ["removed", "changed", "emptied"])
def test_a_run_of_which_a_file_is_missing_or_another_is_not_unchanged(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-2] + b"??" if damage == "changed" else b"")
    with pytest.raises(UserError, match=r"^runs/darts/seed-0|/runs/darts/seed-0") as caught:
        read_unchanged_run(folder)
    assert "missing" in str(caught.value) or "damaged" in str(caught.value)


def test_a_table_that_a_run_did_not_write_is_none_of_its_files(folder: Path) -> None:
    (folder / CHECKSUMS).write_text(json.dumps({"record.json": file_checksum(folder / "record.json")}))
    with pytest.raises(UserError, match=r"epochs\.parquet is damaged"):
        read_unchanged_run(folder)


def test_a_run_without_checksums_is_unchanged_if_it_can_be_read(folder: Path) -> None:
    content = json.loads((folder / "record.json").read_text()) | {"schema_version": 1}
    (folder / "record.json").write_text(json.dumps(content))
    (folder / CHECKSUMS).unlink()
    assert read_unchanged_run(folder) == read_whole_run(folder)
    (folder / "alpha.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"alpha\.parquet is damaged"):
        read_unchanged_run(folder)
