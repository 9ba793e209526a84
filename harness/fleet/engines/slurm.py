"""Slurm, through submitit: a job a task, and tasks of one size that are submitted together an array.

A job that reaches its time limit, or is told to make room, puts itself back into the queue, and its runs go on from
their checkpoints. The ids of all jobs are on disk: a head that is started again takes over what an earlier one left
behind, so that no run is at work twice. Its needs: one folder that head and nodes share, and Python there.
"""

import json
import math
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from submitit.core.core import Job
from submitit.core.utils import DelayedSubmission, FailedJobError, pickle_load
from submitit.helpers import clean_env

from harness.base.errors import UserError, in_one_line
from harness.base.files import STATE, read_text, whole_file
from harness.board import runner
from harness.fleet.engine import Ended, Resources, Task
from harness.fleet.engines.slurm_options import JobOptions, job_options
from harness.fleet.engines.slurm_queues import Listed, Queue, create_queue
from harness.fleet.group import Outcome, Run
from harness.fleet.worker import work
from harness.settings.protocol import load_board

JOBS = STATE / "sweep" / "slurm"
LEDGER = "jobs.json"
MOST_IN_AN_ARRAY = 1_000
"""Slurm's own limit, unless a cluster sets another."""
MOST_REQUEUES = 1_000
"""Time limits that a job may reach."""
LOOK_SECONDS = 1.0
"""Between two looks into the folder of results."""
CONFIGURATION = "SLURM_CONF"
"""Where Slurm's commands find it, on clusters that have it elsewhere than in /etc."""
RETRY_SECONDS = 60.0
"""Between two attempts to submit, when Slurm refuses: most clusters limit the jobs of a user."""


@dataclass(frozen=True)
class Work:
    """What a job does."""

    folder: Path
    task: Task

    def __call__(self) -> list[Outcome]:
        """Run the task."""
        return work(self.folder, self.task)

    def checkpoint(self) -> DelayedSubmission:
        """Return what the job does when it comes back from the queue: the same, from the runs' own checkpoints."""
        return DelayedSubmission(self)


@dataclass
class _Submitted:
    """A job that has not ended, as far as the engine knows."""

    task: Task
    version: str
    """Of the code, settings and data of its runs."""
    job: Job[list[Outcome]]
    missed: float | None = None
    """Since when it is not in the queue any more (`time.monotonic`)."""
    listed: Listed = field(default_factory=Listed)
    """What the queue said of it last."""
    put_back: bool = False
    """Whether it waits again after it was at work."""
    hopeless: float | None = None
    """Since when it waits for what will not come (`time.monotonic`)."""


def create(folder: Path, options: dict[str, str]) -> "SlurmEngine":
    """Return the engine for the project in a folder.

    Raises:
        UserError: an option is wrong, or there is no Slurm on this machine.
    """
    return SlurmEngine(folder, job_options(options))


