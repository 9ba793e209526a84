"""Tables that somebody made: what they may hold, and what is told of those that look nearly right."""

import gzip
import itertools
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.base.errors import UserError
from harness.board.lookup import look_up
from harness.settings.protocol import Board
from harness.settings.tables import SPLITS_OF, AccuracyColumn, TruthSettings
from harness.settings.validation import validate
from harness.space.cell import ALL_CONV3, ALL_SKIP, CELL_COUNT, Cell
from harness.truth.columns import TruthColumns
from harness.truth.sources import import_truth, parse_columns
from harness.truth.table import REPORT_COLUMNS, Truth
from harness.truth.table_file import import_table
from harness.truth.trials import SETS
from tests.conftest import tiny_params

COLUMN = AccuracyColumn(data_set="cifar10", split="test", epochs=200)


def refused(path: Path, **columns: str) -> str:
    named = dict.fromkeys(columns or {"acc": ""}, COLUMN)
    with pytest.raises(UserError) as caught:
        import_table(path, "cell", named, allow_partial=True)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def csv(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    return path


# ---- every combination either works to the end, or is refused at the import

COMBINATIONS = list(itertools.product(SPLITS_OF, ("valid", "test", "valtest"), (None, 12, 200)))


def imported(folder: Path, data_set: str, split: str, epochs: int | None) -> Truth:
    path = csv(folder, "cell,acc\n1835,54.3\n6111,73.2\n")
    column = {"data_set": data_set, "split": split, "epochs": epochs}
    content = {"source": "table", "path": str(path), "cell_column": "cell", "columns": {"acc": column}}
    import_truth(validate(TruthSettings, content | {"partial": True}, "truth"), folder / "truth.parquet")
    return Truth.read(folder / "truth.parquet")


@pytest.mark.parametrize(("data_set", "split", "epochs"), COMBINATIONS)
def test_each_combination_is_looked_up_or_refused_at_the_import(
    data_set: str, split: str, epochs: int | None, tmp_path: Path
) -> None:
    if (data_set, split) not in REPORT_COLUMNS.values():
        exists = split in SPLITS_OF[data_set]
        told = "expected one of cifar10-valid valid" if exists else f"{data_set} has no split '{split}'"
        with pytest.raises(UserError, match=told):
            imported(tmp_path, data_set, split, epochs)
        assert not (tmp_path / "truth.parquet").exists()
        return
    columns = TruthColumns(imported(tmp_path, data_set, split, epochs))
    cells = pd.Series([6111, np.nan, 7])
    assert columns.main == f"truth/{data_set}/{split}"
    assert columns.look_up(cells)[columns.main].tolist()[0] == 73.2
    assert columns.percentiles(cells).iloc[0, 0] == 50
    assert json.dumps(columns.describe(), allow_nan=False)


def test_the_stage_looks_up_a_table_of_one_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.board.lookup.all_cells", lambda operations: [ALL_SKIP])  # all of them take seconds
    truth = import_table(csv(tmp_path, f"cell,acc\n{ALL_SKIP},54.5\n"), "cell", {"acc": COLUMN}, allow_partial=True)
    look_up(Board.model_validate(tiny_params(seeds=[0])), truth, tmp_path / "results", tmp_path / "runs")
    described = json.loads((tmp_path / "results" / "truth.json").read_text(), parse_constant=pytest.fail)
    assert described["columns"]["truth/cifar10/test"]["sd"] == 0


def test_a_column_that_nobody_is_judged_by_may_stand_beside_one(tmp_path: Path) -> None:
    path = csv(tmp_path, "cell,acc,more\n1835,54.3,15\n6111,93.2,73\n")
    more = AccuracyColumn(data_set="cifar100", split="valtest", epochs=200)
    truth = import_table(path, "cell", {"acc": COLUMN, "more": more}, allow_partial=True)
    assert TruthColumns(truth).main == "truth/cifar10/test"
    with pytest.raises(UserError, match=r"t.csv \(cifar100 valtest \(200 epochs\)\) have none of those that cells are"):
        import_table(path, "cell", {"more": more}, allow_partial=True)


def test_the_splits_of_the_settings_are_those_of_the_benchmark() -> None:
    assert {data_set: set(splits) for data_set, splits in SPLITS_OF.items()} == {
        data_set: set(splits) for data_set, splits in SETS.items()
    }


# ---- CSV


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cell,acc,acc\n4,50,51\n", "has 2 columns 'acc', expected one"),
        ("\n\nacc,cell,x,cell\n4,5,6,7\n", "has 2 columns 'cell', expected one"),
        ("cell;acc\n4;50,5\n5;51,5\n", "has semicolons between its fields, expected commas (and points in numbers)"),
        ('"cell"\t"acc"\n4\t50.5\n', "has tabs between its fields"),
        ("cell|acc\n4|50.5\n", "has bars between its fields"),
        ("\ufeffcell;acc\n4;50\n", "has semicolons between its fields"),
        ("cell,acc\n4,50,5\n5,51,5\n", "has rows with more fields than its header: expected commas between fields"),
        ("cell,acc\n4,50\n5,51,5\n", "has rows with more fields than its header"),
        ("cell,acc\n4,50\n,50\n5,51\n", "column 'cell', row 2: '' is no cell"),
        ("cell,acc\n4,50\n5,50\n6.0,51\n", "column 'cell', row 3: '6.0' is no cell"),
        ("cell,Acc\n4,50\n", "has no column 'acc', did you mean 'Acc'?"),
        ("\n\n", "has no column 'cell'"),
    ],
)
def test_a_csv_that_is_nearly_right(tmp_path: Path, name: str, text: str, said: str) -> None:
    assert said in refused(csv(tmp_path, text, name))


