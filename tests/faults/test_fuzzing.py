"""No input gives a traceback, a hang or a half-written file: a fixed choice of damaged files, of every kind."""

import bz2
import gzip
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.base.errors import UserError
from harness.settings.tables import AccuracyColumn
from harness.truth import trials
from harness.truth.sources import import_table
from harness.truth.trials import BENCHMARK_NAMES, read_cell_file
from harness.untrusted import memory_limit
from harness.untrusted.plain_values import ARRAYS
from harness.untrusted.restricted_pickle import load_restricted
from tests.faults import fuzzing, fuzzing_targets, mutations

INPUTS = 3
FEW = 1
"""Of kinds that take long."""
LONG = ("command", "NAS-Bench", "NATS", "published")
COLUMN = AccuracyColumn(data_set="cifar10", split="test", epochs=200)


def test_damaged_files_of_every_kind(tmp_path: Path) -> None:
    fuzzing_targets.prepare(tmp_path)
    targets = fuzzing_targets.targets()
    numbers = [
        position + len(targets) * turn
        for position, target in enumerate(targets)
        for turn in range(FEW if any(word in target.name for word in LONG) else INPUTS)
    ]
    report = fuzzing.fuzz(tmp_path, numbers, seed=0)
    assert not report.findings, fuzzing.explain(report.findings)
    assert report.tried == len(numbers)
    assert report.counts["one sentence"] > report.counts["a result"] > 0


def fail(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize(
    ("read", "right", "answer"),
    [
        (lambda: 1, [1, 2], "a result"),
        (lambda: fail(UserError("x is damaged")), [1], "one sentence"),
        (lambda: 3, [1, 2], "finding"),
        (lambda: fail(ValueError("x")), None, "finding"),
        (lambda: fail(MemoryError()), None, "finding"),
        (lambda: fail(UserError("x is\ndamaged")), None, "finding"),
        (lambda: fail(UserError("x" * 10_000)), None, "finding"),
    ],
)
def test_what_counts_as_a_finding(read: Any, right: Any, answer: str) -> None:
    assert fuzzing._answer(read, right)[0] == answer


@pytest.mark.parametrize(("name", "content"), mutations.pickle_bombs().items(), ids=list(mutations.pickle_bombs()))
def test_a_pickle_that_claims_gigabytes_takes_none(name: str, content: bytes) -> None:
    with pytest.raises(UserError, match="x is damaged or of another kind"):
        load_restricted(content, {**ARRAYS, **BENCHMARK_NAMES}, "x")


def test_a_compressed_cell_is_not_unpacked_beyond_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "LARGEST_CELL", 10_000)
    path = tmp_path / "000000.pickle.pbz2"
    path.write_bytes(bz2.compress(pickle.dumps(bytes(10_000), protocol=4)))
    with pytest.raises(UserError, match="no complete bz2 file of at most 10,000 bytes"):
        read_cell_file(path)


def test_a_table_with_more_rows_than_cells_is_not_read(tmp_path: Path) -> None:
    rows = 1_000_000
    table = pa.table({"cell": pa.array(np.zeros(rows, dtype=np.int8)), "accuracy": pa.nulls(rows, pa.float64())})
    pq.write_table(table, tmp_path / "means.parquet", compression="zstd")
    with pytest.raises(UserError, match="has more rows than the 15,625 cells"):
        import_table(tmp_path / "means.parquet", "cell", {"accuracy": COLUMN})


def test_a_text_that_unpacks_to_much_more_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_limit, "ALLOWANCE", 2**26)
    monkeypatch.setattr(memory_limit, "PER_BYTE", 1)
    path = tmp_path / "means.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"cell,accuracy\n")
        for _ in range(4):
            file.write(b"7" * 2**26)
    with pytest.raises(UserError, match=r"means\.csv\.gz is damaged"):
        import_table(path, "cell", {"accuracy": COLUMN})
