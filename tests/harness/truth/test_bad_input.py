"""Bad sources: one sentence, no code run, nothing written."""

import bz2
import datetime
import gc
import gzip
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from harness.base.errors import UserError
from harness.settings.tables import AccuracyColumn, TruthSettings
from harness.settings.validation import validate
from harness.space.cell import ALL_CONV3, ALL_SKIP, CELL_COUNT
from harness.truth.sources import (
    ANALOG_NAMES,
    analog_file,
    import_analog_nasbench,
    import_nas_bench_201,
    import_nats_bench,
    import_table,
    import_truth,
)
from harness.untrusted.restricted_pickle import load_restricted
from tests.harness.untrusted.payload import Payload

COLUMN = AccuracyColumn(data_set="cifar10", split="test", epochs=200)
ALL_NONE = 1651


@pytest.fixture
def payload(tmp_path: Path) -> Payload:
    armed = Payload(tmp_path / "proof")
    pickle.loads(pickle.dumps(armed))
    assert armed.path.is_dir(), "the payload must be able to run"
    armed.path.rmdir()
    return armed


def table(path: Path, *, allow_partial: bool = False) -> object:
    return import_table(path, "cell", {"accuracy": COLUMN}, allow_partial=allow_partial)


def sentence(importer: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        importer()
    message = str(caught.value)
    assert "\n" not in message
    return message


def write_nats(folder: Path, content: Any, index: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{index:06d}.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps(content, protocol=4)))
    return folder


def write_csv(path: Path, changes: dict[int, float] | None = None, default: float = 50.0) -> Path:
    values = {ALL_NONE: 10.0} | (changes or {})
    accuracies = [values.get(cell, default) for cell in range(CELL_COUNT)]
    pd.DataFrame({"cell": range(CELL_COUNT), "accuracy": accuracies}).to_csv(path, index=False)
    return path


# ---- nobody's code runs


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_names_nothing_that_is_not_allowed(payload: Payload, protocol: int) -> None:
    data = pickle.dumps({"entry": payload}, protocol=protocol)
    assert "mkdir, which such a file never holds" in sentence(lambda: load_restricted(data, ANALOG_NAMES, "x"))
    assert not payload.path.exists()


def test_a_hostile_analog_file_does_not_run(payload: Payload, tmp_path: Path) -> None:
    (tmp_path / "data.anb").write_bytes(pickle.dumps({(0,) * 6: payload}))
    assert "mkdir, which such a file never holds" in sentence(lambda: import_analog_nasbench(tmp_path / "data.anb"))
    assert not payload.path.exists()


def test_a_hostile_nats_folder_does_not_run(payload: Payload, tmp_path: Path) -> None:
    folder = write_nats(tmp_path / "nats", {"12": {}, "200": payload})
    assert "mkdir, which such a file never holds" in sentence(lambda: import_nats_bench(folder, allow_partial=True))
    assert not payload.path.exists()


