"""Where jobs wait: Slurm's queue, or processes of this machine in its place."""

import getpass
import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from submitit.core.core import Job, PicklingExecutor
from submitit.local.local import LocalExecutor, LocalJob
from submitit.slurm.slurm import SlurmExecutor, SlurmJob

from harness.base.errors import UserError
from harness.fleet.engines.slurm_options import Cluster

PROCESSES = Path("/proc")
ANSWER_SECONDS = 60
"""That a command of Slurm gets."""
NEVER = (
    *("BadConstraints", "PartitionConfig", "PartitionTimeLimit", "MaxMemPerLimit"),
    *("AccountNotAllowed", "InvalidAccount", "InvalidQOS", "QOSNotAllowed"),
)
"""Slurm's words for why a job waits that will not begin as it is: many clusters take such jobs all the same."""


@dataclass(frozen=True)
class Listed:
    """A job that waits or runs."""

    place: str | None = None
    """Where it runs; None while it waits."""
    reason: str = ""
    """Why it waits, in a word of Slurm's; empty if it does not."""

    @property
    def waits(self) -> bool:
        """Whether it is in the queue, and not at work."""
        return self.reason != ""

    @property
    def hopeless(self) -> bool:
        """Whether it will not begin unless somebody changes it or the cluster."""
        return self.reason in NEVER or "PerJob" in self.reason


class Queue(Protocol):
    """A queue and its jobs."""

    executor: PicklingExecutor
    name: str
    """Of its jobs: they are found again by it."""
    listing_seconds: float
    """Between two listings."""
    patience: float
    """Seconds that a job may be absent from the listing before its result is seen."""

    def job(self, number: str) -> Job[Any]:
        """Return a job by its id."""

    def listed(self) -> dict[str, Listed] | None:
        """Return this project's jobs that wait or run, by their ids; None if nobody answers."""

    def cancel(self, jobs: Iterable[str]) -> None:
        """End jobs."""


def create_queue(cluster: Cluster, folder: Path, requeues: int) -> Queue:
    """Return the queue for jobs whose files are in a folder.

    Raises:
        UserError: there is no Slurm on this machine.
    """
    return LocalQueue(folder, requeues) if cluster == "local" else SlurmQueue(folder, requeues)


class SlurmQueue:
    """Slurm. Its accounting is not needed: squeue says all."""

    listing_seconds = 30.0
    patience = 90.0  # folders of other machines are seen late

    def __init__(self, folder: Path, requeues: int):
        for command in ("sbatch", "srun", "squeue", "scancel", "scontrol"):
            if shutil.which(command) is None:
                raise UserError(
                    f"--engine slurm: the command {command} is not on this machine: start the sweep on a login node, "
                    "or rehearse it here with the option cluster=local"
                )
        self.name = f"dartsboard-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
        self.executor: PicklingExecutor = SlurmExecutor(folder, max_num_timeout=requeues)
        self._folder = folder

    def job(self, number: str) -> Job[Any]:
        """Return a job by its id."""
        return SlurmJob(self._folder, number)

    def listed(self) -> dict[str, Listed] | None:
        """Return the jobs that wait or run."""
        command = ["squeue", "--noheader", "--array", f"--user={getpass.getuser()}", f"--name={self.name}"]
        try:
            text = subprocess.run(
                [*command, "--format=%i|%T|%N|%r"],
                capture_output=True,
                text=True,
                check=True,
                timeout=ANSWER_SECONDS,
                encoding="utf-8",
            ).stdout
        except (OSError, subprocess.SubprocessError):
            return None
        found: dict[str, Listed] = {}
        for line in text.splitlines():
            number, state, nodes, reason = line.strip().split("|", 3)
            place = f"job {number} on {nodes}" if state == "RUNNING" else None
            found[number] = Listed(place, reason if state == "PENDING" else "")
        return found

    def cancel(self, jobs: Iterable[str]) -> None:
        """End jobs: those that wait at once, those at work within Slurm's KillWait."""
        listed = self.listed()
        chosen = [job for job in jobs if listed is None or job in listed]
        for start in range(0, len(chosen), 500):
            with suppress(OSError, subprocess.SubprocessError):
                subprocess.run(
                    ["scancel", *chosen[start : start + 500]], capture_output=True, timeout=ANSWER_SECONDS, check=False
                )


class LocalQueue:
    """Processes of this machine, all at once; the id of a job is that of the process that controls it."""

    name = "local"
    listing_seconds = 0.0
    patience = 1.0

    def __init__(self, folder: Path, requeues: int):
        if not PROCESSES.is_dir():
            raise UserError("cluster=local finds its jobs in /proc: it needs Linux")
        self.executor: PicklingExecutor = LocalExecutor(folder, max_num_timeout=requeues)
        self._folder = folder

    def job(self, number: str) -> Job[Any]:
        """Return a job by its id."""
        return LocalJob(self._folder, number)

    def listed(self) -> dict[str, Listed] | None:
        """Return the jobs whose process lives."""
        return {number: Listed(f"process {number}") for number in self._processes("submitit.local._local")}

    def cancel(self, jobs: Iterable[str]) -> None:
        """Kill jobs: the processes that control them first, for those would see their ends."""
        controllers = set(jobs) & self._processes("submitit.local._local").keys()
        at_work = self._processes("submitit.core._submit")
        for number in [*controllers, *(number for number, parent in at_work.items() if parent in controllers)]:
            with suppress(ProcessLookupError):
                os.kill(int(number), signal.SIGKILL)

    def _processes(self, module: str) -> dict[str, str]:
        """Return the processes that run a module of submitit for this folder, with their parents."""
        found = {}
        for path in PROCESSES.glob("[0-9]*"):
            with suppress(OSError):
                command = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if [module, str(self._folder)] == command[-3:-1]:
                    found[path.name] = (path / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]
        return found
