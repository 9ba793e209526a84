import hashlib
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.base.errors import UserError
from harness.space.cell import ALL_SKIP, CELL_COUNT, RESIDUAL, Cell
from harness.truth.table import (
    NETWORKS,
    REPORT_COLUMNS,
    SCHEMA_VERSION,
    SPLITS,
    Column,
    Provenance,
    Truth,
    describe_cell,
    write_truth,
)

PROVENANCE = Provenance(source="table", file="small.csv", sha256="0" * 64, importer_version=1, cells=3)
C10 = {"data_set": "cifar10", "split": "test", "epochs": 200}


def row(cell: int, accuracy: float, **changes: object) -> dict[str, object]:
    standard = {"data_set": "cifar10", "split": "test", "epochs": 200, "training_seed": 777, "loss": 0.5}
    cost = {"seconds": 10.0, "parameters": 1, "flops": 2, "latency": np.nan}
    return {"cell": cell, "accuracy": accuracy, **standard, **cost, **changes}


def truth_of(*rows: dict[str, object]) -> Truth:
    return Truth(pd.DataFrame(rows), PROVENANCE)


@pytest.fixture
def small() -> Truth:
    return truth_of(
        row(3, 90.0),
        row(3, 92.0, training_seed=888, seconds=30.0),
        row(5, 80.0),
        row(7, 80.0),
        row(3, 60.0, epochs=12, training_seed=111, seconds=np.nan),
        row(5, 70.0, data_set="cifar10-valid", split="valid", epochs=None, training_seed=None, loss=np.nan),
    )


def test_accuracy_is_the_mean_over_training_seeds_and_nan_where_absent(small: Truth) -> None:
    np.testing.assert_array_equal(small.accuracy([7, 3, 0, 3], **C10), [80.0, 91.0, np.nan, 91.0])
    np.testing.assert_array_equal(small.accuracy([3, 5], **C10 | {"epochs": 12}), [60.0, np.nan])
    unstated = small.accuracy([5], data_set="cifar10-valid", split="valid", epochs=None)
    np.testing.assert_array_equal(unstated, [70.0])


def test_cells_may_be_cells_indices_or_an_array_and_may_be_none_at_all(small: Truth) -> None:
    expected = small.accuracy(np.array([3, 5]), **C10)
    np.testing.assert_array_equal(small.accuracy([Cell.from_index(3), 5], **C10), expected)
    assert small.accuracy([], **C10).shape == (0,)


@pytest.mark.parametrize("index", [-1, CELL_COUNT])
def test_an_index_out_of_range_never_wraps_around(small: Truth, index: int) -> None:
    with pytest.raises(UserError, match=f"cell index {index} is out of range"):
        small.accuracy([3, index], **C10)


def test_other_things_than_cells_are_refused(small: Truth) -> None:
    with pytest.raises(TypeError):
        small.accuracy(np.array([3.0]), **C10)


@pytest.mark.parametrize("name", ["accuracy", "percentile", "trials"])
def test_an_absent_combination_names_what_is_present(small: Truth, name: str) -> None:
    with pytest.raises(UserError) as caught:
        getattr(small, name)([3], data_set="cifar10", split="valid", epochs=200)
    assert "have no cifar10 valid (200 epochs)" in str(caught.value)
    assert "cifar10 test (12 epochs); cifar10 test (200 epochs)" in str(caught.value)
    assert "cifar10-valid valid (training length not stated)" in str(caught.value)


def test_nothing_that_matters_has_a_default(small: Truth) -> None:
    with pytest.raises(TypeError):
        small.accuracy([3], data_set="cifar10", split="test")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        small.accuracy([3], "cifar10", "test", 200)  # type: ignore[misc]


def test_columns_are_listed_in_the_order_of_the_papers(small: Truth) -> None:
    expected = [Column("cifar10-valid", "valid", None), Column("cifar10", "test", 12), Column("cifar10", "test", 200)]
    assert small.columns() == expected


