"""What MLflow shows of one run: values, params, tags and inputs, worked out from its record and its truth alone."""

import hashlib
import json
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from harness.base.files import read_file
from harness.records.in_progress import InProgress
from harness.records.record import Record, read_table
from harness.settings.protocol import Board
from harness.space.cell import NONE, SKIP, Cell
from harness.tracking.metrics import alpha_metric, legal_name
from harness.tracking.origin import NOTE_TAG, REPORT, Input, data_set, note, source_tags
from harness.tracking.summary import run_key

LAYOUT_VERSION = 2
"""Raise it when names, tags or inputs change: the next sync then rebuilds every run."""

KEY_TAG = "dartsboard.key"
"""Tag that names the run, `variant/seed-N`; MLflow's own run ids mean nothing to a record."""

BOARD_TAG = "dartsboard.board"
"""Tag that names the board whose run it is; a run without it is of a time before the tag, and of whoever finds it."""

COMPLETE_TAG = "dartsboard.complete"
"""Tag that is written last: the digest of what was mirrored. A run without it was cut short."""

MLFLOW_STATUS = {"done": "FINISHED", "stopped": "FINISHED", "failed": "FAILED", "diverged": "FAILED"}

FINAL_MEASURES = ("valid_accuracy", "entropy", "margin", "skip_mass")
"""Columns of epochs.parquet whose last value is a summary."""


class Point(NamedTuple):
    """One value of one metric."""

    name: str
    step: int
    """Epoch; 0 for summaries."""
    value: float
    time: int
    """Milliseconds since 1970."""


@dataclass(frozen=True)
class MirroredRun:
    """One run as MLflow shall show it."""

    key: str
    fingerprint: str
    status: str
    """MLflow's word for it: RUNNING, KILLED, FINISHED or FAILED."""
    start: int
    end: int
    """Milliseconds since 1970."""
    tags: dict[str, str]
    points: list[Point]
    params: dict[str, str] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    digest: str | None = None
    """What `COMPLETE_TAG` holds in the end; null for a run in progress."""
    folder: Path | None = None
    cell: Cell | None = None


@dataclass(frozen=True)
class Surroundings:
    """What the mirror of a run shows that its record does not say."""

    truth: pd.DataFrame = field(default_factory=pd.DataFrame)
    """The run's rows of the looked-up epochs, with `epoch` and columns `truth/...`; may be empty."""
    final_truth: pd.DataFrame = field(default_factory=pd.DataFrame)
    """The row of the looked-up runs, with columns `truth/...` of the derived cell; may be empty."""
    truth_table: Input | None = None
    """What the true accuracies were looked up in."""
    report: str = str(REPORT)
    """Where the board's report is."""


def record_digest(folder: Path, around: Surroundings) -> str:
    """Return a hash of all that the mirror of a record depends on."""
    digest = hashlib.sha256(f"layout {LAYOUT_VERSION}\n{around.truth_table}\n".encode())
    digest.update(read_file(folder / "record.json"))
    for rows in (around.truth, around.final_truth):
        digest.update(rows.reset_index(drop=True).to_json(double_precision=15).encode())
    return digest.hexdigest()


def mirror_of_record(folder: Path, record: Record, around: Surroundings, digest: str) -> MirroredRun:
    """Return the mirror of a run that has a record.

    Args:
        folder: the run's folder.
        record: its record.json.
        around: its truth, and what else the record does not say.
        digest: from `record_digest`.

    Raises:
        UserError: a table of the run is missing or damaged.
    """
    epochs, alpha = (read_table(folder, name, record) for name in ("epochs", "alpha"))
    # The record says how long the search took, its file when it ended.
    end = int((folder / "record.json").stat().st_mtime * 1000)
    start = max(0, end - int(record.seconds * 1000))  # MLflow knows no time before 1970
    cell = Cell.from_string(record.cell) if record.cell else None
    times = _epoch_times(epochs, start)
    summary = _summary(record, cell, epochs, around.final_truth)
    points = [
        *_search_points(epochs, times),
        *_alpha_points(alpha, times),
        *_truth_points(around.truth, times),
        *(Point(f"summary/{name}", 0, value, end) for name, value in summary),
    ]
    tags = {
        **_identity_tags(record.variant, record.seed, record.fingerprint),
        "kind": record.kind,
        "protocol": record.protocol,
        "status": record.status,
        **({"reason": record.reason} if record.reason else {}),
        **({"cell": record.cell} if record.cell else {}),
        **source_tags(record),
        NOTE_TAG: note(record, cell, around.final_truth, around.report),
    }
    params = {**_flattened("settings", record.settings), **_flattened("protocol", record.protocol_settings)}
    return MirroredRun(
        key=run_key(record.variant, record.seed),
        fingerprint=record.fingerprint,
        status=MLFLOW_STATUS[record.status],
        start=start,
        end=end,
        tags=tags,
        points=_finite(points),
        params=params,
        inputs=tuple(filter(None, (data_set(record), around.truth_table))),
        digest=digest,
        folder=folder,
        cell=cell,
    )


