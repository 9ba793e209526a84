"""Runs that belong in one worker, with what they need and how long they are expected to take."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from harness.board.costs import Cost
from harness.fleet.engine import Kind, Resources, Store, Task
from harness.fleet.group import Run
from harness.search import registry
from harness.search.baseline import Baseline
from harness.settings.protocol import Board

TOGETHER = 4
"""Seeds that share a GPU unless told otherwise: more would spread worse over several GPUs."""
MEMORY_MARGIN = 1.25
"""What a run is given over the most that was measured, for seeds differ."""
SECONDS_A_PASS = 1000.0
"""Of a step, where nothing was measured: right in proportion only, and longer than any baseline takes."""
BASELINE_MEMORY = 1 << 30
"""Bytes that a search on the truth table is given."""


def group_runs(
    board: Board,
    runs: Sequence[Run],
    costs: Mapping[str, Cost | None],
    gpus: bool,
    together: int | None = None,
    store: Store = "shared",
) -> list[Task]:
    """Put runs into tasks: on cores each by itself, on GPUs the seeds of a method in groups of nearly equal size.

    Args:
        board: what they run under.
        runs: what to run.
        costs: of a run of each method; None where nothing is known: then the passes of a step stand for the seconds.
        gpus: whether the workers have GPUs, for `device: auto`.
        together: how many seeds share a GPU, at most; None for `TOGETHER`.
        store: where the workers find data and leave records.

    Raises:
        UserError: a method is unknown.
    """
    seeds: dict[str, list[Run]] = {}
    for run in runs:
        seeds.setdefault(run.method, []).append(run)
    return [
        Task(group, *_needs(board, method, len(group), gpus, costs[method]), store, _kind(method, costs[method]))
        for method, own in seeds.items()
        for group in _even(own, (together or TOGETHER) if _on_gpu(board, method, gpus) else 1)
    ]


def _on_gpu(board: Board, method: str, gpus: bool) -> bool:
    device = board.chosen.device
    return not issubclass(registry.method(method), Baseline) and (device == "cuda" or (device == "auto" and gpus))


def _needs(board: Board, method: str, runs: int, gpus: bool, cost: Cost | None) -> tuple[Resources, float]:
    found = registry.method(method)
    if issubclass(found, Baseline):
        return Resources(gpus=0, cores=1, memory_bytes=BASELINE_MEMORY), cost.seconds if cost else 0.0
    on_gpu = _on_gpu(board, method, gpus)
    known = cost.memory_bytes if cost and cost.device == "cpu" and not on_gpu else None
    resources = Resources(int(on_gpu), runs * board.chosen.threads, int(MEMORY_MARGIN * (known or 0)))
    return resources, cost.seconds if cost else SECONDS_A_PASS * registry.variant(method).passes_per_step


def _kind(method: str, cost: Cost | None) -> Kind:
    if issubclass(registry.method(method), Baseline):
        return "baseline"
    return "search" if cost else "search in proportion"


def _even(runs: list[Run], most: int) -> list[tuple[Run, ...]]:
    count = math.ceil(len(runs) / most)
    ends = [len(runs) * number // count for number in range(count + 1)]
    return [tuple(runs[start:end]) for start, end in pairwise(ends)]