def test_report_columns_tell_what_the_source_has(small: Truth) -> None:
    present = small.report_columns()
    assert list(present) == list(REPORT_COLUMNS)
    assert [label for label, there in present.items() if there] == ["CIFAR-10 valid", "CIFAR-10 test"]


def test_report_columns_exist_in_the_schema() -> None:
    assert all(data_set in NETWORKS and split in SPLITS for data_set, split in REPORT_COLUMNS.values())


def test_final_epochs_is_the_longest_training(small: Truth) -> None:
    assert small.final_epochs(data_set="cifar10", split="test") == 200
    assert small.final_epochs(data_set="cifar10-valid", split="valid") is None
    with pytest.raises(UserError, match="have no cifar100 test"):
        small.final_epochs(data_set="cifar100", split="test")


def test_seconds_are_the_mean_of_the_known(small: Truth) -> None:
    np.testing.assert_array_equal(small.seconds([3, 5, 0], data_set="cifar10", epochs=200), [20.0, 10.0, np.nan])
    np.testing.assert_array_equal(small.seconds([3], data_set="cifar10", epochs=12), [np.nan])
    with pytest.raises(UserError, match="have no cifar100 training"):
        small.seconds([3], data_set="cifar100", epochs=200)


def test_percentile_counts_the_cells_that_are_worse(small: Truth) -> None:
    np.testing.assert_allclose(small.percentile([3, 5, 7, 0], **C10), [200 / 3, 0.0, 0.0, np.nan])
    among = np.array([0, 3, 5])  # of cell 0 nothing is known
    np.testing.assert_allclose(small.percentile([3, 5, 7, 0], **C10, among=among), [50.0, 0.0, 0.0, np.nan])
    np.testing.assert_allclose(small.percentile([3], **C10, among=np.array([0])), [0.0])


def test_trials_are_single_trainings(small: Truth) -> None:
    trials = small.trials([3, 5], **C10)
    assert trials[["cell", "training_seed", "accuracy"]].to_numpy().tolist() == [
        [3, 777, 90.0],
        [3, 888, 92.0],
        [5, 777, 80.0],
    ]


def test_description_of_a_cell_is_plain_json(small: Truth) -> None:
    found = json.loads(json.dumps(describe_cell(small, Cell.from_index(3)), allow_nan=False))
    assert (found["index"], found["string"]) == (3, str(Cell.from_index(3)))
    by_length = {entry["epochs"]: entry for entry in found["accuracies"] if entry["data_set"] == "cifar10"}
    assert by_length[200]["mean"] == 91.0
    assert by_length[200]["sd"] == pytest.approx(np.sqrt(2))
    assert by_length[200]["trials"] == 2
    assert by_length[200]["percentile"] == pytest.approx(200 / 3)
    assert (by_length[12]["trials"], by_length[12]["sd"]) == (1, None)


def test_description_says_where_there_is_nothing_or_only_a_mean(small: Truth) -> None:
    absent = describe_cell(small, ALL_SKIP)["accuracies"]
    assert [(entry["mean"], entry["trials"], entry["percentile"]) for entry in absent] == [(None, 0, None)] * 3
    only_mean = describe_cell(small, Cell.from_index(5))["accuracies"][0]
    assert (only_mean["mean"], only_mean["sd"], only_mean["trials"]) == (70.0, None, None)
    assert describe_cell(small, RESIDUAL)["parameters"]["cifar10"] == RESIDUAL.parameters(NETWORKS["cifar10"])


def test_look_ups_leave_the_global_random_numbers_alone(small: Truth) -> None:
    before = random.getstate(), np.random.get_state()
    small.accuracy([3], **C10)
    small.percentile([3], **C10)
    small.trials([3], **C10)
    small.seconds([3], data_set="cifar10", epochs=200)
    describe_cell(small, ALL_SKIP)
    assert random.getstate() == before[0]
    np.testing.assert_equal(np.random.get_state(), before[1])


