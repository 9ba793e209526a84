"""The table of true accuracies: what a cell reaches when it is trained alone.

One row a cell, data set, split, training length and trial; a trial that does not exist has no row.
Data sets and splits carry the names of NAS-Bench-201's API (Dong and Yang 2020): `cifar10-valid` is trained on
half of CIFAR-10's training images, `cifar10` on all of them; `valid` and `test` divide the held-out images of
CIFAR-100 and ImageNet16-120, and `valtest` is both together.
"""

import hashlib
import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from harness.base.errors import UserError
from harness.base.files import read_file, whole_file
from harness.base.parquet import parquet_file
from harness.base.versions import check_version
from harness.space.cell import CELL_COUNT, Cell, Shape

TRUTH_FILE = Path("data/truth.parquet")

NETWORKS = {
    "cifar10-valid": Shape(),
    "cifar10": Shape(),
    "cifar100": Shape(classes=100),
    "ImageNet16-120": Shape(classes=120, image_size=16),
}
"""The data sets, and the network that the benchmark puts around a cell on each."""

SPLITS = ("valid", "test", "valtest")

REPORT_COLUMNS = {
    "CIFAR-10 valid": ("cifar10-valid", "valid"),
    "CIFAR-10 test": ("cifar10", "test"),
    "CIFAR-100 valid": ("cifar100", "valid"),
    "CIFAR-100 test": ("cifar100", "test"),
    "ImageNet16-120 valid": ("ImageNet16-120", "valid"),
    "ImageNet16-120 test": ("ImageNet16-120", "test"),
}
"""The six columns of the papers' tables. The two of CIFAR-10 belong to differently trained networks."""

SCHEMA = pa.schema(
    [
        pa.field("cell", pa.int64(), nullable=False),  # official index
        pa.field("data_set", pa.string(), nullable=False),  # a key of NETWORKS
        pa.field("split", pa.string(), nullable=False),  # one of SPLITS
        ("epochs", pa.int32()),  # length of the training; null: the source does not state it
        ("trial", pa.int32()),  # single trainings of a cell count from 1; null: the mean over trainings
        ("training_seed", pa.int32()),  # null: a mean, or a training whose seed the source does not state
        pa.field("accuracy", pa.float64(), nullable=False),  # percent, after the last epoch
        ("loss", pa.float64()),  # cross-entropy on the split, nats
        ("seconds", pa.float64()),  # of the whole training
        ("evaluation_seconds", pa.float64()),  # of one evaluation on the split
        pa.field("parameters", pa.int64(), nullable=False),  # trainable weights
        pa.field("flops", pa.int64(), nullable=False),  # multiply-adds of one image
        ("latency", pa.float64()),  # seconds, as measured by the source
    ]
)

KEY = ["cell", "data_set", "split", "epochs", "trial"]
"""The columns that no two rows share."""

_METADATA_KEY = b"dartsboard_truth"
_CHECKSUM_KEY = b"dartsboard_truth_sha256"
"""Of the provenance: the checksums of Parquet's pages cover the rows only."""

SCHEMA_VERSION = 3
READABLE_VERSIONS = (1, 2, SCHEMA_VERSION)
"""Version 1 had no checksum of the provenance, and did not state its version; versions 1 and 2 numbered no trials,
timed no evaluations and did not name the table."""
_EARLIER = pa.schema([field for field in SCHEMA if field.name not in ("trial", "evaluation_seconds")])
_AGAIN = "make it again with `dvc repro truth`"
MOST_ROWS = 5_000_000
"""Rows of a table; NATS-Bench's has 0.4 million."""


class Column(NamedTuple):
    """One kind of accuracy of a table."""

    data_set: str
    split: str
    epochs: int | None

    def __str__(self) -> str:
        length = "training length not stated" if self.epochs is None else f"{self.epochs} epochs"
        return f"{self.data_set} {self.split} ({length})"


