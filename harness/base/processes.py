"""One function over many items, in processes beside this one."""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

from harness.base.errors import UserError, in_one_line

Item = TypeVar("Item")
Result = TypeVar("Result")

OF_THE_TERMINAL = (signal.SIGINT, signal.SIGHUP)
"""Signals that a terminal sends to all its processes: Ctrl-C, and when it is closed."""
WAITING = 4
"""Items a process that wait for it, so that neither side idles and memory stays small."""


def usable_cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_processes(function: Callable[[Item], Result], items: Iterable[Item], processes: int) -> Iterator[Result]:
    """Give function(item) for each item in order, as `map` does; 0 processes: computed in this one.

    The items are drawn no faster than they are worked off. The processes end with this one, however it ends.

    Raises:
        UserError: a process was killed.
    """
    if not processes:
        yield from map(function, items)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=follow_parent) as pool:
        waiting: deque = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > WAITING * processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise UserError("a process beside this one was killed, perhaps because memory ran out: try again") from None
        finally:
            pool.shutdown(cancel_futures=True)


class Background(Generic[Result]):
    """A function that is computed in a process of its own, whose memory is given back with it.

    Raises:
        UserError: the system starts no process.
    """

    def __init__(self, function: Callable[..., Result], *arguments: object):
        processes = get_context("spawn")
        self._answer, theirs = processes.Pipe(duplex=False)
        self._process = processes.Process(target=_answer, args=(theirs, function, arguments), daemon=True)
        start_process(self._process)
        theirs.close()

    @property
    def done(self) -> bool:
        """Whether `result` would not wait."""
        return self._answer.poll()

    def result(self) -> Result:
        """Wait for the result, and return it.

        Raises:
            UserError: the function raised it or something else, or its process ended without an answer.
        """
        try:
            answer: Result | UserError = self._answer.recv()
        except (EOFError, OSError):
            self._process.join()
            raise UserError(f"a process beside this one {_end_of(self._process)}: try again") from None
        finally:
            self.stop()
        if isinstance(answer, UserError):
            raise answer
        return answer

    def stop(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.join()
        self._answer.close()


def _answer(channel: Connection, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
    follow_parent()
    try:
        channel.send(function(*arguments))
    except UserError as error:
        channel.send(error)
    except Exception as error:  # what is raised here is seen by nobody else
        channel.send(UserError(f"{function.__name__}: {type(error).__name__}: {in_one_line(error)}"))


def _end_of(process: BaseProcess) -> str:
    """Return how a process ended that left no answer."""
    status = process.exitcode or 0
    if status >= 0:
        return f"ended with status {status}"
    return f"was killed by {signal.Signals(-status).name}, perhaps because memory ran out"


def start_process(process: BaseProcess) -> None:
    """Start a process.

    Raises:
        UserError: the system, or the server that processes are forked from, does not do it.
    """
    try:
        process.start()
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or in_one_line(error) or type(error).__name__
        raise UserError(
            f"a process could not be started beside this one ({reason}): memory or the number of processes may be "
            f"limited (ulimit -a says)"
        ) from None


def follow_parent() -> None:
    """Leave signals that reach every process of a terminal to the process that started this one; end with it."""
    for number in OF_THE_TERMINAL:
        signal.signal(number, signal.SIG_IGN)
    end_with_parent()


def end_with_parent() -> None:
    """End this process when the one that started it does, however that ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