def test_look_ups_are_fast() -> None:
    truth = truth_of(*(row(cell, 50.0) for cell in range(CELL_COUNT)))
    truth.accuracy([0], **C10)
    start = time.perf_counter()
    truth.accuracy(np.arange(CELL_COUNT), **C10)
    assert time.perf_counter() - start < 0.02
    start = time.perf_counter()
    for cell in range(2000):
        truth.accuracy([cell], **C10)
    assert time.perf_counter() - start < 1


KEYS = st.tuples(
    st.integers(0, CELL_COUNT - 1),
    st.sampled_from(sorted(NETWORKS)),
    st.sampled_from(SPLITS),
    st.sampled_from([None, 12, 200]),
    st.sampled_from([None, 111, 777, 888, 999]),
)
VALUES = st.tuples(st.floats(0, 100), st.floats(allow_infinity=False), st.floats(allow_infinity=False))


@settings(max_examples=40, deadline=None)
@given(entries=st.dictionaries(KEYS, VALUES, min_size=1, max_size=20), data=st.data())
def test_what_is_written_is_read_and_row_order_does_not_matter(entries: dict, data: st.DataObject) -> None:
    names = ["cell", "data_set", "split", "epochs", "training_seed", "accuracy", "loss", "seconds"]
    rows = [dict(zip(names, key + values, strict=True)) for key, values in entries.items()]
    costs = {"parameters": 5, "flops": 6, "latency": np.nan}
    shuffled = data.draw(st.permutations(rows))
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, "sub", "a.parquet"), Path(folder, "b.parquet")]
        for path, order in zip(paths, (rows, shuffled), strict=True):
            write_truth(Truth(pd.DataFrame(order).assign(**costs), PROVENANCE), path)
        assert paths[0].read_bytes() == paths[1].read_bytes()
        read = Truth.read(paths[0])
    assert read.provenance == PROVENANCE
    pd.testing.assert_frame_equal(read.frame, Truth(pd.DataFrame(rows).assign(**costs), PROVENANCE).frame)
    for column in read.columns():
        values = {}
        for key, (accuracy, _, _) in entries.items():
            if key[1:4] == column:
                values.setdefault(key[0], []).append(accuracy)
        found = read.accuracy(list(values), **column._asdict())
        np.testing.assert_allclose(found, [np.mean(accuracies) for accuracies in values.values()])


def test_reading_says_what_is_wrong(small: Truth, tmp_path: Path) -> None:
    path = tmp_path / "truth.parquet"
    with pytest.raises(UserError, match=r"truth\.parquet is missing: make it with `dvc repro truth`"):
        Truth.read(path)
    path.write_text("no parquet")
    with pytest.raises(UserError, match="damaged or no Parquet"):
        Truth.read(path)
    pd.DataFrame({"cell": [1]}).to_parquet(path)
    with pytest.raises(UserError, match="no table of true accuracies"):
        Truth.read(path)
    write_truth(small, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="damaged or no Parquet"):
        Truth.read(path)