def test_what_spreadsheets_write_is_read(tmp_path: Path) -> None:
    text = f'\ufeff\r\n"cell","a,b","acc"\r\n"{ALL_SKIP}",1,54.5\r\n 4 ,2,\r\n0005,3,1e1\r\n'
    truth = import_table(csv(tmp_path, text), "cell", {"acc": COLUMN}, allow_partial=True)
    assert dict(zip(truth.frame["cell"], truth.frame["accuracy"], strict=True)) == {5: 10.0, ALL_SKIP.index: 54.5}


def test_rows_beyond_the_last_cell_are_told(tmp_path: Path) -> None:
    rows = "".join(f"{cell},{10 if cell == 1651 else 50}\n" for cell in range(CELL_COUNT))
    assert import_table(csv(tmp_path, f"cell,acc\n{rows}"), "cell", {"acc": COLUMN}).provenance.cells == CELL_COUNT
    for more in ("6,77\n", "6,\n6,77\n", "6,77\n" * 3):
        assert "has more rows than the 15,625 cells" in refused(csv(tmp_path, f"cell,acc\n{rows}{more}"))


# ---- what is no percentage


@pytest.mark.parametrize("values", [[0.5, 0.9], [0.0, 1.0], [0.941, None], [0.1]])
def test_fractions_are_told_of_a_few_cells_too(tmp_path: Path, values: list[float | None]) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"cell": [1835, 1462][: len(values)], "acc": values}), path)
    assert "looks like fractions, expected percent" in refused(path)


def test_cells_that_can_only_guess_are_at_chance(tmp_path: Path) -> None:
    path = csv(tmp_path, "cell,acc\n1651,0.83\n1462,0.84\n")
    column = AccuracyColumn(data_set="ImageNet16-120", split="test", epochs=200)
    assert import_table(path, "cell", {"acc": column}, allow_partial=True).provenance.cells == 2


@pytest.mark.parametrize(
    "values",
    [
        [True, True],
        [True, None],
        [timedelta(microseconds=50), timedelta(0)],
        [np.datetime64(50, "us"), np.datetime64(51, "us")],
        ["50", "fifty"],
        ["50", ""],
        [b"50", b"51"],
        [[50.0], [51.0]],
    ],
)
def test_what_only_resembles_a_number_is_no_percentage(tmp_path: Path, values: list[Any]) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"cell": [4, 5], "acc": values}), path)
    assert "column 'acc', row " in refused(path)
    assert "expected a percentage, not " in refused(path)


def test_booleans_of_a_csv_are_no_percentages(tmp_path: Path) -> None:
    for text in ("True\n5,False", "true\n5,true", "True\n5,"):
        assert "row 1: expected a percentage, not " in refused(csv(tmp_path, f"cell,acc\n4,{text}\n"))