class SlurmEngine:
    """See `harness.fleet.engine.Engine`."""

    def __init__(self, folder: Path, options: JobOptions):
        self._folder = folder.resolve()
        self._state = self._folder / JOBS
        self._options = options
        self._state.mkdir(parents=True, exist_ok=True)
        self._queue: Queue = create_queue(options.cluster, self._state, MOST_REQUEUES)
        self._waiting: list[Task] = []
        self._jobs: dict[str, _Submitted] = {}
        self._inherited: dict[tuple[Run, ...], str] = {}
        """Job ids of an earlier head, by their runs, until the schedule asks for these runs."""
        self._doomed: set[str] = set()
        """Jobs that were told to end."""
        self._versions: dict[str, str] = {}
        self._listed = -math.inf
        self._looked = -math.inf
        self._refused = -math.inf
        self._take_over()

    @property
    def gpus(self) -> bool:
        """Whether its jobs get GPUs: as the user says."""
        return self._options.gpus

    def takes(self, resources: Resources) -> bool:
        """Whether a task may be submitted: Slurm has a queue."""
        return True

    def submit(self, task: Task) -> None:
        """Put a task into the queue, or take over the job of an earlier head that does it already."""
        if not self._adopted(task):
            self._waiting.append(task)

    def wait(self, seconds: float) -> list[Ended]:
        """Return the tasks that ended, at the latest after `seconds`.

        Raises:
            UserError: Slurm does not take a job although none of ours is in its queue, or will begin none of them.
        """
        deadline = time.monotonic() + seconds
        while True:
            self._submit_waiting()
            ended = self._ended()
            left = deadline - time.monotonic()
            if ended or left <= 0:
                return ended
            time.sleep(min(LOOK_SECONDS, left))

    def running(self) -> dict[Task, str]:
        """Return the tasks at work, each with its job."""
        return {entry.task: place for entry in self._jobs.values() if (place := entry.listed.place) is not None}

    def close(self) -> None:
        """Cancel all jobs of this project."""
        self._waiting.clear()
        self._queue.cancel([*self._jobs, *self._doomed])
        self._jobs.clear()
        self._write_ledger()

    # Jobs of an earlier head

    def _take_over(self) -> None:
        listed = self._queue.listed()
        if listed is None:
            raise UserError("squeue does not answer: without it jobs of an earlier sweep cannot be found")
        for entry in _read_ledger(self._state / LEDGER):
            job = self._queue.job(entry["job"])
            if job.job_id not in listed and not job.paths.result_pickle.exists():
                continue
            task = _task(entry["task"])
            self._jobs[job.job_id] = _Submitted(task, entry["version"], job)
            self._inherited[task.runs] = job.job_id
        self._doom(listed.keys() - self._jobs.keys())  # submitted a moment before a head died

    def _adopted(self, task: Task) -> bool:
        found = self._inherited.pop(task.runs, None)
        if found is not None and self._jobs[found].version == self._version(task):
            self._jobs[found].task = task
            return True
        overlapping = {runs: job for runs, job in self._inherited.items() if set(runs) & set(task.runs)}
        for runs in overlapping:
            del self._inherited[runs]
        self._doom([*overlapping.values(), *([found] if found else [])])
        return False

    def _doom(self, jobs: Iterable[str]) -> None:
        jobs = list(jobs)
        if jobs:
            self._queue.cancel(jobs)
            self._doomed.update(jobs)
            for job in jobs:
                self._jobs.pop(job, None)
            self._write_ledger()

    def _version(self, task: Task) -> str:
        method = task.runs[0].method
        if method not in self._versions:
            self._versions[method] = runner.fingerprint(load_board(), method, seed=0)
        return self._versions[method]

    def _write_ledger(self) -> None:
        content = [
            {"job": job, "version": entry.version, "task": _plain(entry.task)} for job, entry in self._jobs.items()
        ]
        with whole_file(self._state / LEDGER) as staging:
            staging.write_text(json.dumps(content), encoding="utf-8")

    # Submitting

    def _submit_waiting(self) -> None:
        if not self._waiting or time.monotonic() - self._refused < RETRY_SECONDS:
            return
        if self._doomed:
            listed = self._queue.listed()
            if listed is None or self._doomed & listed.keys():
                return  # their runs may be the same
            self._doomed.clear()
        groups: dict[Resources, list[Task]] = defaultdict(list)
        for task in self._waiting:
            groups[task.resources].append(task)
        for resources, tasks in groups.items():
            for start in range(0, len(tasks), MOST_IN_AN_ARRAY):
                if not self._submit_array(resources, tasks[start : start + MOST_IN_AN_ARRAY]):
                    return

    def _submit_array(self, resources: Resources, tasks: list[Task]) -> bool:
        executor = self._queue.executor
        executor.update_parameters(**self._options.parameters(resources, self._queue.name))
        versions = [self._version(task) for task in tasks]
        try:
            with _outside_of_a_job(), redirect_stderr(StringIO()):  # submitit would tell a refusal there too
                jobs = executor.submit_array([Work(self._folder, task) for task in tasks])
        except FailedJobError as error:
            reason = in_one_line(error)
            if not self._jobs:
                raise UserError(f"Slurm does not take the jobs: {reason}") from None
            self._refused = time.monotonic()
            return False
        for task, version, job in zip(tasks, versions, jobs, strict=True):
            self._waiting.remove(task)
            self._jobs[job.job_id] = _Submitted(task, version, job)
        self._write_ledger()
        return True

    # Ending

    def _ended(self) -> list[Ended]:
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return []
        self._looked = time.monotonic()
        self._list()
        with_result = {path.name for path in self._state.glob("*_result.pkl")}
        ended = []
        unasked = set(self._inherited.values())
        for job, entry in list(self._jobs.items()):
            if job in unasked:
                continue  # the schedule does not know of it yet
            if entry.job.paths.result_pickle.name in with_result:
                ended.append(_with_result(entry))
                if entry.put_back:  # its node was given up, but came to the end: nothing is left to do
                    self._queue.cancel([job])
            elif entry.missed is not None and time.monotonic() - entry.missed > self._queue.patience:
                ended.append(Ended(entry.task, cause=f"job {job} ended without a result{_last_words(entry.job)}"))
            else:
                continue
            del self._jobs[job]
        if ended:
            self._write_ledger()
        return ended

    def _list(self) -> None:
        if time.monotonic() - self._listed < self._queue.listing_seconds:
            return
        self._listed = time.monotonic()
        listed = self._queue.listed()
        if listed is None:
            return
        now = time.monotonic()
        for job, entry in self._jobs.items():
            before, entry.listed = entry.listed, listed.get(job, Listed())
            entry.put_back = entry.listed.waits and (entry.put_back or before.place is not None)
            entry.missed = None if job in listed else entry.missed or now
            entry.hopeless = (entry.hopeless or now) if entry.listed.hopeless else None
        self._check_hope(now)

    def _check_hope(self, now: float) -> None:
        """Check that some job runs, or may run."""
        lost = [job for job, entry in self._jobs.items() if now - (entry.hopeless or now) > self._queue.patience]
        if lost and len(lost) == len(self._jobs):
            reason = self._jobs[lost[0]].listed.reason
            raise UserError(f"Slurm does not begin job {lost[0]} as it is, and no other of this sweep: {reason}")


