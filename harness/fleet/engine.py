"""What a sweep asks of an engine: to run tasks somewhere, and to tell how they ended.

A new engine is one module in harness/fleet/engines/ and one line in its table. The module has a function

    def create(folder: Path, options: dict[str, str]) -> Engine

which checks the options that the user gave (`UserError` for an unknown one) and returns an object with the methods of
`Engine`. All that a worker does is `harness.fleet.worker.work(folder, task)`: the engine calls it in another process,
on this machine or another one, and brings its return value back. Which tasks there are, in which order they go and what
happens when a worker dies is decided by harness/fleet/schedule.py, not by the engine.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from harness.fleet.outcome import Outcome, Run

Store = Literal["shared", "waiting", "dvc"]
"""Where a worker finds data and leaves records: `shared`: in the project's folder, which the head sees too; `waiting`:
there, but records wait beside runs/ for the stages of `dvc repro`; `dvc`: in its own copy of the project, whose outputs
go through DVC's remote."""


@dataclass(frozen=True)
class Resources:
    """What a task needs while it runs."""

    gpus: int
    cores: int
    memory_bytes: int
    """Of the host; 0 where nothing is known yet."""


Kind = Literal["search", "search in proportion", "baseline"]
"""What some tasks of a kind took says how long others will. `search in proportion`: the seconds say only how long a
task takes beside other such ones, for nothing like it was measured."""


@dataclass(frozen=True)
class Task:
    """Runs of one method that one worker does: one run, or several that share a GPU. Each run is in one task only."""

    runs: tuple[Run, ...]
    resources: Resources
    seconds: float
    """How long it is expected to take."""
    store: Store = "shared"
    kind: Kind = "search"

    def __str__(self) -> str:
        seeds = ", ".join(str(run.seed) for run in self.runs)
        return f"{self.runs[0].method} seed{'s' if len(self.runs) > 1 else ''} {seeds}"


@dataclass(frozen=True)
class Ended:
    """How a task ended: with an outcome for each of its runs, or with the death of its worker."""

    task: Task
    outcomes: tuple[Outcome, ...] = ()
    """In the order of its runs; empty if its worker died."""
    cause: str | None = None
    """Why its worker died, in words; None if it gave outcomes. Its finished runs have records, the others checkpoints:
    the same task goes on from there when it is submitted again."""


@dataclass(frozen=True)
class Placement:
    """Where the runs are done, and how."""

    engine: str = "local"
    options: tuple[tuple[str, str], ...] = ()
    """Of the engine."""
    folder: Path | None = None
    """The project's on the workers; None for the same path as here."""
    store: Store = "shared"
    together: int | None = None
    """Seeds that share a GPU, at most; None for `TOGETHER` of harness/fleet/tasks.py."""


class Engine(Protocol):
    """Runs tasks side by side. Used by one thread."""

    @property
    def gpus(self) -> bool:
        """Whether its workers have GPUs; searches with `device: auto` are then given one."""

    def takes(self, resources: Resources) -> bool:
        """Whether a task of this size may be submitted now; one with a queue of its own takes all it can ever run.

        Raises:
            UserError: no worker will ever be large enough.
        """

    def submit(self, task: Task) -> None:
        """Begin a task or put it into the queue; return at once. The same task may come again after it ended."""

    def wait(self, seconds: float) -> list[Ended]:
        """Return the tasks that ended since the last call, as soon as there is one, at the latest after `seconds`."""

    def running(self) -> dict[Task, str]:
        """Return the tasks that are at work now, as far as the engine knows, each with its place: `GPU 3`, `job 17`."""

    def close(self) -> None:
        """End all that runs or waits, within seconds, and leave no process behind. May be called twice.

        A head that was killed could not call this: then the workers end by themselves, or the engine ends them when it
        is created anew for the same folder.
        """
