"""Progress of long work: a bar a run with the remaining time on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

QUIET_SECONDS = 30.0

Row = dict[str, Any]
"""A row of epochs.parquet."""


class Display(Protocol):
    """Where the runs that go on at the same time are shown, each under its title."""

    def begin(self, title: str) -> None:
        """Show a run that has no epoch yet."""

    def advance(self, title: str, row: Row, epochs: int) -> None:
        """Show how far a run is, of so many epochs in all."""

    def end(self, title: str, text: str) -> None:
        """Take a run away and leave a line about it."""

    def say(self, text: str) -> None:
        """Leave a line."""


@contextmanager
def show_runs() -> Iterator[Display]:
    """Give a display for any number of runs, on stderr."""
    if sys.stderr.isatty() and find_spec("rich"):
        with _bars() as progress:
            yield _Bars(progress)
    else:
        yield _Lines()


@contextmanager
def show_progress(title: str) -> Iterator[Callable[[Row, int], None]]:
    """Give a function (row of epochs.parquet, epochs in all) that shows how far a search is."""
    with show_runs() as display:
        display.begin(title)
        yield lambda row, epochs: display.advance(title, row, epochs)


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.1f} s"


def _bars() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True, highlight=False), transient=True)


class _Bars:
    def __init__(self, progress: "Progress"):
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def begin(self, title: str) -> None:
        self._tasks[title] = self._progress.add_task(title, total=None)

    def advance(self, title: str, row: Row, epochs: int) -> None:
        shown = f"{title}  valid {row['valid_accuracy']:.1f} %"
        self._progress.update(self._tasks[title], completed=row["epoch"], total=epochs, description=shown)

    def end(self, title: str, text: str) -> None:
        self._progress.remove_task(self._tasks.pop(title))
        self.say(text)

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False)


class _Lines:
    def __init__(self) -> None:
        self._shown: dict[str, float] = {}
        self._first: dict[str, tuple[float, int | None]] = {}

    def begin(self, title: str) -> None:
        self._shown[title] = time.monotonic()
        self._first[title] = self._shown[title], None

    def advance(self, title: str, row: Row, epochs: int) -> None:
        now = time.monotonic()
        started, first = self._first[title]
        first = row["epoch"] - 1 if first is None else first
        self._first[title] = started, first
        if now - self._shown[title] < QUIET_SECONDS:
            return
        self._shown[title] = now
        remaining = (now - started) / (row["epoch"] - first) * (epochs - row["epoch"])
        self.say(f"{title}: epoch {row['epoch']} of {epochs}, about {remaining:.0f} s left")

    def end(self, title: str, text: str) -> None:
        self.say(text)

    def say(self, text: str) -> None:
        with suppress(OSError):  # a terminal that is gone, or a log on a full disk, ends no search
            print(text, file=sys.stderr, flush=True)