def test_a_nats_file_cannot_point_to_another_file(payload: Payload, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.pbz2"
    hostile.write_bytes(bz2.compress(pickle.dumps(payload)))
    folder = write_nats(tmp_path / "nats", {"12": str(hostile), "200": str(hostile)})
    assert "does not hold the results" in sentence(lambda: import_nats_bench(folder, allow_partial=True))
    assert not payload.path.exists()


@pytest.mark.parametrize("safety", ["on", "off"])
@pytest.mark.parametrize("container", ["zip", "legacy", "bare pickle"])
def test_a_hostile_torch_file_does_not_run(
    payload: Payload, tmp_path: Path, container: str, safety: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1" if safety == "off" else "0")
    path = tmp_path / "bench.pth"
    if container == "bare pickle":
        path.write_bytes(pickle.dumps(payload, protocol=2))
    else:
        torch.save({"meta_archs": payload}, path, _use_new_zipfile_serialization=container == "zip")
    assert "is no NAS-Bench-201 file" in sentence(lambda: import_nas_bench_201(path))
    assert not payload.path.exists()


@pytest.mark.parametrize("name", ["means.csv", "means.csv.gz", "means.parquet", "means.pkl", "means.pd"])
def test_a_hostile_table_does_not_run(payload: Payload, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps({"cell": payload}))
    sentence(lambda: table(tmp_path / name))
    assert not payload.path.exists()


# ---- missing, empty, of the wrong kind, truncated


@pytest.mark.parametrize("importer", [import_analog_nasbench, import_nas_bench_201, import_nats_bench, table])
def test_a_missing_path(importer: Callable[[Path], object], tmp_path: Path) -> None:
    assert "absent.csv is missing, expected" in sentence(lambda: importer(tmp_path / "absent.csv"))


@pytest.mark.parametrize("importer", [import_analog_nasbench, import_nas_bench_201, table])
def test_a_folder_or_an_empty_file_where_a_file_is_expected(importer: Callable[[Path], object], tmp_path: Path) -> None:
    assert "is a folder, expected a file" in sentence(lambda: importer(tmp_path))
    (tmp_path / "empty.csv").touch()
    assert "empty.csv is empty" in sentence(lambda: importer(tmp_path / "empty.csv"))


@pytest.mark.parametrize("importer", [import_analog_nasbench, import_nas_bench_201])
@pytest.mark.parametrize("content", ["text of some kind\n" * 20, "cell,accuracy\n1,10.0\n"])
def test_text_where_a_pickle_is_expected(importer: Callable[[Path], object], content: str, tmp_path: Path) -> None:
    (tmp_path / "file.pth").write_text(content)
    assert "of another kind" in sentence(lambda: importer(tmp_path / "file.pth"))


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {"meta_archs": [], "arch2infos": {}, "evaluated_indexes": []}])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_torch_file_of_something_else(content: Any, zipped: bool, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth", _use_new_zipfile_serialization=zipped)
    assert "holds" in sentence(lambda: import_nas_bench_201(tmp_path / "other.pth", allow_partial=True))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_torch_file(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "cut.pth"
    torch.save({"meta_archs": list(range(1000))}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:-700])
    assert "it is damaged" in sentence(lambda: import_nas_bench_201(path))


def test_a_torch_file_given_as_a_table(tmp_path: Path) -> None:
    torch.save({"a": list(range(1000))}, tmp_path / "bench.pth")
    assert "expected .csv, .csv.gz or .parquet" in sentence(lambda: table(tmp_path / "bench.pth"))
    for name in ("bench.csv", "bench.csv.gz", "bench.parquet"):
        (tmp_path / name).write_bytes((tmp_path / "bench.pth").read_bytes())
        assert name in sentence(lambda name=name: table(tmp_path / name))


def test_a_file_where_the_folder_is_expected(tmp_path: Path) -> None:
    (tmp_path / "nats.tar").write_text("x")
    assert "nats.tar is a file, expected the NATS-Bench folder" in sentence(
        lambda: import_nats_bench(tmp_path / "nats.tar")
    )


def test_a_folder_without_cells(tmp_path: Path) -> None:
    assert "holds no cell" in sentence(lambda: import_nats_bench(tmp_path, allow_partial=True))


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "no pickle"])
def test_a_damaged_file_in_the_folder_is_named(reference_data: Path, tmp_path: Path, damage: str) -> None:
    real = (reference_data / "nats-real-cells/NATS-tss-v1_0-3ffb9-simple/000011.pickle.pbz2").read_bytes()
    cut = bz2.compress(bz2.decompress(real)[:50_000])
    (tmp_path / "000000.pickle.pbz2").write_bytes(
        {"truncated": real[:40_000], "text": b"hello", "empty": b"", "no pickle": cut}[damage]
    )
    message = sentence(lambda: import_nats_bench(tmp_path, allow_partial=True))
    assert "000000.pickle.pbz2 is damaged or of another kind" in message
    assert gc.isenabled()


def test_a_truncated_analog_file(tmp_path: Path) -> None:
    (tmp_path / "data.anb").write_bytes(analog_file().read_bytes()[:-1000])
    assert "is damaged" in sentence(lambda: import_analog_nasbench(tmp_path / "data.anb"))


