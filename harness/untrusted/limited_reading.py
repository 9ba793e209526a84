"""Files from outside are read by a process of its own, with limits: what it does to itself ends it, and nothing else.

A small file can make Python work for ever (keys that collide), or crash (keys that nest too deep). So each reader runs
beside the program, may use so much processor time and memory as a file of that size explains, and is given up when it
dies; the file it had is then named in one sentence.
"""

import resource
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, TypeVar

from harness.base.errors import UserError
from harness.base.processes import follow_parent
from harness.untrusted.memory_limit import memory_limited

Result = TypeVar("Result")

SECONDS, SECONDS_PER_MEGABYTE = 10.0, 0.5
"""Processor time that a file may take in any case, and for each megabyte of it; real ones take a fiftieth of that."""
WAITING = 4
"""Files a process that wait for it, so that it never idles."""

_READY = "ready"


def read_limited(read: Callable[[Path], Result], files: Sequence[Path], processes: int = 1) -> Iterator[Result]:
    """Give read(file) for each file in order, from so many processes with limits.

    Raises:
        UserError: `read` raised it, or the process died over a file.
    """
    readers = [_Reader(read) for _ in range(max(1, min(processes, len(files))))]
    waiting: deque[tuple[_Reader[Result], Path]] = deque()
    try:
        for position, file in enumerate(files):
            reader = readers[position % len(readers)]
            reader.ask(file)
            waiting.append((reader, file))
            if len(waiting) > WAITING * len(readers):
                yield _next_of(waiting)
        while waiting:
            yield _next_of(waiting)
    finally:
        for reader in readers:
            reader.stop()


def _next_of(waiting: "deque[tuple[_Reader[Result], Path]]") -> Result:
    reader, file = waiting.popleft()
    return reader.answer(file)


class _Reader(Generic[Result]):
    """A process that reads one file after another."""

    def __init__(self, read: Callable[[Path], Result]) -> None:
        processes = get_context("spawn")
        self._channel, theirs = processes.Pipe()
        self._process = processes.Process(target=_serve, args=(theirs, read))  # no daemon: it may start others
        self._process.start()
        theirs.close()
        self._ready = False

    def ask(self, file: Path) -> None:
        """Let it read a file, after those that it was asked for before."""
        megabytes = file.stat().st_size / 2**20 if file.is_file() else 0
        with suppress(OSError):  # it is dead: then its answer is missing
            self._channel.send((file, SECONDS + SECONDS_PER_MEGABYTE * megabytes))

    def answer(self, file: Path) -> Result:
        """Return what it read in the oldest file it was asked for."""
        try:
            self._ready = self._ready or self._channel.recv() == _READY
            answer: Result | UserError = self._channel.recv()
        except (EOFError, OSError):
            if not self._ready:
                raise UserError("the process that reads files from outside could not be started") from None
            raise UserError(
                f"{file} is damaged or of another kind: reading it took more time or memory than a file of its size "
                "needs, or crashed what read it"
            ) from None
        if isinstance(answer, UserError):
            raise answer
        return answer

    def stop(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.join()
        self._channel.close()


def _serve(channel: Connection, read: Callable[[Path], Any]) -> None:
    follow_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    channel.send(_READY)
    with suppress(EOFError):  # the parent wants no more
        while True:
            channel.send(_read(read, *channel.recv()))


def _read(read: Callable[[Path], Result], file: Path, seconds: float) -> Result | UserError:
    if file.exists() and not file.is_file():
        return UserError(f"{file} is no regular file")  # a pipe or a device would never end
    size = file.stat().st_size if file.exists() else 0
    try:
        with processor_time_limited(seconds), memory_limited(size):
            return read(file)
    except UserError as error:
        return error
    except Exception as error:  # what a foreign file holds fails in many ways
        return UserError(f"{file} is damaged or of another kind: reading it ended with {type(error).__name__}")


@contextmanager
def processor_time_limited(seconds: float) -> Iterator[None]:
    """Let what is done inside take so many seconds of processor time; more ends the process."""
    before, most = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = int(time.process_time() + seconds) + 1
    limits = [limit for limit in (before, most) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_CPU, (min([wanted, *limits]), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (before, most))
