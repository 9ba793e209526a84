"""What the head of a sweep costs on a large cluster: the real schedule and real records, on workers that only pretend.

    python -m benchmarks.simulated_cluster

writes benchmarks/results/simulated_cluster.md and .csv; --quick is a tiny size that shows that the benchmark works.
"""

import heapq
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd

from benchmarks.page import markdown, page_options, write_page
from harness.board.runner import run_search
from harness.fleet.engine import Ended, Resources, Task
from harness.fleet.group import Outcome, Run, dvc_stages
from harness.fleet.schedule import Schedule
from harness.fleet.tasks import group_runs
from harness.images.decoded import IMAGES, decode, write_cached
from harness.records.record import read_table, run_folder, write_run
from harness.settings.protocol import Board, load_board
from pipelines.code import CODE
from tests.conftest import copy_project, tiny_params, write_params
from variants.darts import Darts

NAME = "simulated_cluster"
SPREAD = 0.3
"""Standard deviation of the logarithm of a task's duration around what was expected of it."""
DEATHS = 0.02
"""Share of the tasks whose worker dies on the way."""
SECONDS_A_PASS = 1800.0


@dataclass(frozen=True)
class Extent:
    """How large the cluster and its board are."""

    slots: int
    methods: int
    seeds: int
    together: int = 4


EXTENT, QUICK = Extent(64, 20, 500), Extent(2, 2, 4, together=2)
DVC_RUNS, DVC_QUICK = (100, 300, 1000), (2, 4)


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


class SimulatedEngine:
    """See `harness.fleet.engine.Engine`: a slot a task, and durations instead of work."""

    gpus = True

    def __init__(
        self,
        slots: int,
        clock: Clock,
        duration: Callable[[Task], float],
        write: Callable[[Run], None] = lambda run: None,
        dies: Callable[[Task], bool] = lambda task: False,
    ):
        self.clock = clock
        self._free = list(range(slots))
        self._duration, self._write, self._dies = duration, write, dies
        self._ends: list[tuple[float, int, bool, float]] = []
        self._tasks: dict[int, tuple[Task, int]] = {}
        self._count = 0

    def takes(self, resources: Resources) -> bool:
        """Whether a slot is free."""
        return bool(self._free)

    def submit(self, task: Task) -> None:
        """Begin a task; a worker that dies does so halfway, and what is left to do is half."""
        self._count += 1
        seconds, dies = self._duration(task), self._dies(task)
        self._tasks[self._count] = task, self._free.pop()
        heapq.heappush(self._ends, (self.clock() + (seconds / 2 if dies else seconds), self._count, dies, seconds))

    def wait(self, seconds: float) -> list[Ended]:
        """Let time pass until the next end."""
        if not self._ends or self._ends[0][0] > self.clock.now + seconds:
            self.clock.now += seconds
            return []
        self.clock.now, number, dies, took = heapq.heappop(self._ends)
        task, slot = self._tasks.pop(number)
        self._free.append(slot)
        if dies:
            return [Ended(task, cause="its worker died")]
        for run in task.runs:
            self._write(run)
        return [Ended(task, tuple(Outcome(run, "done", "a cell", took) for run in task.runs))]

    def running(self) -> dict[Task, str]:
        """Return the tasks at work."""
        return {task: f"GPU {slot}" for task, slot in self._tasks.values()}

    def close(self) -> None:
        """End."""
        self._tasks.clear()


class RecordWriter:
    """Writes whole records, copies of one real search, and knows how long that took."""

    def __init__(self, board: Board):
        self._record = run_search(board, Darts.name, seed=0)
        self._epochs = read_table(run_folder(Darts.name, 0), "epochs")
        self._alpha = read_table(run_folder(Darts.name, 0), "alpha")
        self.seconds = 0.0

    def __call__(self, run: Run) -> None:
        """Write the record of a run."""
        started = time.perf_counter()
        record = self._record.model_copy(update={"variant": run.method, "seed": run.seed})
        write_run(run_folder(*run), record, self._epochs.assign(seconds=float(run.seed)), self._alpha)
        self.seconds += time.perf_counter() - started


def prepare(methods: Sequence[str], seeds: int) -> Board:
    """Make a project in the current folder that has its images."""
    copy_project(Path.cwd())
    variants: dict[str, dict[str, object]] = {name: {} for name in methods}
    params = tiny_params(variants=variants, baselines={}, seeds=list(range(seeds)), reference=methods[0])
    write_params(Path.cwd(), params)
    board = load_board()
    write_cached(IMAGES, decode(board.chosen.data))
    return board


def tasks_of(board: Board, extent: Extent, generator: np.random.Generator) -> list[Task]:
    """Return the tasks of a board, as a sweep makes them, with what is expected of each method."""
    runs = [Run(Darts.name, number) for number in range(extent.methods * extent.seeds)]
    expected = SECONDS_A_PASS * generator.choice([1, 2, 2, 2, 4, 5, 10], size=extent.methods)
    on_cuda = board.model_copy(
        update={"protocols": {board.protocol: board.chosen.model_copy(update={"device": "cuda"})}}
    )
    tasks = []
    for method in range(extent.methods):
        own = runs[method * extent.seeds : (method + 1) * extent.seeds]
        for task in group_runs(on_cuda, own, {Darts.name: None}, gpus=True, together=extent.together):
            named = tuple(Run(f"v{method:02}", run.seed % extent.seeds) for run in task.runs)
            tasks.append(Task(named, task.resources, float(expected[method])))
    return tasks