@pytest.mark.parametrize("name", ["cut.csv.gz", "cut.parquet", "cut.csv"])
def test_a_truncated_table(name: str, tmp_path: Path) -> None:
    whole = write_csv(tmp_path / "whole.csv")
    if name.endswith("gz"):
        content = gzip.compress(whole.read_bytes())
    elif name.endswith("parquet"):
        pd.read_csv(whole).to_parquet(tmp_path / "whole.parquet")
        content = (tmp_path / "whole.parquet").read_bytes()
    else:
        content = whole.read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    assert name in sentence(lambda: table(tmp_path / name))


# ---- readable, but not true


@pytest.mark.parametrize("content", [[], {}, {"12": "text"}, {"200": {"arch_str": 5}}, {"200": {"all_results": 3}}])
def test_a_pickle_that_holds_no_cell(content: Any, tmp_path: Path) -> None:
    folder = write_nats(tmp_path / "nats", content)
    sentence(lambda: import_nats_bench(folder, allow_partial=True))


def test_a_cell_under_the_index_of_another(reference_data: Path, tmp_path: Path) -> None:
    real = reference_data / "nats-real-cells/NATS-tss-v1_0-3ffb9-simple/000011.pickle.pbz2"
    (tmp_path / "000012.pickle.pbz2").write_bytes(real.read_bytes())
    message = sentence(lambda: import_nats_bench(tmp_path, allow_partial=True))
    assert "000012.pickle.pbz2 does not describe" in message


def test_missing_cells_are_counted_and_the_first_is_named(reference_data: Path, tmp_path: Path) -> None:
    folder = reference_data / "nats-real-cells/NATS-tss-v1_0-3ffb9-simple"
    expected = "lacks 15,622 of the 15,625 cells, the first is 1"
    assert expected in sentence(lambda: import_nats_bench(folder))
    csv = tmp_path / "some.csv"
    csv.write_text("cell,accuracy\n0,50\n11,50\n284,50\n")
    assert expected in sentence(lambda: table(csv))
    assert table(csv, allow_partial=True)


def test_missing_cells_are_told_before_minutes_of_reading(tmp_path: Path) -> None:
    (tmp_path / "000000.pickle.pbz2").write_text("not read")
    assert "lacks 15,624 of the 15,625 cells, the first is 1" in sentence(lambda: import_nats_bench(tmp_path))


def test_an_analog_file_with_a_wrong_reading_or_a_cell_less(tmp_path: Path) -> None:
    content = load_restricted(analog_file().read_bytes(), ANALOG_NAMES, "x")
    lean = {codes: SimpleNamespace(baseline_accuracy=entry.baseline_accuracy) for codes, entry in content.items()}

    def written(entries: dict[tuple[int, ...], Any]) -> Path:
        path = tmp_path / "data.anb"
        ours, theirs = b"ctypes\nSimpleNamespace", b"canalognasbench.data\nArchitecture"
        path.write_bytes(pickle.dumps(entries, protocol=2).replace(ours, theirs))
        return path

    assert import_analog_nasbench(written(lean)).provenance.cells == CELL_COUNT
    swapped = {tuple({0: 1, 1: 0}.get(code, code) for code in codes): entry for codes, entry in lean.items()}
    assert "six times none, has 60.78 percent" in sentence(lambda: import_analog_nasbench(written(swapped)))
    lean.pop((2,) * 6)
    assert f"lacks 1 of the 15,625 cells, the first is {ALL_CONV3.index}" in sentence(
        lambda: import_analog_nasbench(written(lean))
    )


@pytest.mark.parametrize("wrong", [-0.1, 100.5, np.inf])
def test_an_accuracy_that_is_no_percentage(wrong: float, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "means.csv", {7: wrong})
    assert f"cell 7 has the accuracy {wrong}, expected percent" in sentence(lambda: table(path))


def test_fractions_instead_of_percent(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "means.csv", {ALL_NONE: 0.1}, default=0.9)
    assert "looks like fractions, expected percent" in sentence(lambda: table(path))


def test_cells_numbered_differently(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "means.csv", {ALL_NONE: 90.0})
    assert "cell 1651, six times none, has 90.00 percent" in sentence(lambda: table(path))


