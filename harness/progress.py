"""Progress of long work: a bar with the remaining time on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

QUIET_SECONDS = 30.0


@contextmanager
def show_progress(title: str) -> Iterator[Callable[[dict[str, Any], int], None]]:
    """Give a function (row of epochs.parquet, epochs in all) that shows how far a search is."""
    if sys.stderr.isatty():
        with _bar(title) as advance:
            yield advance
    else:
        yield _lines(title)


@contextmanager
def _bar(title: str) -> Iterator[Callable[[dict[str, Any], int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)

        def advance(row: dict[str, Any], epochs: int) -> None:
            accuracy = f"valid {row['valid_accuracy']:.1f} %"
            progress.update(task, completed=row["epoch"], total=epochs, description=f"{title}  {accuracy}")

        yield advance


def _lines(title: str) -> Callable[[dict[str, Any], int], None]:
    started = last = time.monotonic()
    first: int | None = None

    def advance(row: dict[str, Any], epochs: int) -> None:
        nonlocal last, first
        now = time.monotonic()
        first = row["epoch"] - 1 if first is None else first
        if now - last < QUIET_SECONDS:
            return
        last = now
        remaining = (now - started) / (row["epoch"] - first) * (epochs - row["epoch"])
        print(f"{title}: epoch {row['epoch']} of {epochs}, about {remaining:.0f} s left", file=sys.stderr, flush=True)

    return advance