def test_a_reader_of_the_old_file_keeps_it_whole(small: Truth, tmp_path: Path) -> None:
    path = tmp_path / "truth.parquet"
    write_truth(small, path)
    before = path.read_bytes()
    with path.open("rb") as reader:
        write_truth(truth_of(row(1, 1.0)), path)
        assert reader.read() == before
    assert path.read_bytes() != before


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    small: Truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "truth.parquet"
    write_truth(small, path)
    before = path.read_bytes()

    def full_disk(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(UserError, match=r"truth\.parquet could not be written: No space left"):
        write_truth(truth_of(row(1, 1.0)), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_flipped_bit_changes_no_accuracy(tmp_path: Path) -> None:
    path = tmp_path / "truth.parquet"
    write_truth(truth_of(*(row(cell, cell / 100) for cell in range(500))), path)
    whole, content = Truth.read(path), path.read_bytes()
    noticed = 0
    for place in range(0, len(content), len(content) // 100):
        flipped = bytearray(content)
        flipped[place] ^= 1
        path.write_bytes(flipped)
        try:
            found = Truth.read(path)
        except UserError:
            noticed += 1
            continue
        pd.testing.assert_frame_equal(found.frame, whole.frame)
    assert noticed > 0


def test_a_folder_that_cannot_be_made_is_one_sentence(small: Truth, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="could not be written"):
        write_truth(small, tmp_path / "file" / "truth.parquet")


def rewritten(path: Path, change: Callable[[dict[bytes, bytes]], dict[bytes, bytes]]) -> None:
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata(change(table.schema.metadata)), path)


def stating(**changes: object) -> Callable[[dict[bytes, bytes]], dict[bytes, bytes]]:
    """What a table says of itself, changed, with a checksum that fits."""

    def change(metadata: dict[bytes, bytes]) -> dict[bytes, bytes]:
        content = {**json.loads(metadata[b"dartsboard_truth"]), **changes}
        text = json.dumps({key: value for key, value in content.items() if value is not None}).encode()
        return {b"dartsboard_truth": text, b"dartsboard_truth_sha256": hashlib.sha256(text).hexdigest().encode()}

    return change


class TestVersions:
    @pytest.fixture
    def path(self, small: Truth, tmp_path: Path) -> Path:
        small.provenance = small.provenance.model_copy(update={"schema_version": SCHEMA_VERSION})
        write_truth(small, tmp_path / "truth.parquet")
        return tmp_path / "truth.parquet"

    def test_a_table_of_the_version_before_is_read(self, path: Path, small: Truth) -> None:
        def first(metadata: dict[bytes, bytes]) -> dict[bytes, bytes]:
            stated = stating(schema_version=None)(metadata)
            return {key: value for key, value in stated.items() if not key.endswith(b"sha256")}

        rewritten(path, first)
        assert Truth.read(path).provenance.schema_version == 1
        pd.testing.assert_frame_equal(Truth.read(path).frame, small.frame)

    @pytest.mark.parametrize("version", [1, 2])
    def test_a_table_without_trials_and_times_of_evaluations_is_read(
        self, path: Path, small: Truth, version: int
    ) -> None:
        table = pq.read_table(path).drop_columns(["trial", "evaluation_seconds"])
        metadata = stating(schema_version=version, table=None, told_by=None)(table.schema.metadata)
        pq.write_table(table.replace_schema_metadata(metadata), path)
        read = Truth.read(path)
        assert read.frame["evaluation_seconds"].isna().all()
        pd.testing.assert_frame_equal(read.frame, small.frame)
        assert read.trials([3], **C10)["trial"].tolist() == [1, 2]
        assert (read.provenance.table, read.provenance.name) == (None, "small.csv")

    def test_a_table_of_a_later_version_asks_for_an_update(self, path: Path) -> None:
        rewritten(path, stating(schema_version=SCHEMA_VERSION + 1, something_new=1))
        with pytest.raises(
            UserError, match=r"newer Dartsboard .*: update Dartsboard, or make it again with `dvc repro"
        ):
            Truth.read(path)

    def test_a_changed_origin_is_noticed(self, path: Path) -> None:
        rewritten(path, lambda metadata: {**metadata, **{b"dartsboard_truth": metadata[b"dartsboard_truth"] + b" "}})
        with pytest.raises(UserError, match="is damaged"):
            Truth.read(path)

    @pytest.mark.parametrize(
        ("column", "value"), [("cell", 15_625), ("data_set", "mnist"), ("split", "train"), ("accuracy", 101.0)]
    )
    def test_rows_that_are_none_are_told(self, path: Path, column: str, value: object) -> None:
        table = pq.read_table(path)
        place = table.schema.get_field_index(column)
        values = [value, *table.column(column).to_pylist()[1:]]
        field = table.schema.field(column)
        pq.write_table(table.set_column(place, field, pa.array(values, field.type)), path)
        with pytest.raises(UserError, match="holds rows that are no accuracies of cells"):
            Truth.read(path)
