"""What a run costs: measured where there are records, else estimated; each figure says where it comes from.

Cost depends on fewer things than a result: runs of older code, other seeds and other learning rates count as measured.
"""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import UserError, first_of, in_one_line
from harness.board.calibration import Rate, read_calibration
from harness.board.search_size import same_cost, steps_per_epoch
from harness.records.record import RUNS, Record, read_record, read_table
from harness.search import registry
from harness.search.baseline import Baseline
from harness.search.variant import SearchLength, Variant
from harness.settings.protocol import Board, Protocol
from harness.settings.validation import Settings

MEASURED_RUNS = 20
"""Runs of a method that a median is taken over; more would only take longer to read."""

PUBLISHED_SECONDS = 10_890
"""A seed of first-order DARTS on this space (Dong and Yang 2020, table 5)."""
PUBLISHED = f"published, {PUBLISHED_SECONDS:,} s a seed of first-order DARTS (Dong and Yang 2020)"
PUBLISHED_LENGTH = SearchLength(epochs=50, steps=390, batch_size=64)
PUBLISHED_PASSES = PUBLISHED_LENGTH.epochs * PUBLISHED_LENGTH.steps * Variant.passes_per_step
PUBLISHED_SIZE = {"channels": 16, "cells_per_stage": 5, "batch_size": 64, "image_size": 32}

START_SECONDS = 4.0
"""What a process takes to start and to end (benchmarks/results/overhead.md)."""


@dataclass(frozen=True)
class Cost:
    """What one run is expected to take."""

    seconds: float
    """Wall time on its device: steps and diagnostics."""
    memory_bytes: int | None
    """Peak, of the card on CUDA, else of the process; None where nothing says it."""
    device: str
    """`cpu`, or the name of the card."""
    source: str
    """Where the figures come from, in words."""
    measured: bool
    """Whether they come from runs of this method."""


@dataclass(frozen=True)
class _Measured:
    """Medians over runs of one method on one device."""

    search: float
    """Seconds of steps and answer."""
    passes: float
    """Forward-backward passes in these."""
    diagnostics: float
    """Seconds."""
    memory_bytes: int
    device: str
    runs: int


def expected_costs(board: Board, names: Iterable[str] | None = None, runs: Path = RUNS) -> dict[str, Cost | None]:
    """Return what a run of each method costs under the board's protocol; None where nothing is known.

    Args:
        board: names the protocol.
        names: methods; None for all of the board.
        runs: the folder of the records.

    Raises:
        UserError: a method is unknown; or, of a search that has no record, its settings are wrong, its own rule of
            its cost fails, or the file of the split is missing.
    """
    names = list(names) if names is not None else [*board.variants, *board.baselines]
    measured = _on_one_device(_measure_all(board.chosen, runs))
    return {name: _cost(board, name, measured) for name in names}


def search_passes(method: type[Variant], settings: Settings, length: SearchLength) -> float:
    """Return the forward-backward passes of one batch that a search should cost at most.

    Raises:
        UserError: the method's own rule fails.
    """
    try:
        passes = float(method.search_passes(settings, length))
    except Exception as error:  # what others wrote
        raise UserError(f"the method {method.name} cannot tell its cost: {in_one_line(error)}") from error
    if not 0 <= passes < math.inf:
        raise UserError(f"the method {method.name} tells a cost of {passes} passes, expected a number from 0")
    return passes


def relative_cost(method: registry.Method) -> float | None:
    """Return the passes of a published search with default settings, in units of first-order DARTS.

    None for a baseline, which trains no supernet.

    Raises:
        UserError: a setting has no default, or the method's own rule fails.
    """
    if not issubclass(method, Variant):
        return None
    try:
        settings = method.Settings()
    except ValueError as error:
        raise UserError(f"the method {method.name} cannot tell its cost: {in_one_line(error)}") from error
    return search_passes(method, settings, PUBLISHED_LENGTH) / PUBLISHED_PASSES