@contextmanager
def _outside_of_a_job() -> Iterator[None]:
    """Hide what sbatch would take over from a job that the head is in; which Slurm it speaks with stays."""
    kept = {name: os.environ[name] for name in (CONFIGURATION,) if name in os.environ}
    with clean_env():
        os.environ.update(kept)
        yield


def _with_result(entry: _Submitted) -> Ended:
    paths = entry.job.paths
    outcome, content = pickle_load(paths.result_pickle)
    if outcome != "success":
        last = str(content).strip().splitlines()[-1]
        paths.result_pickle.unlink()  # else it would answer for the next job of this number
        return Ended(entry.task, cause=f"job {entry.job.job_id}: {last}")
    for path in (paths.submitted_pickle, paths.result_pickle, paths.stdout, paths.stderr):
        path.unlink(missing_ok=True)
    return Ended(entry.task, tuple(content))


def _last_words(job: Job[Any]) -> str:
    try:
        lines = job.paths.stderr.read_text(errors="replace", encoding="utf-8").strip().splitlines()
    except OSError:
        return ""
    return f"; its last line: {lines[-1].strip()}" if lines else ""


def _plain(task: Task) -> dict[str, Any]:
    return {"runs": [list(run) for run in task.runs], "seconds": task.seconds, "store": task.store}


def _task(content: dict[str, Any]) -> Task:
    runs = tuple(Run(method, seed) for method, seed in content["runs"])
    return Task(runs, Resources(0, 1, 0), content["seconds"], content["store"])


def _read_ledger(path: Path) -> list[dict[str, Any]]:
    try:
        content: list[dict[str, Any]] = json.loads(read_text(path))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} is damaged: {in_one_line(error)}; cancel this project's jobs, then remove it"
        ) from None
    return content