# ---- settings


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"cell": ("cifar10", "test", 200)}, "the column 'cell' names the cells, so it can hold no accuracies"),
        (
            {"a": ("cifar10", "test", 200), "b": ("cifar10", "test", 200)},
            "'a' and 'b' claim to hold the same",
        ),
        (
            {"a": ("cifar10", "valid", 200)},
            "columns.a: cifar10 has no split 'valid', expected test (half of",
        ),
        ({"a": ("cifar10", "test", 3_000_000_000)}, "columns.a.epochs: input should be less than or equal to 1000000"),
        ({"a": ("cifar10", "test", 0)}, "columns.a.epochs: input should be greater than or equal to 1"),
    ],
)
def test_columns_that_cannot_be_are_told_with_their_key(columns: dict[str, tuple[str, str, int]], said: str) -> None:
    content = {name: dict(zip(("data_set", "split", "epochs"), key, strict=True)) for name, key in columns.items()}
    with pytest.raises(UserError) as caught:
        validate(
            TruthSettings, {"source": "table", "path": "t", "cell_column": "cell", "columns": content}, "params.yaml"
        )
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "key",
    ["cifar10/test/²", "cifar10/test/" + "9" * 5000, "cifar10/test/3000000000", "cifar10/test/٣", "cifar10/test/-1",
     "cifar10/test/", "cifar10/test", "cifar10/test/12/13", "x" * 5000,
     "cifar10/te\nst/12", "cifar10/\udcff/12", "a/a/a"],
)  # fmt: skip
def test_a_column_of_another_form_is_one_short_sentence(key: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_columns([f"acc={key}"])
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("--column 'acc=")


def test_columns_are_named_once() -> None:
    assert parse_columns(["a=b=cifar10/test/null"]) == {"a=b": COLUMN.model_copy(update={"epochs": None})}
    with pytest.raises(UserError, match="the column 'a' is named twice"):
        parse_columns(["a=cifar10/test/12", "a=cifar100/test/12"])
    with pytest.raises(UserError, match="expected NAME=DATA_SET"):
        parse_columns(["=cifar10/test/12"])


def test_the_place_of_the_output_is_told_before_anything_is_read(tmp_path: Path) -> None:
    settings = TruthSettings(source="analog-nasbench", path=str(tmp_path / "missing"))
    for output in (".", "", str(tmp_path), "a" * 5000):
        with pytest.raises(UserError, match=r"expected the name of a file|is no name of a file: File name too long"):
            import_truth(settings, Path(output))


@pytest.mark.parametrize("path", ["a" * 5000, "~nobody-has-this-name/t.csv", "nul\0.csv", "a/" * 4000])
@pytest.mark.parametrize("source", ["analog-nasbench", "nas-bench-201", "nats-bench", "table"])
def test_a_path_that_leads_nowhere_is_one_short_sentence(source: str, path: str, tmp_path: Path) -> None:
    table = {"cell_column": "cell", "columns": {"acc": COLUMN}} if source == "table" else {}
    with pytest.raises(UserError) as caught:
        import_truth(TruthSettings(source=source, path=path, **table), tmp_path / "out")  # type: ignore[arg-type]
    assert len(str(caught.value)) < 500


# ---- cells as other programs write them


def test_a_cell_is_read_as_autodl_prints_it(tmp_path: Path) -> None:
    assert Cell.parse(f"Structure(4 nodes with {ALL_CONV3})") == ALL_CONV3
    truth = import_table(
        csv(tmp_path, f"cell,acc\nStructure(4 nodes with {ALL_SKIP}),54\n"), "cell", {"acc": COLUMN}, allow_partial=True
    )
    assert truth.frame["cell"].tolist() == [ALL_SKIP.index]


@pytest.mark.parametrize(
    "text",
    ["(4, 0, 3, 1, 4, 3)", "[4, 0, 3, 1, 4, 3]", "403143", "Structure(4 nodes with 6111)",
     "Structure(5 nodes with |none~0|)", "Genotype(normal=[('skip_connect', 0)])"],
)  # fmt: skip
def test_what_could_mean_several_cells_is_refused_with_the_form_that_is_expected(text: str) -> None:
    with pytest.raises(
        UserError, match=r"is no cell, expected the form \|skip_connect~0\||is out of range, expected 0 to"
    ):
        Cell.parse(text)