def mirror_of_progress(search: InProgress, board: Board) -> MirroredRun:
    """Return the mirror of a search that has no record yet; its settings follow with the record."""
    end = int(time.time() * 1000)
    start = max(0, end - int(search.epochs["seconds"].sum() * 1000)) if "seconds" in search.epochs else end
    times = _epoch_times(search.epochs, start)
    tags = {
        **_identity_tags(search.variant, search.seed, search.fingerprint),
        "kind": "baseline" if search.variant in board.baselines else "search",
        "protocol": board.protocol,
        "status": "running" if search.alive else "interrupted",
    }
    return MirroredRun(
        key=run_key(search.variant, search.seed),
        fingerprint=search.fingerprint,
        status="RUNNING" if search.alive else "KILLED",
        start=start,
        end=end,
        tags=tags,
        points=_finite([*_search_points(search.epochs, times), *_alpha_points(search.alpha, times)]),
    )


def _identity_tags(variant: str, seed: int, fingerprint: str) -> dict[str, str]:
    return {KEY_TAG: run_key(variant, seed), "variant": variant, "seed": str(seed), "fingerprint": fingerprint}


def _epoch_times(epochs: pd.DataFrame, start: int) -> dict[int, int]:
    # Points are dated by when their epoch ended. The same record always gives the same dates, so that a batch that
    # is sent twice, because an answer was lost, is stored once.
    if "seconds" not in epochs:
        return {int(epoch): start for epoch in epochs.get("epoch", ())}
    ends = start + (epochs["seconds"].fillna(0).cumsum() * 1000)
    return {int(epoch): int(end) for epoch, end in zip(epochs["epoch"], ends, strict=True)}


def _search_points(epochs: pd.DataFrame, times: dict[int, int]) -> Iterator[Point]:
    # Memory use hardly changes: its one number is a summary.
    columns = [str(name) for name in epochs.select_dtypes("number") if name not in ("epoch", "peak_memory_bytes")]
    if "cell" in epochs:
        epochs, columns = epochs.assign(skip_count=epochs["cell"].map(_skip_count)), [*columns, "skip_count"]
    return _column_points(epochs, {name: f"search/{name}" for name in columns}, times)


def _skip_count(cell: str | None) -> float:
    return float(Cell.from_string(cell).counts[SKIP]) if isinstance(cell, str) else math.nan


def _truth_points(truth: pd.DataFrame, times: dict[int, int]) -> Iterator[Point]:
    return _column_points(truth, {name: legal_name(name) for name in _truth_columns(truth)}, times)


def _column_points(rows: pd.DataFrame, names: dict[str, str], times: dict[int, int]) -> Iterator[Point]:
    if rows.empty:
        return
    steps = [int(epoch) for epoch in rows["epoch"]]
    for column, name in names.items():
        for step, value in zip(steps, rows[column], strict=True):
            yield Point(name, step, float(value), times.get(step, 0))


def _alpha_points(alpha: pd.DataFrame, times: dict[int, int]) -> Iterator[Point]:
    # Where groups of cells have an alpha of their own, the mean over the groups is shown, so that all variants share
    # their metric names.
    means = alpha.groupby(["epoch", "edge", "operation"])[["alpha", "weight"]].mean()
    for (epoch, edge, operation), values in zip(means.index, means.to_numpy(), strict=True):
        for kind, value in zip(("alpha", "weight"), values, strict=True):
            yield Point(alpha_metric(kind, operation, edge), int(epoch), float(value), times.get(int(epoch), 0))


def _summary(
    record: Record, cell: Cell | None, epochs: pd.DataFrame, final_truth: pd.DataFrame
) -> Iterator[tuple[str, float]]:
    for name in ("epochs", "seconds", "forward_backward_passes"):
        yield name, float(getattr(record, name))
    yield "peak_memory_mib", record.peak_memory_bytes / 2**20
    if not epochs.empty:
        last = epochs.iloc[-1]
        yield from ((name, float(last[name])) for name in FINAL_MEASURES if name in epochs)
    if cell is not None:
        yield "skip_count", float(cell.counts[SKIP])
        yield "none_count", float(cell.counts[NONE])
        yield "depth", float(cell.depth)
    if not final_truth.empty:
        for name in _truth_columns(final_truth):
            yield legal_name(name).replace("/", "_"), float(final_truth.iloc[-1][name])


def _truth_columns(rows: pd.DataFrame) -> list[str]:
    return [name for name in rows.columns if name.startswith("truth/")]


def _finite(points: Iterable[Point]) -> list[Point]:
    # A chart has no place for nan, which marks what a method has nothing to say about, nor for inf.
    return [point for point in points if math.isfinite(point.value)]


def _flattened(prefix: str, settings: Any) -> dict[str, str]:
    # Text stays as it is, everything else becomes JSON, so null, true and lists look as in record.json. An empty group
    # has no param: it would bear the name of the group, and MLflow would offer to group runs by it.
    if isinstance(settings, dict):
        return {name: text for key in settings for name, text in _flattened(f"{prefix}.{key}", settings[key]).items()}
    text = settings if isinstance(settings, str) else json.dumps(settings)
    return {legal_name(prefix): text[:6000]}
