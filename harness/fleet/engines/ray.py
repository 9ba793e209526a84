"""Ray: tasks on the workers of a cluster, or of this machine where no address is given.

Ray itself never repeats a task: a worker or a node that dies ends it, and the schedule decides. When the head dies, Ray
ends its tasks.
"""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.base.errors import UserError, did_you_mean, in_one_line
from harness.fleet.engine import Ended, Resources, Task
from harness.fleet.group import Outcome
from harness.fleet.worker import work

# Read when ray is imported. Nobody is told of the use, and no token is written into the home folder.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
import ray

OPTIONS = ("address", "autoscaling")
ANSWER_SECONDS = 10
"""That a cluster gets to answer."""
LOOK_SECONDS = 5.0
"""Between two looks for nodes that were lost."""


def create(folder: Path, options: dict[str, str]) -> "RayEngine":
    """Return the engine for the project in a folder.

    Raises:
        UserError: an option is wrong, or the cluster does not answer.
    """
    for key in options:
        if key not in OPTIONS:
            raise UserError(f"the engine ray has no option {key}, {did_you_mean(key, OPTIONS)}")
    autoscaling = options.get("autoscaling", "no")
    if autoscaling not in ("yes", "no"):
        raise UserError(
            f"autoscaling={autoscaling}: expected yes or no, whether the cluster begins larger nodes itself"
        )
    return RayEngine(folder, options.get("address"), autoscaling == "yes")


def _connect(address: str | None) -> None:
    host, colon, port = (address or "").rpartition(":")
    before = signal.getsignal(signal.SIGTERM)
    try:
        if colon and port.isdecimal() and "/" not in host:
            socket.create_connection((host, int(port)), ANSWER_SECONDS).close()  # ray itself would try for minutes
        local = {} if address else {"include_dashboard": False}
        ray.init(address=address or "local", log_to_driver=False, logging_level="ERROR", **local)
    except (OSError, ValueError, RuntimeError) as error:
        reason = in_one_line(error)
        raise UserError(f"--engine ray: no cluster answers at {address or 'this machine'}: {reason}") from None
    finally:
        signal.signal(signal.SIGTERM, before)  # ray puts one of its own in place


def _at_work(folder: Path, task: Task) -> Iterator[str | list[Outcome]]:
    """Give the node of this worker, then the outcomes of the task."""
    yield ray.get_runtime_context().get_node_id()
    yield work(folder, task)


class RayEngine:
    """See `harness.fleet.engine.Engine`."""

    def __init__(self, folder: Path, address: str | None, autoscaling: bool):
        self._folder = folder.resolve()
        self._autoscaling = autoscaling
        _connect(address)
        # A process of its own for each task, for a search leaves threads and a CUDA context behind.
        self._remote = ray.remote(max_calls=1, max_retries=0, num_returns="streaming")(_at_work)
        self._streams: dict[Any, Task] = {}
        self._nodes: dict[Task, str] = {}
        """Where tasks are at work, by the ids of the nodes."""
        self._looked = time.monotonic()
        self._sizes: set[tuple[float, float, float]] = set()
        """Of all nodes that were ever seen: GPUs, cores, bytes of memory."""

    @property
    def gpus(self) -> bool:
        """Whether a node has GPUs."""
        self._see_nodes()
        return any(size[0] for size in self._sizes)

    def takes(self, resources: Resources) -> bool:
        """Whether a task may be submitted: Ray has a queue.

        Raises:
            UserError: no node was ever large enough, and the cluster does not grow.
        """
        wanted = resources.gpus, resources.cores, resources.memory_bytes
        if not self._autoscaling and not self._fits(wanted):
            self._see_nodes()
            if not self._fits(wanted):
                raise UserError(
                    f"--engine ray: no node has {resources.gpus} GPUs, {resources.cores} cores and "
                    f"{resources.memory_bytes / 1e9:.1f} GB of memory, and the option autoscaling=yes is not set"
                )
        return True

    def submit(self, task: Task) -> None:
        """Give a task to Ray's queue."""
        needs = task.resources
        options = self._remote.options(
            num_gpus=needs.gpus,
            num_cpus=needs.cores,
            **({"memory": needs.memory_bytes} if needs.memory_bytes else {}),
            name=str(task),
        )
        self._streams[options.remote(self._folder, task)] = task

    def wait(self, seconds: float) -> list[Ended]:
        """Return the tasks that ended, at the latest after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            if not self._streams:
                time.sleep(left)
                return []
            first, waiting = ray.wait(list(self._streams), num_returns=1, timeout=left)
            more, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0) if waiting else ([], [])
            ended = [found for stream in (*first, *more) if (found := self._next(stream)) is not None]
            ended += self._lost()
            if ended or not first:
                return ended

    def running(self) -> dict[Task, str]:
        """Return the tasks at work, each with its node."""
        return {task: _place(node) for task, node in self._nodes.items()}

    def close(self) -> None:
        """Leave the cluster, which ends all tasks of this sweep; a cluster of this machine ends with them."""
        for stream in self._streams:
            ray.cancel(stream, force=True)
        self._streams.clear()
        self._nodes.clear()
        ray.shutdown()

    def _next(self, stream: Any) -> Ended | None:
        """Take in what a worker says; return the end of its task, if it is that."""
        task = self._streams[stream]
        try:
            said = ray.get(next(stream))
        except StopIteration:
            said = RuntimeError("it said nothing")
        except ray.exceptions.RayError as error:
            said = error
        if isinstance(said, str):
            self._nodes[task] = said
            return None
        del self._streams[stream]
        place = _place(self._nodes.pop(task, None))
        if isinstance(said, Exception):
            return Ended(task, cause=f"{place}: {type(said).__name__}: {_first_line(said)}")
        return Ended(task, tuple(said))

    def _lost(self) -> list[Ended]:
        """Return the tasks on nodes that Ray has given up.

        Of one that is cut off Ray says that it is dead, and waits minutes for the answers of its tasks all the same.
        """
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return []
        self._looked = time.monotonic()
        dead = {node["NodeID"] for node in ray.nodes() if not node["Alive"]}
        streams = {task: stream for stream, task in self._streams.items()}
        lost = [task for task, node in self._nodes.items() if node in dead]
        for task in lost:
            stream = streams[task]
            del self._streams[stream]  # what it still says is not heard: the task is somebody else's
            ray.cancel(stream, force=True)
        return [Ended(task, cause=f"{_place(self._nodes.pop(task))} is lost") for task in lost]

    def _see_nodes(self) -> None:
        for node in ray.nodes():
            if node["Alive"]:
                held = node["Resources"]
                self._sizes.add((held.get("GPU", 0.0), held.get("CPU", 0.0), held.get("memory", 0.0)))

    def _fits(self, wanted: tuple[float, ...]) -> bool:
        return any(all(have >= want for have, want in zip(size, wanted, strict=True)) for size in self._sizes)


def _place(node: str | None) -> str:
    return f"node {node[:8]}" if node else "a worker"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else "no reason given"
