"""How many searches a machine takes at once: by its processors, and by its memory once a search shows its need."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import runner
from harness.processes import usable_cores
from harness.protocol import Protocol

CUDA_RUNS = 4
"""Searches that share a CUDA device unless told otherwise."""
CUDA_OVERHEAD = 1 << 30
"""Bytes that a process takes on a CUDA device beside its tensors: context, workspaces, the allocator's slack."""


def most_at_once(protocol: Protocol) -> int:
    """Return how many searches this machine takes at once, memory aside.

    Raises:
        UserError: the protocol's device is not there.
    """
    if protocol.device != "cpu" and runner.choose_device(protocol.device).type == "cuda":
        return CUDA_RUNS
    return max(1, usable_cores() // protocol.threads)


def memory_left() -> float:
    """Return how many bytes of memory processes can still take; infinite where the system does not say."""
    return min(_machine_memory_left(Path("/proc/meminfo")), _group_memory_left(Path("/sys/fs/cgroup")))


def _machine_memory_left(file: Path) -> float:
    if not file.exists():
        return math.inf
    fields = dict(line.split(":", 1) for line in file.read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in fields else math.inf


def _group_memory_left(folder: Path) -> float:
    # What a container may take. The page cache counts as taken, but gives way.
    limit = folder / "memory.max"
    if not limit.exists() or limit.read_text().strip() == "max":
        return math.inf
    fields = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    taken = int((folder / "memory.current").read_text()) - int(fields["inactive_file"])
    return int(limit.read_text()) - taken


@dataclass(frozen=True)
class Epoch:
    """What the process of a search tells after an epoch."""

    row: dict[str, Any]
    """Of epochs.parquet."""
    epochs: int
    """Of the whole search."""
    memory: float
    """Bytes that the search takes on its device."""
    left: float
    """Bytes left on the device beside all who use it."""


class Places:
    """How many searches may run at once: as many as told; else what the memory takes, once the first shows its need."""

    def __init__(self, told: int | None, most: int):
        self.told = told
        self.most = most
        self._memory = 0.0
        self._room: float | None = None

    @property
    def count(self) -> int:
        """The number of places; one as long as nothing is known of the memory."""
        if self.told is not None:
            return self.told
        if self._room is None:
            return 1
        return max(1, int(min(self.most, self._room / self._memory)))

    def learn(self, epoch: Epoch) -> str | None:
        """Take in what a search needs; return what changes by it, in a line."""
        if self.told is not None:
            return None
        before, known = self.count, self._room is not None
        if self._room is None:
            self._room = epoch.left + epoch.memory  # as yet this search is alone
        self._memory = max(self._memory, epoch.memory)
        if known and self.count == before:
            return None
        fits = f", {self._room / 1e9:.1f} GB are there" if math.isfinite(self._room) else ""
        return f"{self.count} at once of at most {self.most}: a search takes {self._memory / 1e9:.2f} GB{fits}"


def memory_of(row: dict[str, Any]) -> tuple[float, float]:
    """Return bytes that this process takes after an epoch and bytes left, on its device."""
    # The branch for CUDA was not run on one.
    import torch

    if torch.cuda.is_initialized():
        return row["peak_memory_bytes"] + CUDA_OVERHEAD, torch.cuda.mem_get_info()[0]
    return row["peak_memory_bytes"], memory_left()
