"""How many searches a machine takes at once: by its processors, its memory, and on a card by measured speed."""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.base.processes import usable_cores
from harness.board import runner
from harness.settings.protocol import Protocol

CUDA_RUNS = 16
"""Searches that share a CUDA device at most, unless told otherwise."""
CUDA_OVERHEAD = 1 << 30
"""Bytes that a process takes on a CUDA device beside the memory that torch reserves: context and workspaces."""


def places_for(protocol: Protocol, told: int | None) -> "Places":
    """Return the places that this machine has for searches; `told` is their number where a user gives one.

    Raises:
        UserError: the protocol's device is not there.
    """
    if protocol.device != "cpu" and runner.choose_device(protocol.device).type == "cuda":
        return Places(told, CUDA_RUNS, Growth())
    return Places(told, max(1, usable_cores() // protocol.threads))


def memory_left() -> float:
    """Return how many bytes of memory processes can still take; infinite where the system does not say."""
    return min(_machine_memory_left(Path("/proc/meminfo")), _group_memory_left(Path("/sys/fs/cgroup")))


def _machine_memory_left(file: Path) -> float:
    if not file.exists():
        return math.inf
    fields = dict(line.split(":", 1) for line in file.read_text(encoding="utf-8").splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in fields else math.inf


def _group_memory_left(folder: Path) -> float:
    # What a container may take. The page cache counts as taken, but gives way.
    limit = folder / "memory.max"
    if not limit.exists() or limit.read_text(encoding="utf-8").strip() == "max":
        return math.inf
    fields = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="utf-8").splitlines())
    taken = int((folder / "memory.current").read_text(encoding="utf-8")) - int(fields["inactive_file"])
    return int(limit.read_text(encoding="utf-8")) - taken


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


GAIN = 1.1
"""How much faster twice as many searches must be together to be worth their memory."""


class Growth:
    """Finds out how many searches a card does best at once: doubles their number as long as that is faster.

    The measure is one search, the pilot. If an epoch takes it s seconds beside n - 1 others, the card does n / s epochs
    a second. The first epoch after a change of n began before it and does not count. When the pilot ends, another goes
    on from the number that was reached. A pilot whose epochs become longer by themselves stops the growth early.
    """

    def __init__(self) -> None:
        self.count = 1
        self.ended = False
        """Whether more were no faster."""
        self._pilot: Hashable = None
        self._settled = False
        self._speed = 0.0

    def learn(self, run: Hashable, seconds: float, running: int) -> None:
        """Take in that an epoch of a run took so many seconds, with so many at work."""
        self._pilot = run if self._pilot is None else self._pilot
        if self.ended or run != self._pilot or running < self.count:
            return
        if not self._settled:
            self._settled = True
            return
        speed = self.count / seconds
        if speed >= GAIN * self._speed:
            self.count, self._speed, self._settled = 2 * self.count, speed, False
        else:
            self.count, self.ended = self.count // 2, True

    def end(self, run: Hashable) -> None:
        """Take in that a run has ended."""
        if run == self._pilot:
            self._pilot, self._settled, self._speed = None, False, 0.0


class Places:
    """How many searches may run at once.

    As many as told. Else what the memory takes, once the first shows its need, up to a limit; and no more than `growth`
    has found good, where there is one.
    """

    def __init__(self, told: int | None, most: int, growth: Growth | None = None):
        self.told = told
        self.most = most
        self._growth = growth
        self._memory = 0.0
        self._room: float | None = None

    @property
    def count(self) -> int:
        """The number of places; one as long as nothing is known of the memory."""
        if self.told is not None:
            return self.told
        if self._room is None:
            return 1
        good = math.inf if self._growth is None else self._growth.count
        return max(1, int(min(self.most, self._room / self._memory, good)))

    def learn(self, run: Hashable, epoch: Epoch, running: int) -> str | None:
        """Take in what a search needs, and how fast it is beside others; return what changes by it, in a line."""
        if self.told is not None:
            return None
        before, known = self.count, self._room is not None
        if self._room is None:
            self._room = epoch.left + epoch.memory  # as yet this search is alone
        self._memory = max(self._memory, epoch.memory)
        if self._growth is not None:
            self._growth.learn(run, epoch.row["seconds"], running)
        if known and self.count == before:
            return None
        if self._growth is not None and self._growth.ended and self.count == self._growth.count:
            return f"{self.count} at once: more are no faster"
        fits = f", {self._room / 1e9:.1f} GB are there" if math.isfinite(self._room) else ""
        return f"{self.count} at once of at most {self.most}: a search takes {self._memory / 1e9:.2f} GB{fits}"

    def end(self, run: Hashable) -> None:
        """Take in that a run has ended."""
        if self._growth is not None:
            self._growth.end(run)


def memory_of(row: dict[str, Any]) -> tuple[float, float]:
    """Return bytes that this process takes after an epoch and bytes left, on its device."""
    # The branch for CUDA was not run on one.
    import torch

    if torch.cuda.is_initialized():
        return row["peak_memory_bytes"] + CUDA_OVERHEAD, torch.cuda.mem_get_info()[0]
    return row["peak_memory_bytes"], memory_left()
