"""What can happen to a sweep on Slurm, each once in the middle of searches."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.fleet.engines.slurm import JOBS, LEDGER
from tests.clusters.own_slurm import LOST_SECONDS, OwnSlurm
from tests.clusters.projects import Project, finish, until
from tests.clusters.scenarios import Counts, Scenario

EPOCHS = 150
"""Of a search that can be met in its middle."""
LONG_EPOCHS = 1200
"""Of one that takes longer than `MINUTES`."""
MINUTES = 2
USER_ERROR = 2
REFUSALS = {
    "a partition that is not there": ("--option", "partition=nowhere"),
    "jobs that it takes and never begins": ("--option", "partition=brief"),
    "more memory than any node has": ("--option", "mem=900G"),
    "an option that sbatch does not know": ("--option", "no-such-option=1"),
}


class Cluster:
    """A Slurm with a project on it."""

    def __init__(self, slurm: OwnSlurm, folder: Path):
        self.slurm = slurm
        self.project = Project(folder / "short", seeds=2, epochs=EPOCHS)
        self._folder = folder

    def scenarios(self) -> Iterator[Scenario]:
        """Give all, one after another."""
        yield Scenario("Slurm: a board as arrays", lambda: self._sweep(lambda head: 0))
        yield Scenario("Slurm: `scontrol requeue` of a search", lambda: self._sweep(self._requeue))
        yield Scenario("Slurm: told to make room (SIGUSR2)", lambda: self._sweep(self._make_room))
        yield Scenario("Slurm: `scancel` by somebody else", lambda: self._sweep(self._cancel))
        yield Scenario("Slurm: slurmd killed, its node lost, and back", lambda: self._sweep(self._lose_node))
        yield Scenario("Slurm: slurmctld killed and back", lambda: self._sweep(self._lose_controller))
        yield Scenario("Slurm: time limit reached", self._time_limit)
        yield Scenario("Slurm: head killed and started again", self._kill_head)
        yield Scenario("Slurm: what it refuses", self._refusals)

    # What is done to a sweep; each returns how often it was done

    def _requeue(self, head: subprocess.Popen[str]) -> int:
        self.slurm.ask("scontrol", "requeue", self._job_in_the_middle(head, self.project))
        return 1

    def _make_room(self, head: subprocess.Popen[str]) -> int:
        self.slurm.ask("scancel", "--signal=USR2", self._job_in_the_middle(head, self.project))
        return 1

    def _cancel(self, head: subprocess.Popen[str]) -> int:
        self.slurm.ask("scancel", self._job_in_the_middle(head, self.project))
        return 1

    def _lose_node(self, head: subprocess.Popen[str]) -> int:
        job = self._job_in_the_middle(head, self.project)
        node = self.slurm.ask("squeue", "-h", f"--jobs={job}", "--format=%N").strip()
        self.slurm.kill_node(node)
        until(lambda: "down" in self.slurm.ask("sinfo", "-h", f"--nodes={node}", "--format=%T"), head, "the loss")
        time.sleep(LOST_SECONDS)
        self.slurm.start_node(node)
        return 1

    def _lose_controller(self, head: subprocess.Popen[str]) -> int:
        self._job_in_the_middle(head, self.project)
        self.slurm.kill_controller()
        time.sleep(2 * LOST_SECONDS)
        self.slurm.start_controller()
        return 1

    # Scenarios

    def _sweep(self, disturb: Callable[[subprocess.Popen[str]], int]) -> Counts:
        counts, before = Counts(), self._last_number()
        head = self._start_head(self.project)
        counts.disturbed = disturb(head)
        self._end(head, self.project, counts, before)
        return counts

    def _time_limit(self) -> Counts:
        counts, before = Counts(), self._last_number()
        project = Project(self._folder / "long", seeds=1, epochs=LONG_EPOCHS)
        head = self._start_head(project, "--option", f"time={MINUTES}")
        self._end(head, project, counts, before)
        counts.disturbed = counts.again
        counts.wrong += counts.again == 0  # nothing was reached
        return counts

    def _kill_head(self) -> Counts:
        counts, before = Counts(), self._last_number()
        head = self._start_head(self.project)
        self._job_in_the_middle(head, self.project)
        head.kill()
        head.communicate()
        counts.disturbed = 1
        self._end(self._start_head(self.project), self.project, counts, before)
        counts.wrong += counts.tasks != len(self.project.runs)
        return counts

    def _refusals(self) -> Counts:
        counts = Counts()
        for options in REFUSALS.values():
            self._refused(counts, *options)
        self.slurm.kill_controller()
        self._refused(counts)
        self.slurm.start_controller()
        self.project.forget()
        return counts

    def _refused(self, counts: Counts, *options: str) -> None:
        head = self._start_head(self.project, *options)
        _, told = finish(head)
        counts.disturbed += 1
        if head.returncode != USER_ERROR or not told.startswith("error: ") or told.count("\n") != 1:
            print(told)
            counts.wrong += 1

    # What they need

    def _start_head(self, project: Project, *options: str) -> subprocess.Popen[str]:
        options = ("--engine", "slurm", "--option", "gpus=no", *options)
        return project.start_head(*options, environment=self.slurm.environment)

    def _end(self, head: subprocess.Popen[str], project: Project, counts: Counts, before: int) -> None:
        _, told = finish(head)
        if head.returncode or "Traceback" in told:
            print(told)
            counts.wrong += 1
        begun = {job: times for job, times in self._begun().items() if _number(job) > before}
        counts.tasks = len(begun)
        counts.again = sum(begun.values()) + len(begun) - len(project.runs)
        counts.wrong += len(self.slurm.jobs("pending,running"))
        counts.take_in(project.compare())

    def _job_in_the_middle(self, head: subprocess.Popen[str], project: Project) -> str:
        """Wait for a job whose search is in its middle, and return its id."""
        found: list[str] = []

        def look() -> bool:
            middle = project.in_the_middle()
            running = self.slurm.jobs("running") if middle else []
            found.extend(job for job, run in _ledger(project).items() if run in middle and job in running)
            return bool(found)

        until(look, head, "the middle of a search")
        return found[0]

    def _begun(self) -> dict[str, int]:
        """Return how often each job that Slurm remembers was begun again."""
        text = self.slurm.ask("squeue", "-h", "--array", "--states=all", "--Format=JobArrayID:32,RestartCnt:8")
        return {job: int(times) for job, times in (line.split() for line in text.splitlines())}

    def _last_number(self) -> int:
        return max(map(_number, self._begun()), default=0)


def _number(job: str) -> int:
    """Return the number that sbatch gave to a job, or to the array that it is in."""
    return int(job.partition("_")[0])


def _ledger(project: Project) -> dict[str, tuple[str, int]]:
    """Return the first run of each job of a project."""
    path = project.folder / JOBS / LEDGER
    jobs = json.loads(path.read_text()) if path.exists() else []
    return {entry["job"]: tuple(entry["task"]["runs"][0]) for entry in jobs}
