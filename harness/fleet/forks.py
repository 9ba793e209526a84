"""Processes that are forked from one that has done the imports, and the signals that end them all."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from types import FrameType

from harness.base.errors import UserError
from harness.base.interruption import ending_signals
from harness.base.processes import OF_THE_TERMINAL, start_process

# Each search is forked from a process that has done nothing but import: a fork of this one, which may have threads or
# a CUDA context, could hang, and importing torch anew would cost every search seconds. (Frameworks of macOS forbid it.)
if sys.platform == "linux":
    PROCESSES = multiprocessing.get_context("forkserver")
else:
    PROCESSES = multiprocessing.get_context("spawn")
PROCESSES.set_forkserver_preload(["harness.fleet.group", "harness.fleet.preload"])


@contextmanager
def signals_noted(note: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call a function on signals to end; one that raised could leave a process that nobody knows of."""

    def noted(number: int, frame: FrameType | None) -> None:
        note(number, frame)
        continue_server()  # this process may wait for it

    before = {number: signal.signal(number, noted) for number in ending_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def warm_up() -> threading.Thread:
    """Do the imports that all processes of `PROCESSES` share; return the thread that waits for them."""
    thread = threading.Thread(target=_start_nothing, daemon=True)
    thread.start()
    return thread


def _start_nothing() -> None:
    # A signal to the whole group of processes may end the one that imports; it is begun anew when it is needed.
    with suppress(UserError):
        process = PROCESSES.Process(target=_nothing, daemon=True)
        start_apart(process)
        process.join()


def start_apart(process: BaseProcess) -> None:
    """Start a process that never sees what a terminal sends to all; it leaves when it is told to.

    Raises:
        UserError: it cannot be started.
    """
    with suppress(OSError):  # the start itself says so
        resource_tracker.ensure_running()  # else the first start begins it, which lifts the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, OF_THE_TERMINAL)
    try:
        start_process(process)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def continue_server() -> None:
    """Let the process that others are forked from go on, if something stopped it: it tells of their ends."""
    _tell_server(signal.SIGCONT)


def end_server() -> None:
    """End the process that others are forked from, in the middle of its imports: this one's end would wait for them."""
    _tell_server(signal.SIGKILL)


def _tell_server(number: signal.Signals) -> None:
    process = getattr(forkserver._forkserver, "_forkserver_pid", None)  # it has no public name
    if process is not None:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def _nothing() -> None:
    pass