def test_a_cell_that_stands_twice(tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    path.write_text(f"cell,accuracy\n{ALL_SKIP},50\n{ALL_SKIP.index},51\n")
    assert "cell 1835 stands twice with the same cifar10 test" in sentence(lambda: table(path, allow_partial=True))


@pytest.mark.parametrize(
    ("cell", "complaint"),
    [
        ("15625", "cell index 15625 is out of range"),
        ("-1", "cell index -1 is out of range"),
        ("all-skip", "'all-skip' is no cell"),
        ("", "'' is no cell"),
        ("2.5", "'2.5' is no cell"),
    ],
)
def test_a_cell_that_is_none(cell: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "means.csv"
    path.write_text(f"cell,accuracy\n{ALL_SKIP},50\n{cell},50\n")
    message = sentence(lambda: table(path, allow_partial=True))
    assert "column 'cell', row 2: " in message
    assert complaint in message


def test_an_accuracy_that_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "means.csv"
    path.write_text("cell,accuracy\n4,50\n5,good\n")
    message = sentence(lambda: table(path, allow_partial=True))
    assert "column 'accuracy', row 2: expected a percentage, not 'good'" in message


def test_an_unknown_column_comes_with_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "means.csv"
    path.write_text("cell,accuracy\n4,50\n")
    message = sentence(lambda: import_table(path, "cell", {"acuracy": COLUMN}))
    assert message.endswith("has no column 'acuracy', did you mean 'accuracy'?")
    assert "no column 'index'" in sentence(lambda: import_table(path, "index", {"accuracy": COLUMN}))


def test_rows_with_a_field_more_than_the_header_are_told(tmp_path: Path) -> None:
    path = tmp_path / "means.csv"
    path.write_text("cell,accuracy\n4,50,7\n5,51,8\n")
    assert "means.csv is damaged" in sentence(lambda: table(path, allow_partial=True))


def test_a_column_that_stands_twice(tmp_path: Path) -> None:
    path = tmp_path / "means.parquet"
    pq.write_table(pa.table([[4], [50.0], [51.0]], names=["cell", "accuracy", "accuracy"]), path)
    assert "has 2 columns 'accuracy', expected one" in sentence(lambda: table(path, allow_partial=True))


@pytest.mark.parametrize("values", [[[1.0]], [b"x"], [{"a": 1}], [datetime.date(2000, 1, 1)]])
@pytest.mark.parametrize("column", ["cell", "accuracy"])
def test_values_of_any_type_are_told(tmp_path: Path, values: list[Any], column: str) -> None:
    path = tmp_path / "means.parquet"
    pq.write_table(pa.table({"cell": [4], "accuracy": [50.0], column: values}), path)
    sentence(lambda: table(path, allow_partial=True))


def test_a_sentence_does_not_repeat_a_long_text(tmp_path: Path) -> None:
    path = tmp_path / "means.csv"
    path.write_text(f"cell,accuracy\n{'x' * 10_000},50\n")
    assert len(sentence(lambda: table(path, allow_partial=True))) < 500


def test_a_failed_import_leaves_the_old_table(tmp_path: Path) -> None:
    output = tmp_path / "truth.parquet"
    output.write_text("old")
    settings = TruthSettings(source="nats-bench", path=str(tmp_path / "absent"))
    sentence(lambda: import_truth(settings, output))
    assert output.read_text() == "old"


# ---- the settings


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"source": "nats-bench", "path": None}, "the source 'nats-bench' needs a path"),
        ({"source": "table", "path": "x.csv"}, "the source 'table' needs the keys cell_column and columns"),
        ({"source": "analog-nasbench", "path": None, "cell_column": "x"}, "belong to the source 'table'"),
        (
            {"source": "table", "path": "x.csv", "cell_column": "c", "columns": {"a": {"dataset": "cifar10"}}},
            "did you mean 'data_set'?",
        ),
    ],
)
def test_settings_that_do_not_fit_together(content: dict[str, Any], complaint: str) -> None:
    assert complaint in sentence(lambda: validate(TruthSettings, content, where="params.yaml"))
