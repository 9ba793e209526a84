"""One function over many items, in processes beside this one."""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import TypeVar

from harness.errors import UserError

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
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_follow_parent) as pool:
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


def _follow_parent() -> None:
    # Ctrl-C reaches every process of a terminal, and the first one tells the others to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
