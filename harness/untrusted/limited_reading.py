"""Files from outside are read by a process of its own, with limits: what it does to itself ends it, and nothing else.

A small file can make Python work for ever (keys that collide), or crash (keys that nest too deep). So each reader runs
beside the program, may use so much processor time and memory as a file of that size explains, and is given up when it
dies; the file it had is then named in one sentence.
"""

import resource
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from harness.base.errors import UserError
from harness.base.processes import follow_parent

Result = TypeVar("Result")

SECONDS, SECONDS_PER_MEGABYTE = 10.0, 0.5
"""Processor time that a file may take in any case, and for each megabyte of it; real ones take a fiftieth of that."""
WAITING = 4
"""Files a process that wait for it, so that it never idles."""


def read_limited(read: Callable[[Path], Result], files: Sequence[Path], processes: int = 1) -> Iterator[Result]:
    """Give read(file) for each file in order, from so many processes with limits.

    Raises:
        UserError: `read` raised it, or the process died over a file.
    """
    with ExitStack() as stack:
        # A pool a process: when one dies, the oldest file that it was given is the one it died over.
        pools = [stack.enter_context(_pool()) for _ in range(max(1, min(processes, len(files))))]
        waiting: deque[tuple[Path, Future[Result]]] = deque()
        try:
            for position, file in enumerate(files):
                waiting.append((file, pools[position % len(pools)].submit(_read, read, file, _seconds(file))))
                if len(waiting) > WAITING * len(pools):
                    yield _result(*waiting.popleft())
            while waiting:
                yield _result(*waiting.popleft())
        finally:
            for pool in pools:
                pool.shutdown(wait=False, cancel_futures=True)


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin)


def _begin() -> None:
    follow_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _result(file: Path, future: "Future[Result]") -> Result:
    try:
        return future.result()
    except BrokenProcessPool:
        raise UserError(
            f"{file} is damaged or of another kind: reading it took more time or memory than a file of its size needs, "
            "or crashed what read it"
        ) from None


def _seconds(file: Path) -> float:
    return SECONDS + SECONDS_PER_MEGABYTE * (file.stat().st_size / 2**20 if file.is_file() else 0)


def _read(read: Callable[[Path], Result], file: Path, seconds: float) -> Result:
    with processor_time_limited(seconds):
        return read(file)


@contextmanager
def processor_time_limited(seconds: float) -> Iterator[None]:
    """Let what is done inside take so many seconds of processor time; more ends the process."""
    before, most = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = int(time.process_time() + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (before, most))
