"""What MLflow shows of one run: names, values and tags, worked out from the run record alone.

    alpha/<operation>/edge_<i>_<j>    the architecture parameter, an epoch a point
    weight/<operation>/edge_<i>_<j>   the op weight that it becomes
    search/<column>                   the numeric columns of epochs.parquet
    truth/<data set>/<split>          true accuracy of the argmax cell of each epoch
    summary/<name>                    single values of the whole run, at step 0

MLflow makes one section of charts of everything before the last slash, and one chart of each metric name; names are
therefore the same for all variants, so that runs grouped by the tag `variant` share their charts.
"""

import hashlib
import json
import math
import re
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
from harness.tracking.summary import run_key

LAYOUT_VERSION = 1
"""Raise it when names or tags below change: the next sync then rebuilds every run."""

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
    digest: str | None = None
    """What `COMPLETE_TAG` holds in the end; null for a run in progress."""
    folder: Path | None = None
    cell: Cell | None = None


def record_digest(folder: Path, truth: pd.DataFrame, final_truth: pd.DataFrame) -> str:
    """Return a hash of all that the mirror of a record depends on."""
    digest = hashlib.sha256(f"layout {LAYOUT_VERSION}\n".encode())
    digest.update(read_file(folder / "record.json"))
    for rows in (truth, final_truth):
        digest.update(rows.reset_index(drop=True).to_json(double_precision=15).encode())
    return digest.hexdigest()


def mirror_of_record(
    folder: Path, record: Record, truth: pd.DataFrame, final_truth: pd.DataFrame, digest: str
) -> MirroredRun:
    """Return the mirror of a run that has a record.

    Args:
        folder: the run's folder.
        record: its record.json.
        truth: the run's rows of the looked-up epochs, with `epoch` and columns `truth/...`; may be empty.
        final_truth: the row of the looked-up runs, with columns `truth/...` of the derived cell; may be empty.
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
    points = [
        *_search_points(epochs, times),
        *_alpha_points(alpha, times),
        *_truth_points(truth, times),
        *(Point(f"summary/{name}", 0, value, end) for name, value in _summary(record, cell, epochs, final_truth)),
    ]
    tags = {
        **_identity_tags(record.variant, record.seed, record.fingerprint),
        "kind": record.kind,
        "protocol": record.protocol,
        "status": record.status,
        **({"reason": record.reason} if record.reason else {}),
        **({"cell": record.cell} if record.cell else {}),
    }
    params = {**_flattened("variant", record.settings), **_flattened("protocol", record.protocol_settings)}
    return MirroredRun(
        key=run_key(record.variant, record.seed),
        fingerprint=record.fingerprint,
        status=MLFLOW_STATUS[record.status],
        start=start,
        end=end,
        tags=tags,
        points=_finite(points),
        params=params,
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
    return _column_points(epochs, {name: f"search/{name}" for name in columns}, times)


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
        place = f"{operation}/edge_{edge.replace('>', '_')}"
        for kind, value in zip(("alpha", "weight"), values, strict=True):
            yield Point(f"{kind}/{place}", int(epoch), float(value), times.get(int(epoch), 0))


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


def is_truth(metric: str) -> bool:
    """Whether a metric comes from the truth, and not from the record."""
    return metric.startswith(("truth/", "summary/truth_"))


def legal_name(name: str) -> str:
    """Return a metric or param name that MLflow accepts: other characters become `_`, at most 250 are kept."""
    return re.sub(r"[^\w\-.: /]", "_", name, flags=re.ASCII)[:250]


def _flattened(prefix: str, settings: Any) -> dict[str, str]:
    # Text stays as it is, everything else becomes JSON, so null, true and lists look as in record.json.
    if isinstance(settings, dict) and settings:
        return {name: text for key in settings for name, text in _flattened(f"{prefix}.{key}", settings[key]).items()}
    text = settings if isinstance(settings, str) else json.dumps(settings)
    return {legal_name(prefix): text[:6000]}
