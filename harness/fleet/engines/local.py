"""This machine: a process a task, as many as its cores, its GPUs and its memory take.

A task that wants a GPU has one for itself, and `CUDA_VISIBLE_DEVICES` names it. The options: `workers=N`: so many tasks
on cores at once, whatever the memory.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from harness.base.errors import UserError, did_you_mean
from harness.base.processes import end_with_parent, usable_cores
from harness.base.progress import Row
from harness.fleet.engine import Ended, Resources, Task
from harness.fleet.forks import PROCESSES, continue_server, end_server, start_apart, warm_up
from harness.fleet.group import PATIENCE_SECONDS, POLL_SECONDS, Outcome, StoppedError, cause_of_death, leave
from harness.fleet.places import memory_left, memory_of
from harness.fleet.worker import work


@dataclass(frozen=True)
class _Running:
    task: Task
    process: BaseProcess
    gpus: tuple[str, ...]

    @property
    def place(self) -> str:
        return f"GPU {', '.join(self.gpus)}" if self.gpus else f"process {self.process.pid}"


def create(folder: Path, options: dict[str, str]) -> "LocalEngine":
    """Return the engine for the project in a folder.

    Raises:
        UserError: an option is wrong.
    """
    for name in options:
        if name != "workers":
            raise UserError(
                f"--option {name}: the engine 'local' has none of this name, {did_you_mean(name, ['workers'])}"
            )
    workers = options.get("workers")
    if workers is not None and not (workers.isdecimal() and int(workers) > 0):
        raise UserError(f"--option workers={workers}: expected a number from 1 up")
    return LocalEngine(folder, None if workers is None else int(workers))


def visible_gpus() -> tuple[str, ...]:
    """Return the GPUs of this process, as `CUDA_VISIBLE_DEVICES` names them, without touching one."""
    import torch

    count = torch.cuda.device_count()  # asks the driver's library
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return tuple(named[:count]) if named != [""] else tuple(map(str, range(count)))


class LocalEngine:
    """See `harness.fleet.engine.Engine`."""

    def __init__(self, folder: Path, workers: int | None = None, gpus: Sequence[str] | None = None):
        self._folder = folder.resolve()
        self._workers = workers
        self._all_gpus = visible_gpus() if gpus is None else tuple(gpus)
        self._free_gpus = list(self._all_gpus)
        self._running: dict[Connection, _Running] = {}
        self._unstarted: list[Ended] = []
        self._memory = memory_left()
        self._seen = 0.0
        """Bytes of memory that a task took on cores, the most so far."""
        self._imports = warm_up()

    @property
    def gpus(self) -> bool:
        """Whether this machine has GPUs."""
        return bool(self._all_gpus)

    def takes(self, resources: Resources) -> bool:
        """Whether cores, GPUs and memory are free. As long as nothing is known of the memory, one task runs alone.

        Raises:
            UserError: there are fewer GPUs.
        """
        if resources.gpus > len(self._all_gpus):
            raise UserError(f"a task needs {resources.gpus} GPUs, this machine has {len(self._all_gpus)}")
        if self._imports.is_alive():
            return False
        if resources.gpus:
            return resources.gpus <= len(self._free_gpus)
        on_cores = [entry.task.resources for entry in self._running.values() if not entry.gpus]
        if self._workers is not None:
            return len(on_cores) < self._workers
        return not on_cores or (self._cores_suffice([*on_cores, resources]) and self._fit([*on_cores, resources]))

    @staticmethod
    def _cores_suffice(tasks: list[Resources]) -> bool:
        return sum(task.cores for task in tasks) <= usable_cores()

    def _fit(self, tasks: list[Resources]) -> bool:
        needs = [task.memory_bytes or self._seen for task in tasks]
        return all(needs) and sum(needs) <= self._memory

    def submit(self, task: Task) -> None:
        """Begin a task.

        Raises:
            UserError: no process can be started.
        """
        ours, theirs = PROCESSES.Pipe()
        gpus = tuple(self._free_gpus.pop(0) for _ in range(task.resources.gpus))
        # Only a process that is no daemon may start others.
        daemon = len(task.runs) == 1
        process = PROCESSES.Process(target=_work, args=(self._folder, task, theirs, gpus), daemon=daemon)
        try:
            start_apart(process)
        except UserError as error:
            if not self._running:
                raise  # nor will the next one start
            self._free_gpus.extend(gpus)
            self._unstarted.append(Ended(task, cause=str(error)))
            return
        finally:
            theirs.close()
        self._running[ours] = _Running(task, process, gpus)

    def wait(self, seconds: float) -> list[Ended]:
        """Return the tasks that ended, at the latest after `seconds`."""
        deadline = time.monotonic() + seconds
        if self._imports.is_alive():
            self._imports.join(seconds)
            return []
        if self._unstarted:
            ended, self._unstarted = self._unstarted, []
            return ended
        while True:
            left = max(0.0, deadline - time.monotonic())
            ready = wait(list(self._running), timeout=left) if self._running else []
            known = bool(self._seen)
            ended = [end for channel in ready if isinstance(channel, Connection) for end in self._receive(channel)]
            if ended or not ready or not known:  # with the first that is known of the memory there may be room
                if not self._running and not ended:
                    time.sleep(min(left, POLL_SECONDS))
                return ended

    def _receive(self, channel: Connection) -> list[Ended]:
        entry = self._running[channel]
        try:
            message: float | list[Outcome] = channel.recv()
        except (EOFError, OSError):
            entry.process.join()
            return [self._end(channel, Ended(entry.task, cause=cause_of_death(entry.process.exitcode)))]
        if isinstance(message, float):
            self._seen = max(self._seen, message)
            return []
        entry.process.join()
        return [self._end(channel, Ended(entry.task, tuple(message)))]

    def _end(self, channel: Connection, ended: Ended) -> Ended:
        self._free_gpus.extend(self._running.pop(channel).gpus)
        channel.close()
        return ended

    def running(self) -> dict[Task, str]:
        """Return the tasks at work, each with its GPU or its process."""
        return {entry.task: entry.place for entry in self._running.values()}

    def close(self) -> None:
        """End all processes."""
        continue_server()
        if self._imports.is_alive():
            end_server()
        for entry in self._running.values():
            entry.process.terminate()
        patience = time.monotonic() + PATIENCE_SECONDS
        for channel, entry in self._running.items():
            entry.process.join(max(0.0, patience - time.monotonic()))
            entry.process.kill()
            entry.process.join()
            channel.close()
        self._running.clear()


# In the process of one task


class _Teller:
    """A display that shows nothing and tells the engine what a search on cores needs."""

    def __init__(self, channel: Connection):
        self._channel = channel

    def begin(self, title: str) -> None:
        pass

    def advance(self, title: str, row: Row, epochs: int) -> None:
        with suppress(OSError):  # the head is gone, and this process ends in a moment
            self._channel.send(float(memory_of(row)[0]))

    def end(self, title: str, text: str) -> None:
        pass

    def say(self, text: str) -> None:
        pass


def _work(folder: Path, task: Task, channel: Connection, gpus: tuple[str, ...]) -> None:
    signal.signal(signal.SIGTERM, leave)
    end_with_parent()
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    try:
        outcomes = work(folder, task, _Teller(channel))
    except StoppedError as stopped:
        sys.exit(stopped.status)
    with suppress(OSError):
        channel.send(outcomes)
