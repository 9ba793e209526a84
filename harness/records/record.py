"""What one run leaves behind: `runs/VARIANT/seed-N/`, the source of truth of every table and figure.

record.json      `Record`: status, settings, fingerprint, environment, timings, derived cells
epochs.parquet   a row an epoch (a row an evaluation for a baseline), columns in `EPOCH_COLUMNS`
alpha.parquet    tidy: epoch, cells, edge, operation, alpha, weight (absent where there is no alpha)
one_shot.parquet tidy: epoch, cell_index, accuracy (percent, of the shared weights; absent where not measured)
checksums.json   SHA-256 of each of these files, by name
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import pyarrow as pa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from harness.base.errors import UserError, in_one_line, quoted
from harness.base.files import file_checksum, read_file, whole_folder
from harness.base.parquet import parse_parquet, write_parquet
from harness.base.versions import check_version
from harness.records.run_folders import LONGEST_NAME as LONGEST_NAME
from harness.records.run_folders import METHOD_NAME as METHOD_NAME
from harness.records.run_folders import RUNS as RUNS
from harness.records.run_folders import run_folder as run_folder
from harness.records.tables import check_alpha, check_epochs, check_one_shot
from harness.settings.strategy import Strategy
from harness.settings.validation import validate
from harness.space.cell import Cell

SCHEMA_VERSION = 4
READABLE_VERSIONS = (1, 2, 3, SCHEMA_VERSION)
"""Version 1 had no checksums, version 2 did not tell threads and determinism, version 3 not the table of a baseline."""
CHECKSUMS = "checksums.json"
MOST_ROWS = 20_000_000
"""Rows of a table of a run; 50 epochs of all 15,625 cells have 0.8 million."""
LARGEST_COUNT = 2**53

Status = Literal["done", "failed", "diverged", "stopped"]
"""`stopped`: the variant's own rule ended the search early, which is a result like `done`."""
FINISHED = ("done", "stopped")
"""Statuses whose cell is a result."""


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _all_writable(content: Any) -> Any:
    if isinstance(content, dict):
        return {_writable(str(key)): _all_writable(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_all_writable(value) for value in content]
    return _writable(content) if isinstance(content, str) else content


Text = Annotated[str, AfterValidator(_writable)]
"""An error may quote halves of letters, which JSON can name and no table can hold: `?` stands for them."""
WrittenSettings = Annotated[dict[str, Any], AfterValidator(_all_writable)]
"""Settings, whose texts are such ones."""
Count = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
Amount = Annotated[float, Field(ge=0, le=LARGEST_COUNT)]

DIAGNOSTIC_COLUMNS = {
    "entropy": "mean over edges of the entropy of the op weights, nats (at most ln 5 = 1.609)",
    "entropy_smallest": "of the most decided edge, nats",
    "entropy_largest": "of the least decided edge, nats",
    "margin": "mean over edges of the largest minus the second largest op weight",
    "flips": "edges whose leading operation changed since the epoch before",
    "skip_mass": "mean over edges of the op weight of skip_connect",
    "skip_rank": "mean over edges of the rank of skip_connect's op weight, 1 for the largest",
    "mixture_accuracy": "percent, of the shared weights under the op weights, on the probe images",
    "one_hot_accuracy": "percent, of the same weights under the argmax cell, on the same images",
    "discretisation_gap": "mixture_accuracy minus one_hot_accuracy, points",
    "layer_alignment": "mean cosine between the gradients that two cells give to the op weights",
    "hessian_largest": "largest eigenvalue of the Hessian of the validation loss in alpha, nats",
    "hessian_smallest": "its smallest eigenvalue, nats",
    "hessian_trace": "its trace, nats",
}
"""What harness/search/diagnostics.py measures; all but the first seven not after every epoch."""

EPOCH_COLUMNS = {
    "epoch": "counts from 1; for a baseline the number of evaluations",
    "cell": "the cell by the per-edge argmax of the op weights, null without alpha; for a baseline the best so far",
    "train_loss": "mean cross-entropy over the epoch's weight steps, nats",
    "train_accuracy": "percent, over the same images",
    "valid_loss": "mean cross-entropy over the epoch's alpha steps, nats",
    "valid_accuracy": "percent, over the same images",
    **DIAGNOSTIC_COLUMNS,
    "learning_rate": "of the weights, at the end of the epoch",
    "gradient_norm": "mean L2 norm of the weights' gradient before clipping",
    "clipped_share": "share of the weight steps whose gradient was clipped",
    "signal": "baselines: what the search saw of the evaluated cell, percent",
    "cost_seconds": "baselines: time charged so far for training and validation, seconds",
    "seconds": "wall time of the epoch, without its diagnostics",
    "diagnostics_seconds": "wall time of the epoch's diagnostics",
    "peak_memory_bytes": "largest memory use so far: of the device on CUDA, of the process elsewhere",
}
"""Columns of epochs.parquet. Those that a method has nothing to say about are NaN."""

BASELINE_COLUMNS = ("signal", "cost_seconds")
"""The columns that a baseline fills beside the epoch and the cell; a search fills all others."""

TIMING_COLUMNS = ("seconds", "diagnostics_seconds", "peak_memory_bytes")
"""The columns that differ between two otherwise identical runs."""


class Environment(BaseModel):
    """Where a run was computed."""

    model_config = ConfigDict(extra="forbid")

    python: Text
    torch: Text
    numpy: Text
    device: Text
    processor: Text
    threads: Count | None = None
    """CPU threads of the run; null in records of version 2 and before."""
    deterministic: bool | None = None
    """Whether the run, made again in this environment, gives the same bits; null as above."""
    git_revision: Text | None
    """Commit of the project, with `+changes` when tracked files other than the board's own differed; null
    outside git."""


class Record(BaseModel):
    """record.json."""

    model_config = ConfigDict(extra="forbid")

    schema_version: int = SCHEMA_VERSION
    variant: Text
    seed: int
    kind: Literal["search", "baseline"]
    strategy: Strategy
    status: Status
    reason: Text | None = None
    """Why the run is not `done`, in one line."""
    traceback: Text | None = None
    """Where a failed run failed."""
    notes: list[Text] = []
    """What a reader of the report must know about this run."""
    protocol: Text
    """Name of the protocol."""
    settings: WrittenSettings
    """The variant's own settings, complete."""
    protocol_settings: WrittenSettings
    """The protocol, complete."""
    truth: Text | None = None
    """The table of true accuracies that a baseline searched on, with its version; null for searches, which see none,
    and in records of version 3 and before."""
    fingerprint: Text
    epochs: Count
    """Epochs completed; for a baseline the evaluations."""
    cell: str | None
    """The derived cell; null if the run failed before there was one."""
    derived: dict[Text, str]
    """The cell by each derivation rule."""
    draws: dict[str, Count] = {}
    """Cells drawn from the final op weights, and how often each came up."""
    seconds: Amount
    """Wall time of the search with the method's own answer, without diagnostics; all sittings together."""
    peak_memory_bytes: Count
    forward_backward_passes: Amount
    """Passes of one batch through the supernet, forward and backward, that the search paid for."""
    environment: Environment

    @model_validator(mode="after")
    def _names_cells(self) -> "Record":
        if self.cell is None and self.status in FINISHED:
            raise ValueError(f"the status is {self.status}, but the key cell names none")
        for key, texts in (("cell", [self.cell] if self.cell is not None else []), ("derived", self.derived.values())):
            _check_cells(key, texts)
        _check_cells("draws", self.draws)
        return self


def _check_cells(key: str, texts: Iterable[str]) -> None:
    for text in texts:
        try:
            Cell.from_string(text)
        except UserError as error:
            raise ValueError(f"{key}: {error}") from None


TableName = Literal["epochs", "alpha", "one_shot"]

OPTIONAL_TABLES: dict[TableName, tuple[str, ...]] = {
    "alpha": ("epoch", "cells", "edge", "operation", "alpha", "weight"),
    "one_shot": ("epoch", "cell_index", "accuracy"),
}


def write_run(
    folder: Path,
    record: Record,
    epochs: pd.DataFrame,
    alpha: pd.DataFrame | None = None,
    one_shot: pd.DataFrame | None = None,
) -> None:
    """Write a run folder: it appears whole, or the folder stays as it was.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    with whole_folder(folder) as staging:
        write_parquet(epochs, staging / "epochs.parquet")
        for name, table in (("alpha", alpha), ("one_shot", one_shot)):
            if table is not None:
                write_parquet(table, staging / f"{name}.parquet")
        text = json.dumps(record.model_dump(mode="json"), indent=2, sort_keys=True, allow_nan=False)
        (staging / "record.json").write_text(text + "\n", encoding="utf-8")
        checksums = {path.name: file_checksum(path) for path in sorted(staging.iterdir())}
        (staging / CHECKSUMS).write_text(json.dumps(checksums, indent=2) + "\n", encoding="utf-8")


def read_record(folder: Path) -> Record:
    """Read and validate record.json; one of an earlier version is read too.

    Raises:
        UserError: it is missing, damaged, of another schema version or of another run than its folder's.
    """
    path = folder / "record.json"
    written = _read(path)
    content = _parse(written, path)
    check_version(path, content.get("schema_version"), READABLE_VERSIONS, again="run the search again")
    if content["schema_version"] > 1 or (folder / CHECKSUMS).exists():  # damage, too, can make a record an older one
        _verify(written, path, _read_checksums(folder))
    record = validate(Record, content, where=str(path))
    if (folder.parent.name, folder.name) != (record.variant, f"seed-{record.seed}"):
        raise UserError(f"{path} is of {quoted(record.variant)} with seed {record.seed}, not of its folder's run")
    return record


def _read(path: Path) -> bytes:
    try:
        return read_file(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None


def _parse(content: bytes, path: Path) -> dict[str, Any]:
    try:
        parsed = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {in_one_line(error)}") from None
    if not isinstance(parsed, dict):
        raise UserError(f"{path} is damaged: expected an object")
    return parsed


def _read_checksums(folder: Path) -> dict[str, Any]:
    path = folder / CHECKSUMS
    return _parse(_read(path), path)


def _verify(content: bytes, path: Path, checksums: dict[str, Any]) -> None:
    """Compare the content of a run's file with the checksum that was written beside it."""
    if hashlib.sha256(content).hexdigest() != checksums.get(path.name):
        raise UserError(f"{path} is damaged: its content is not what the run wrote")


def read_whole_run(folder: Path) -> Record:
    """Read record.json, and check that no file of the run is missing or damaged.

    Raises:
        UserError: one is, or the record is of another schema version.
    """
    record = read_record(folder)
    tables: tuple[TableName, ...] = ("epochs", *OPTIONAL_TABLES)
    for name in tables:
        read_table(folder, name, record)
    return record


def read_unchanged_run(folder: Path) -> Record:
    """Read record.json, and check that no file of the run is missing or other than the run wrote it.

    As `read_whole_run`, but without a look into tables whose checksums agree: for many runs at once.

    Raises:
        UserError: one is, or the record is of another schema version.
    """
    if not (folder / CHECKSUMS).exists():
        return read_whole_run(folder)
    record, checksums = read_record(folder), _read_checksums(folder)
    tables = [folder / f"{name}.parquet" for name in ("epochs", *OPTIONAL_TABLES)]
    for path in tables:
        if path.stem == "epochs" or path.name in checksums or path.exists():
            _verify(_read(path), path, checksums)
    return record


def read_table(folder: Path, name: TableName, record: Record | None = None) -> pd.DataFrame:
    """Read one table of a run; alpha and one_shot are empty where a run has none.

    With the run's record, its rows are compared with what the record says.

    Raises:
        UserError: the file is missing or damaged, or no such table as a run writes.
    """
    path = folder / f"{name}.parquet"
    checksums = _read_checksums(folder) if (folder / CHECKSUMS).exists() else {}
    if name in OPTIONAL_TABLES and not path.exists() and path.name not in checksums:
        return pd.DataFrame(columns=list(OPTIONAL_TABLES[name]))
    content = _read(path)
    if checksums:
        _verify(content, path, checksums)
    table = parse_parquet(content, path, MOST_ROWS)
    try:
        _check(table, path, name, record)
        return table.to_pandas(ignore_metadata=True)
    except UserError:
        raise
    except Exception as error:  # texts that are none, and the like
        raise UserError(f"{path} is damaged ({in_one_line(error)}): run the search again") from None


def _check(table: pa.Table, path: Path, name: TableName, record: Record | None) -> None:
    epochs = record.epochs if record else None
    match name:
        case "epochs":
            check_epochs(table, str(path), _columns_of(record), epochs)
        case "alpha":
            check_alpha(table, str(path), epochs)
        case "one_shot":
            check_one_shot(table, str(path), epochs)


def _columns_of(record: Record | None) -> Iterable[str]:
    """Return the columns that epochs.parquet of this run holds; runs of the first version may lack some."""
    if record is None or record.schema_version == 1 or not record.epochs:
        return ()
    if record.kind == "baseline":
        return BASELINE_COLUMNS
    return [name for name in EPOCH_COLUMNS if name not in BASELINE_COLUMNS]