def _cost(board: Board, name: str, measured: dict[str, _Measured]) -> Cost | None:
    if name in measured:
        own = measured[name]
        source = f"measured: median of {_runs(own.runs)} on {own.device}"
        return Cost(own.search + own.diagnostics, own.memory_bytes or None, own.device, source, measured=True)
    method, protocol = registry.method(name), board.chosen
    if not issubclass(method, Variant):
        source = "start of a process (benchmarks/results/overhead.md); the look-ups take less"
        return Cost(START_SECONDS, None, "cpu", source, measured=False)
    steps = steps_per_epoch(protocol)
    # Where the images are not known, an epoch counts as a published one.
    length = SearchLength(protocol.epochs, steps or PUBLISHED_LENGTH.steps, protocol.batch_size)
    passes = search_passes(method, registry.settings_of(board, name), length)
    others = {other: found for other, found in measured.items() if found.passes}
    if others:
        return _scaled(passes, others)
    rate = read_calibration(protocol) or published_rate(protocol)
    if rate is None or steps is None:
        return None
    source = f"{rate.source}, scaled by passes; without diagnostics"
    return Cost(passes * rate.seconds_a_pass, rate.memory_bytes, rate.device, source, measured=False)


def _scaled(passes: float, others: dict[str, _Measured]) -> Cost:
    # Diagnostics look at the network from outside: they cost all methods the same.
    seconds = [passes * found.search / found.passes + found.diagnostics for found in others.values()]
    runs = sum(found.runs for found in others.values())
    device = next(iter(others.values())).device
    source = f"scaled by passes from {_runs(runs)} of {first_of(list(others))} on {device}"
    memory = max(found.memory_bytes for found in others.values())
    return Cost(statistics.median(seconds), memory, device, source, measured=False)


def _runs(number: int) -> str:
    return f"{number} run{'' if number == 1 else 's'}"


def published_rate(protocol: Protocol) -> Rate | None:
    """Return the published speed, if the protocol's steps are of the published size."""
    size = {
        "channels": protocol.network.channels,
        "cells_per_stage": protocol.network.cells_per_stage,
        "batch_size": protocol.batch_size,
        "image_size": protocol.data.image_size,
    }
    if size != PUBLISHED_SIZE:
        return None
    return Rate(seconds_a_pass=PUBLISHED_SECONDS / PUBLISHED_PASSES, memory_bytes=None, device="GPU", source=PUBLISHED)


# Reading records


def _measure_all(protocol: Protocol, folder: Path) -> list[tuple[str, _Measured]]:
    known = registry.methods()
    found = []
    for path in sorted(folder.glob("*")):
        if path.name in known:
            found += [(path.name, entry) for entry in _measure(protocol, path)]
    return found


def _measure(protocol: Protocol, folder: Path) -> list[_Measured]:
    """Return what the runs of one method took, by device."""
    by_device: dict[str, list[tuple[float, float, float, int]]] = {}
    count = 0
    for path in sorted(folder.glob("seed-*")):
        if count == MEASURED_RUNS:
            break
        try:
            record = read_record(path)
            if not _counts(record, protocol):
                continue
            diagnostics = _diagnostics_seconds(record, path)
        except UserError:
            continue  # of a damaged run nothing is known
        count += 1
        took = record.seconds, record.forward_backward_passes, diagnostics, record.peak_memory_bytes
        by_device.setdefault(record.environment.device, []).append(took)
    return [_medians(device, rows) for device, rows in by_device.items()]


def _medians(device: str, rows: list[tuple[float, float, float, int]]) -> _Measured:
    search, passes, diagnostics, memory = zip(*rows, strict=True)
    median = statistics.median
    return _Measured(median(search), median(passes), median(diagnostics), max(memory), device, len(rows))


def _counts(record: Record, protocol: Protocol) -> bool:
    """Whether a run went its whole way under a protocol that costs the same."""
    if record.status not in ("done", "stopped"):
        return False
    return record.kind == "baseline" or same_cost(record.protocol_settings, protocol.model_dump(mode="json"))


def _diagnostics_seconds(record: Record, folder: Path) -> float:
    if record.kind == "baseline":
        return 0.0
    epochs = read_table(folder, "epochs", record)
    return float(epochs["diagnostics_seconds"].sum()) if "diagnostics_seconds" in epochs else 0.0


def _on_one_device(found: list[tuple[str, _Measured]]) -> dict[str, _Measured]:
    """Return the measurements of the device that most searches ran on, and those of the baselines."""
    searches = [entry for name, entry in found if issubclass(registry.method(name), Variant)]
    runs: dict[str, int] = {}
    for entry in searches:
        runs[entry.device] = runs.get(entry.device, 0) + entry.runs
    device = max(runs, key=lambda name: runs[name], default=None)
    return {
        name: entry for name, entry in found if entry.device == device or issubclass(registry.method(name), Baseline)
    }