class Provenance(BaseModel):
    """Where a table comes from. It holds no date and no folder, so that the same source gives the same file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    source: str
    """Kind of the source, a value of `truth.source` in params.yaml."""
    file: str
    """Name of the source file or folder."""
    sha256: str
    """Checksum of the source, see docs/truth.md for that of a folder."""
    importer_version: int
    cells: int
    """Distinct cells in the table; fewer than 15,625 only after a partial import."""
    table: str | None = None
    """Which benchmark's numbers these are, with their version; null where nothing tells."""
    told_by: str | None = None
    """What tells it, or why nothing does; null in tables of version 2 and before."""

    @property
    def name(self) -> str:
        """What the table is called: the benchmark with its version or, where that is not known, the file."""
        return self.table or self.file


class Truth:
    """True accuracies, read once and looked up often. No look-up draws a random number."""

    def __init__(self, frame: pd.DataFrame, provenance: Provenance) -> None:
        self.frame = tidy(frame)
        self.provenance = provenance
        self._means: dict[tuple[Column, str], NDArray[np.float64]] = {}
        self._ordered: dict[Column, NDArray[np.float64]] = {}

    @classmethod
    def read(cls, path: Path = TRUTH_FILE) -> "Truth":
        """Read a table that `write_truth` wrote.

        Raises:
            UserError: the file is missing, damaged or no table of true accuracies.
        """
        try:
            return cls(*_read(path))
        except FileNotFoundError:
            raise UserError(f"{path} is missing: make it with `dvc repro truth`") from None
        except UserError:
            raise
        except IsADirectoryError:
            raise UserError(f"{path} is a folder: {_AGAIN}") from None
        except Exception:  # damage shows in many ways
            raise UserError(f"{path} is damaged or no Parquet file: {_AGAIN}") from None

    def columns(self) -> list[Column]:
        """Return the combinations of data set, split and training length that the table has."""

        def order(column: Column) -> tuple[int, int, int]:
            return list(NETWORKS).index(column.data_set), SPLITS.index(column.split), column.epochs or 0

        return sorted(self._groups, key=order)

    def report_columns(self) -> dict[str, bool]:
        """Return for each of `REPORT_COLUMNS` whether the table has it, at any training length."""
        present = {(column.data_set, column.split) for column in self._groups}
        return {label: key in present for label, key in REPORT_COLUMNS.items()}

    def final_epochs(self, *, data_set: str, split: str) -> int | None:
        """Return the longest training of a data set and split; None where the source does not state its length.

        Raises:
            UserError: the table has no such accuracies.
        """
        present = [column.epochs for column in self._groups if column[:2] == (data_set, split)]
        if not present:
            raise self._absent(f"{data_set} {split}")
        return max((epochs for epochs in present if epochs is not None), default=None)

    def accuracy(
        self, cells: Iterable[Cell | int] | NDArray[np.integer], *, data_set: str, split: str, epochs: int | None
    ) -> NDArray[np.float64]:
        """Return the mean accuracies over the training seeds, percent, [cells]; NaN where a cell has none.

        Raises:
            UserError: the table lacks this combination, or an index is out of range.
        """
        return self._mean(Column(data_set, split, epochs), "accuracy")[cell_indices(cells)]

    def seconds(
        self, cells: Iterable[Cell | int] | NDArray[np.integer], *, data_set: str, epochs: int | None
    ) -> NDArray[np.float64]:
        """Return the mean training times, seconds, [cells]; NaN where they are not known.

        Raises:
            UserError: the table has no training of this length on this data set, or an index is out of range.
        """
        # One training is measured on several splits, and each of its rows carries its time.
        trainings = [column for column in self.columns() if (column.data_set, column.epochs) == (data_set, epochs)]
        if not trainings:
            raise self._absent(str(Column(data_set, "training", epochs)))
        return self._mean(trainings[0], "seconds")[cell_indices(cells)]

    def percentile(
        self,
        cells: Iterable[Cell | int] | NDArray[np.integer],
        *,
        data_set: str,
        split: str,
        epochs: int | None,
        among: NDArray[np.integer] | None = None,
    ) -> NDArray[np.float64]:
        """Return how many percent of cells have a lower mean accuracy, [cells]; NaN where there is none.

        Of the cells with the official indices `among`, or of all that the table has.

        Raises:
            UserError: the table lacks this combination, or an index is out of range.
        """
        column = Column(data_set, split, epochs)
        values = self.accuracy(cells, **column._asdict())
        known = self._known(column) if among is None else _sorted(self.accuracy(among, **column._asdict()))
        below = np.searchsorted(known, values, side="left")
        return np.where(np.isnan(values), np.nan, 100 * below / max(len(known), 1))

    def trials(
        self, cells: Iterable[Cell | int] | NDArray[np.integer], *, data_set: str, split: str, epochs: int | None
    ) -> pd.DataFrame:
        """Return the trainings of these cells.

        Columns: cell, trial, training_seed, accuracy, loss, seconds, evaluation_seconds, latency. A row without a trial
        is a mean over trainings, of which the source tells no more.

        Raises:
            UserError: the table lacks this combination, or an index is out of range.
        """
        rows = self._rows(Column(data_set, split, epochs))
        wanted = rows["cell"].isin(cell_indices(cells))
        measured = ["accuracy", "loss", "seconds", "evaluation_seconds", "latency"]
        return rows.loc[wanted, ["cell", "trial", "training_seed", *measured]]

    def spread(
        self, *, data_set: str, split: str, epochs: int | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return how many single trainings each cell has, and their sd (ddof 1, points), both [15625].

        The number is NaN where the source tells a mean only, or nothing; the sd also where there is one training.

        Raises:
            UserError: the table lacks this combination.
        """
        rows = self._rows(Column(data_set, split, epochs))
        grouped = rows[rows["trial"].notna()].groupby("cell")["accuracy"]
        counted, sds = (
            np.array(found.reindex(range(CELL_COUNT)), dtype=np.float64) for found in (grouped.count(), grouped.std())
        )
        only_mean = rows.loc[rows["trial"].isna(), "cell"].to_numpy()
        counted[only_mean] = sds[only_mean] = np.nan  # its mean is not that of the trainings
        return counted, sds

    @cached_property
    def _groups(self) -> dict[Column, pd.DataFrame]:
        groups: Iterable[tuple[Any, pd.DataFrame]] = self.frame.groupby(
            ["data_set", "split", "epochs"], dropna=False, sort=False
        )
        return {
            Column(data_set, split, None if pd.isna(epochs) else int(epochs)): rows
            for (data_set, split, epochs), rows in groups
        }

    def _rows(self, column: Column) -> pd.DataFrame:
        if column not in self._groups:
            raise self._absent(str(column))
        return self._groups[column]

    def _absent(self, wanted: str) -> UserError:
        present = "; ".join(str(column) for column in self.columns())
        return UserError(f"the true accuracies of {self.provenance.file} have no {wanted}; they have: {present}")

    def _known(self, column: Column) -> NDArray[np.float64]:
        # All mean accuracies in order, sorted once a column.
        if column not in self._ordered:
            self._ordered[column] = _sorted(self._mean(column, "accuracy"))
        return self._ordered[column]

    def _mean(self, column: Column, field: str) -> NDArray[np.float64]:
        # A dense array over all cells, [15625], built once a column.
        if (column, field) not in self._means:
            rows = self._rows(column)
            known = rows[rows[field].notna()]
            total = np.bincount(known["cell"], weights=known[field], minlength=CELL_COUNT)
            count = np.bincount(known["cell"], minlength=CELL_COUNT)
            self._means[column, field] = total / np.where(count > 0, count, np.nan)
        return self._means[column, field]


def _sorted(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sort(values[~np.isnan(values)])


def _read(path: Path) -> tuple[pd.DataFrame, Provenance]:
    with parquet_file(read_file(path)) as file:
        metadata = file.schema_arrow.metadata or {}
        if _METADATA_KEY not in metadata:
            raise UserError(f"{path} is no table of true accuracies: {_AGAIN}")
        provenance = _provenance(path, metadata)
        fits = any(map(file.schema_arrow.equals, (SCHEMA, _EARLIER)))
        if not fits or file.metadata.num_rows > MOST_ROWS:
            raise UserError(f"{path} is no table of true accuracies: {_AGAIN}")
        table = file.read(use_threads=False)
    frame = table.to_pandas(types_mapper={pa.int32(): pd.Int32Dtype()}.get, ignore_metadata=True)
    known = frame["cell"].between(0, CELL_COUNT - 1) & frame["data_set"].isin(NETWORKS) & frame["split"].isin(SPLITS)
    if frame.empty or not (known & frame["accuracy"].between(0, 100)).all():
        raise UserError(f"{path} holds rows that are no accuracies of cells: {_AGAIN}")
    return frame, provenance


def _provenance(path: Path, metadata: dict[bytes, bytes]) -> Provenance:
    text = metadata[_METADATA_KEY]
    try:
        content = json.loads(text)
        version = content.get("schema_version", 1)
        check_version(path, version, READABLE_VERSIONS, again=_AGAIN)
        if version > 1 and metadata.get(_CHECKSUM_KEY) != _checksum(text):
            raise UserError(f"{path} is damaged: {_AGAIN}")
        return Provenance.model_validate(content)
    except (ValueError, AttributeError, RecursionError):
        raise UserError(f"{path} does not say where it comes from: {_AGAIN}") from None


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()


def cell_indices(cells: Iterable[Cell | int] | NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the official indices of cells, [cells].

    Raises:
        UserError: an index is out of range.
        TypeError: an entry is neither a Cell nor an integer.
    """
    if not isinstance(cells, np.ndarray):
        entries = [cell.index if isinstance(cell, Cell) else cell for cell in cells]
        cells = np.array(entries, dtype=None if entries else np.int64)
    if cells.dtype.kind not in "iu":
        raise TypeError(f"expected cells or integers, not {cells.dtype}")
    outside = cells[(cells < 0) | (cells >= CELL_COUNT)]
    if outside.size:
        raise UserError(f"cell index {outside[0]} is out of range, expected 0 to {CELL_COUNT - 1}")
    return cells.astype(np.int64)


def tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with the columns, types and row order of the schema; trials without numbers get them."""
    types = {pa.int64(): "int64", pa.int32(): "Int32", pa.string(): "str", pa.float64(): "float64"}
    if "evaluation_seconds" not in frame:
        frame = frame.assign(evaluation_seconds=np.nan)
    given = [field for field in SCHEMA if field.name != "trial" or "trial" in frame]
    typed = frame.reset_index(drop=True)[[field.name for field in given]]
    typed = typed.astype({field.name: types[field.type] for field in given})
    if "trial" not in typed:
        typed["trial"] = _trials_by_seed(typed)
    return typed[SCHEMA.names].sort_values(KEY, ignore_index=True)


def _trials_by_seed(frame: pd.DataFrame) -> pd.Series:
    """Number the trainings of each cell by their seeds, one training alike on every split; null for means."""
    trainings = frame.groupby(["cell", "data_set", "epochs"], dropna=False, sort=False)["training_seed"]
    return trainings.rank(method="dense").astype("Int32")


def write_truth(truth: Truth, path: Path = TRUTH_FILE) -> None:
    """Write a table: it appears whole, or the file stays as it was. Equal tables give equal bytes.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    table = pa.Table.from_pandas(truth.frame, schema=SCHEMA, preserve_index=False)
    text = truth.provenance.model_dump_json().encode()
    table = table.replace_schema_metadata({_METADATA_KEY: text, _CHECKSUM_KEY: _checksum(text)})
    with whole_file(path) as staging:
        pq.write_table(table, staging, compression="zstd", write_page_checksum=True)


def describe_cell(truth: Truth, cell: Cell) -> dict[str, Any]:
    """Return all that is known of one cell, ready for JSON; None stands where the source does not tell."""
    return {
        "index": cell.index,
        "string": str(cell),
        "canonical": cell.canonical,
        "source": truth.provenance.model_dump(),
        "accuracies": [_describe_column(truth, cell, column) for column in truth.columns()],
        "parameters": {data_set: cell.parameters(shape) for data_set, shape in NETWORKS.items()},
        "flops": {data_set: cell.flops(shape) for data_set, shape in NETWORKS.items()},
    }


def _describe_column(truth: Truth, cell: Cell, column: Column) -> dict[str, Any]:
    key = column._asdict()
    trials = truth.trials([cell], **key)
    single = trials["accuracy"][trials["trial"].notna()]
    only_mean = len(trials) > len(single)
    return {
        **key,
        "mean": _or_none(truth.accuracy([cell], **key)[0]),
        "sd": _or_none(single.std(ddof=1)),
        "trials": None if only_mean else len(single),
        "single": single.tolist(),
        "percentile": _or_none(truth.percentile([cell], **key)[0]),
    }


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
