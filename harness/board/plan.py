"""What a board will take before anything runs: runs, hours, memory and money, each with where the figure comes from."""

import heapq
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.base.errors import UserError, first_of
from harness.base.progress import duration
from harness.board import runner
from harness.board.calibration import calibrate
from harness.board.costs import PUBLISHED, Cost, expected_costs, published_rate
from harness.records.record import read_record, run_folder
from harness.search import registry
from harness.search.baseline import Baseline
from harness.settings.protocol import Board

PAPER = "nas-bench-201"
"""The protocol of the paper, in params.yaml."""


@dataclass(frozen=True)
class MethodPlan:
    """The runs of one method."""

    method: str
    runs: int
    done: int
    """Of them, under the present settings, data and code."""
    cores: int
    """That one of its runs takes."""
    cost: Cost | None
    """Of one run; None where nothing is known."""

    @property
    def left(self) -> int:
        """Runs that are not done."""
        return self.runs - self.done


@dataclass(frozen=True)
class BoardPlan:
    """All runs of a board under one protocol."""

    protocol: str
    methods: tuple[MethodPlan, ...]
    slots: int
    """Runs at once."""
    price: float | None
    """Of a slot for an hour."""
    reference: str | None
    """A published figure to compare with."""

    @property
    def runs(self) -> int:
        """Runs in all."""
        return sum(entry.runs for entry in self.methods)

    @property
    def done(self) -> int:
        """Runs that are done."""
        return sum(entry.done for entry in self.methods)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Methods that nothing is known of; they count in no hours."""
        return tuple(entry.method for entry in self.methods if entry.cost is None)

    def hours(self, on_cpu: bool, only_left: bool) -> float:
        """Return the hours of cores, or those of GPUs, of all runs or of those that are left."""
        seconds = 0.0
        for entry in self.methods:
            if entry.cost is not None and (entry.cost.device == "cpu") == on_cpu:
                runs = entry.left if only_left else entry.runs
                seconds += runs * entry.cost.seconds * (entry.cores if on_cpu else 1)
        return seconds / 3600

    @property
    def slot_hours(self) -> float:
        """Hours that the runs that are left keep a slot busy, all together."""
        return sum(self._seconds_left()) / 3600

    @property
    def makespan_hours(self) -> float:
        """Hours until the last of the runs that are left has ended, the longest first."""
        return makespan(self._seconds_left(), self.slots) / 3600

    @property
    def money(self) -> float | None:
        """Price of the hours of the runs that are left."""
        return None if self.price is None else self.price * self.slot_hours

    @property
    def memory_bytes(self) -> int | None:
        """The most that a run takes."""
        known = [entry.cost.memory_bytes for entry in self.methods if entry.cost and entry.cost.memory_bytes]
        return max(known, default=None)

    def _seconds_left(self) -> list[float]:
        return [entry.cost.seconds for entry in self.methods if entry.cost for _ in range(entry.left)]

    def as_json(self) -> dict[str, Any]:
        """Return all figures as plain content."""
        return {
            **asdict(self),
            "runs": self.runs,
            "done": self.done,
            "unknown": list(self.unknown),
            "core_hours": {"all": self.hours(True, False), "left": self.hours(True, True)},
            "gpu_hours": {"all": self.hours(False, False), "left": self.hours(False, True)},
            "makespan_hours": self.makespan_hours,
            "memory_bytes": self.memory_bytes,
            "money": self.money,
        }


def makespan(seconds: Sequence[float], slots: int) -> float:
    """Return when the last of several runs ends, if each free slot takes the longest that waits."""
    free = [0.0] * max(1, min(slots, len(seconds)))  # more than there are runs stay free
    for length in sorted(seconds, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + length)
    return max(free)


def plan_boards(board: Board, slots: int, price: float | None = None, measure: bool = False) -> list[BoardPlan]:
    """Return the plan of the board as declared, and under the paper's protocol where params.yaml has it.

    Args:
        board: its methods and seeds.
        slots: runs at once.
        price: of a slot for an hour.
        measure: take a few steps on this device under each protocol that no search was run under.

    Raises:
        UserError: an unknown method or wrong settings; or the device to measure on is not there.
    """
    registry.check_board(board)
    protocols = dict.fromkeys([board.protocol, *({PAPER} & board.protocols.keys())])
    return [_plan(board.model_copy(update={"protocol": name}), slots, price, measure) for name in protocols]


def _plan(board: Board, slots: int, price: float | None, measure: bool) -> BoardPlan:
    costs = expected_costs(board)
    if measure and not any(cost and cost.measured for name, cost in costs.items() if name in board.variants):
        calibrate(board)
        costs = expected_costs(board)
    inputs = runner.Inputs(board)
    methods = tuple(
        MethodPlan(name, len(board.seeds), _done(board, name, inputs), _cores(board, name), cost)
        for name, cost in costs.items()
    )
    reference = PUBLISHED if published_rate(board.chosen) else None
    return BoardPlan(board.protocol, methods, slots, price, reference)


def _cores(board: Board, name: str) -> int:
    return 1 if issubclass(registry.method(name), Baseline) else board.chosen.threads


def _done(board: Board, name: str, inputs: runner.Inputs) -> int:
    """Return how many runs of a method have a record of the present settings, data and code."""
    done = 0
    for seed in board.seeds:
        folder = run_folder(name, seed)
        if not folder.exists():
            continue
        try:
            found = read_record(folder)
            done += found.status != "failed" and found.fingerprint == runner.fingerprint(board, name, seed, inputs)
        except UserError:
            continue  # damaged, or the data to compare with is missing
    return done


# Showing


def show(plans: Sequence[BoardPlan], console: Console) -> None:
    """Print a table a plan, where its figures come from, and its sums."""
    for plan in plans:
        sources = list(dict.fromkeys(entry.cost.source for entry in plan.methods if entry.cost))
        console.print(_table(plan, sources))
        notes = [f"[{number}] {source}" for number, source in enumerate(sources, start=1)]
        for line in (*notes, *summary(plan)):
            console.print(line, markup=False, soft_wrap=True)
        console.print()


def _table(plan: BoardPlan, sources: list[str]) -> Table:
    table = Table(title=f"protocol {plan.protocol}", title_justify="left", box=None, pad_edge=False)
    for heading in ("method", "runs", "done", "a run", "memory", "from"):
        table.add_column(heading, justify="left" if heading in ("method", "from") else "right", no_wrap=True)
    for entry in plan.methods:
        cost = entry.cost
        figures = ("?", "?", "") if cost is None else _figures(cost, sources.index(cost.source) + 1)
        table.add_row(entry.method, str(entry.runs), str(entry.done), *figures)
    return table


def _figures(cost: Cost, note: int) -> tuple[str, str, str]:
    used = "?" if cost.memory_bytes is None else memory(cost.memory_bytes)
    return duration(cost.seconds), used, f"\\[{note}]"


def summary(plan: BoardPlan) -> list[str]:
    """Return the sums of a plan in lines."""
    lines = [f"{plan.runs:,} runs, {plan.done:,} done"]
    for unit, on_cpu in (("GPU", False), ("core", True)):
        if plan.hours(on_cpu, only_left=False):
            lines.append(f"{plan.hours(on_cpu, False):,.2f} {unit} hours, {plan.hours(on_cpu, True):,.2f} of them left")
    at_once = "one after the other" if plan.slots == 1 else f"{plan.slots} at once, the longest first"
    lines.append(f"{duration(3600 * plan.makespan_hours)} until the last has ended, {at_once}")
    if plan.memory_bytes is not None:
        lines.append(f"{memory(plan.memory_bytes)} for the largest run, as far as known")
    if plan.money is not None:
        lines.append(f"{plan.money:,.2f} at {plan.price:g} an hour of a slot, for what is left")
    if plan.unknown:
        lines.append(f"without {first_of(plan.unknown)}: nothing is known of them, --measure finds out")
    if plan.reference:
        lines.append(f"to compare with: {plan.reference}")
    return lines


def memory(size: int) -> str:
    """Return bytes as gigabytes."""
    return f"{size / 1e9:.2f} GB"