def simulate(tasks: Sequence[Task], slots: int, deaths: float, write: RecordWriter, seed: int = 0) -> pd.DataFrame:
    """Run the tasks through the real schedule; return one row of figures."""
    generator, clock = np.random.default_rng(seed), Clock()
    spread = {task.runs: float(generator.lognormal(0.0, SPREAD)) for task in tasks}
    worked = []

    def duration(task: Task) -> float:
        worked.append(task.seconds * spread[task.runs])
        return worked[-1]

    def dies(task: Task) -> bool:
        died = bool(generator.random() < deaths)
        if died:
            worked[-1] /= 2
        return died

    write.seconds = 0.0
    at_first = memory_peak()
    engine = SimulatedEngine(slots, clock, duration, write, dies)
    started = time.perf_counter()
    schedule = Schedule(engine, tasks, clock=clock)
    next_look = 0.0
    while not schedule.done:
        schedule.step(3600.0)
        if clock() >= next_look:  # as the live table does
            schedule.seconds_left()
            next_look = clock() + 1.0
    seconds = time.perf_counter() - started
    runs = sum(len(task.runs) for task in tasks)
    bound = max(sum(worked) / slots, max(worked))
    return pd.DataFrame(
        {
            "workers that die": f"{deaths:.0%}",
            "runs": runs,
            "tasks": len(tasks),
            "slots": slots,
            "done": sum(outcome.good for outcome in schedule.outcomes.values()),
            "scheduling, ms a run": 1000 * (seconds - write.seconds) / runs,
            "record, ms a run": 1000 * write.seconds / runs,
            "makespan, h": clock() / 3600,
            "lower bound, h": bound / 3600,
            "ratio": clock() / bound,
            "memory of the head, MB": memory_peak() / 1e6,
            "of it for the sweep, MB": (memory_peak() - at_first) / 1e6,
        },
        index=[0],
    )


def memory_peak() -> int:
    """Return the most bytes that this process has taken."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def commit_seconds(runs: int) -> pd.DataFrame:
    """Return what DVC takes on a board of so many runs: for all at once, then for one more, then to see no change."""
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder, chdir(folder):
        methods, seeds = [f"v{number:02}" for number in range(2)], runs // 2
        board = prepare(methods, seeds)
        CODE.mkdir()
        for name in methods:
            (CODE / f"{name}.json").write_text("the same for all\n", encoding="utf-8")
        write = RecordWriter(board)
        names = [Run(name, seed) for name in methods for seed in range(seeds)]
        for run in names:
            write(run)
        times = [time.perf_counter()]
        for part in (names, names[:1]):
            dvc_stages.commit(*board.stages(part))
            times.append(time.perf_counter())
        stale = dvc_stages.stale("search")
        times.append(time.perf_counter())
        if stale:
            raise click.ClickException(f"DVC did not take in {stale[0]}")
        took = np.diff(times)
        return pd.DataFrame(
            {
                "runs": runs,
                "commit of all, s": took[0],
                "ms a run": 1000 * took[0] / runs,
                "commit of one more, s": took[1],
                "status, s": took[2],
                "dvc.lock, MB": Path("dvc.lock").stat().st_size / 1e6,
            },
            index=[0],
        )


def document(cluster: pd.DataFrame, commits: pd.DataFrame) -> str:
    """Return the page without its footer."""
    return f"""# A sweep on a simulated cluster

The real schedule (`harness/fleet/schedule.py`) and real records on slots whose tasks only take simulated time:
log-normal around what was expected of the method (sd of the logarithm {SPREAD}). The lower bound is all work over the
slots. In the second row workers die halfway, and their tasks begin again; the half that was lost counts as work.

{markdown(cluster)}

Records are written by the workers, so of the two times only the scheduling is the head's. What DVC takes, measured by
itself; a sweep lets it work beside the searches for at most a tenth of the time, in a process of its own:

{markdown(commits)}
"""


@click.command()
@page_options
def main(quick: bool, output: Path | None) -> None:
    """Simulate the cluster, measure DVC, and write the table."""
    extent = QUICK if quick else EXTENT
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder, chdir(folder):
        board = prepare([Darts.name], seeds=1)
        write = RecordWriter(board)
        tasks = tasks_of(board, extent, np.random.default_rng(0))
        cluster = pd.concat(
            [simulate(tasks, extent.slots, deaths, write) for deaths in (0.0, DEATHS)], ignore_index=True
        )
    commits = pd.concat([commit_seconds(runs) for runs in (DVC_QUICK if quick else DVC_RUNS)], ignore_index=True)
    table = pd.concat([cluster, commits.add_prefix("DVC ")], ignore_index=True)
    write_page(NAME, document(cluster, commits), table, quick=quick, output=output, packages=("dvc", "pandas"))


if __name__ == "__main__":
    main()
