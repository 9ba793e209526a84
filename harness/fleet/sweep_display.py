"""A sweep to look at: a live table on a terminal, lines elsewhere."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from harness.base.progress import QUIET_SECONDS, duration

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live


@dataclass(frozen=True)
class Working:
    """A task at work."""

    title: str
    place: str
    epochs: str
    """How far its runs are; empty where that is not known."""
    seconds: float
    """Since it was submitted."""


@dataclass(frozen=True)
class State:
    """A sweep at a moment."""

    runs: int
    done: int
    failed: int
    working: Sequence[Working]
    seconds_left: float | None

    def __str__(self) -> str:
        left = "" if self.seconds_left is None else f", about {duration(self.seconds_left)} left"
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done} of {self.runs} runs done{failed}, {len(self.working)} tasks at work{left}"


class SweepDisplay(Protocol):
    """Where a sweep is shown."""

    def show(self, state: State) -> None:
        """Show how it stands."""

    def say(self, text: str) -> None:
        """Leave a line."""


@contextmanager
def show_sweep() -> Iterator[SweepDisplay]:
    """Give a display, on stderr."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(stderr=True, highlight=False), transient=True, refresh_per_second=2) as live:
            yield _Table(live)
    else:
        yield _Lines()


class _Table:
    def __init__(self, live: "Live"):
        self._live = live

    def show(self, state: State) -> None:
        self._live.update(table(state, rows=max(1, self._live.console.height - 4)))

    def say(self, text: str) -> None:
        self._live.console.print(text, markup=False)


def table(state: State, rows: int) -> "RenderableType":
    """Return the live table, of so many rows at most: those that run longest."""
    from rich.console import Group
    from rich.table import Table

    shown = Table(box=None, pad_edge=False)
    for heading, side in (("at work", "left"), ("where", "left"), ("epochs", "right"), ("since", "right")):
        shown.add_column(heading, justify="right" if side == "right" else "left", no_wrap=True)
    for task in sorted(state.working, key=lambda task: -task.seconds)[:rows]:
        shown.add_row(task.title, task.place, task.epochs, duration(task.seconds))
    return Group(shown, str(state)) if state.working else Group(str(state))


class _Lines:
    def __init__(self) -> None:
        self._shown = time.monotonic()

    def show(self, state: State) -> None:
        if time.monotonic() - self._shown >= QUIET_SECONDS:
            self._shown = time.monotonic()
            self.say(str(state))

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)
