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
from typing import Generic, TypeVar

from harness.base.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

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
    """A function that is computed in a process of its own, whose memory is given back with it."""

    def __init__(self, function: Callable[..., Result], *arguments: object):
        processes = get_context("spawn")
        self._answer, theirs = processes.Pipe(duplex=False)
        self._process = processes.Process(target=_answer, args=(theirs, function, arguments), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def done(self) -> bool:
        """Whether `result` would not wait."""
        return self._answer.poll()

    def result(self) -> Result:
        """Wait for the result, and return it.

        Raises:
            UserError: the function raised it, or its process was killed.
        """
        try:
            answer: Result | UserError = self._answer.recv()
        except EOFError:
            raise UserError("a process beside this one was killed, perhaps because memory ran out: try again") from None
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
        answer = function(*arguments)
    except UserError as error:
        answer = error
    channel.send(answer)


def follow_parent() -> None:
    """Leave Ctrl-C, which reaches every process of a terminal, to the process that started this one; end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def end_with_parent() -> None:
    """End this process when the one that started it does, however that ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
