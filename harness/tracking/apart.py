"""The mirror in a process of its own: whatever a tracking server does to it, it ends in one sentence and in time.

MLflow's client waits as long as a server keeps talking, and keeps in memory all that it says. So the process that
speaks with a server tells of each step, and is ended when the next one does not come. So it is progress that counts:
however many runs there are, a server that takes them is not cut off.
"""

import logging
import math
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from harness.base.errors import UserError
from harness.base.masking import masked
from harness.base.processes import follow_parent
from harness.settings.protocol import Board
from harness.tracking.server import cap_answers, unreachable
from harness.tracking.store import Store, check_usable, find_store, load_mlflow
from harness.tracking.summary import OnStep, Step, SyncSummary

Result = TypeVar("Result")

STEP_SECONDS = 30
"""The longest time for a step: to open the store, to mirror one run, or to write the saved views."""

LIST_SECONDS = 60
"""The time to list all runs of the experiment, those of other boards too."""

RUN_SECONDS = 10
"""What a run may take on the average; a healthy server takes half a second."""

POINTS_A_SECOND = 500
"""A run with many points may take longer: so long as at this pace."""

SUMMARY_SECONDS = 1
"""How often the mirroring process says in full what it has done."""


class _Told(NamedTuple):
    """What the mirroring process says before each step."""

    step: Step
    so_far: SyncSummary | None


class _Answer(NamedTuple):
    """The last that it says."""

    value: Any


def mirror_project(board: Board) -> SyncSummary:
    """Bring MLflow to the state of the project in this folder, and say what that took; a bad server is no error.

    Raises:
        UserError: params.yaml names no store of MLflow, or what it is to hold cannot be read.
    """
    store = find_store(board)
    watched = _Watched(store, _mirror, board)
    try:
        return watched.result()
    except _GivenUpError as given_up:
        summary = watched.so_far or SyncSummary(store.shown, page=store.page)
        summary.message = str(given_up)
        return summary


def check_store(board: Board) -> str:
    """Return a sentence that the board's store can be used.

    Raises:
        UserError: it cannot, or not in time.
    """
    store = find_store(board)
    try:
        return _Watched(store, _check, board).result()
    except _GivenUpError as given_up:
        raise UserError(str(given_up)) from None


def _mirror(board: Board, on_step: OnStep) -> SyncSummary:
    from harness.board.lookup import read_results, read_truth_description
    from harness.board.status import searches_in_progress
    from harness.results.columns import RESULTS
    from harness.tracking.mirror import sync
    from harness.tracking.origin import truth_table
    from harness.untrusted.memory_limit import memory_limited

    epochs = runs = table = None
    lacking = ""
    if Path(RESULTS).exists():
        try:
            epochs, runs = read_results(RESULTS, "epochs"), read_results(RESULTS, "runs")
            table = truth_table(read_truth_description(RESULTS))
        except UserError as error:  # a look-up that was interrupted leaves some of its tables or none
            epochs = runs = table = None
            lacking = f"without truth, for {masked(str(error))}"
    progress = searches_in_progress()
    with memory_limited(0):
        summary = sync(
            board,
            truth_rows=epochs,
            final_truth_rows=runs,
            truth_table=table,
            in_progress=progress,
            on_step=on_step,
        )
    summary.remark(lacking)
    return summary


def _check(board: Board, on_step: OnStep) -> str:
    from harness.untrusted.memory_limit import memory_limited

    store = find_store(board)
    load_mlflow()
    on_step(SyncSummary(store.shown), Step("open"))
    with memory_limited(0):
        check_usable(store, board.tracking.experiment)
    return f"{store.shown} answers"


# The watching process


class _GivenUpError(Exception):
    """The mirroring process was ended or died; its text is the sentence about it."""


class _Watched(Generic[Result]):
    """A function in a process of its own, which ends when a server keeps it too long."""

    def __init__(self, store: Store, function: Callable[[Board, OnStep], Result], board: Board) -> None:
        processes = get_context("spawn")
        self.so_far: SyncSummary | None = None
        self._store = store
        self._deadline = math.inf
        self._channel, theirs = processes.Pipe(duplex=False)
        self._process = processes.Process(target=_work, args=(theirs, function, board), daemon=True)
        self._process.start()
        theirs.close()

    def result(self) -> Result:
        """Wait for the result, and return it.

        Raises:
            _GivenUpError: it did not come in time, or the process died.
            UserError: the function raised it.
        """
        try:
            while True:
                message = self._next()
                if isinstance(message, _Answer):
                    break
                self._allow(message)
        finally:
            self._process.kill()
            self._process.join()
            self._channel.close()
        if isinstance(message.value, UserError):
            raise message.value
        value: Result = message.value
        return value

    def _next(self) -> _Told | _Answer:
        left = None if self._deadline == math.inf else max(0.0, self._deadline - time.monotonic())
        try:
            if self._channel.poll(left):
                message: _Told | _Answer = self._channel.recv()
                return message
        except (EOFError, OSError):
            raise _GivenUpError(f"the mirror in {self._store.shown} stopped (its process died): try again") from None
        raise _GivenUpError(unreachable(self._store.shown, "no answer in time"))

    def _allow(self, told: _Told) -> None:
        self.so_far = told.so_far or self.so_far
        if self._store.database is None:  # a file waits for nobody but other processes of the user's
            run = RUN_SECONDS + told.step.points / POINTS_A_SECOND
            limits = {"open": STEP_SECONDS, "list": LIST_SECONDS, "run": run, "views": STEP_SECONDS}
            seconds = limits[told.step.kind]
            # What quick steps have left is for slow ones, up to a limit.
            self._deadline = min(self._deadline + seconds, time.monotonic() + max(STEP_SECONDS, seconds))


# The mirroring process


def _work(channel: Connection, function: Callable[[Board, OnStep], object], board: Board) -> None:
    follow_parent()
    cap_answers()
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it shows tracebacks of what is odd in an answer
    told = -math.inf

    def on_step(summary: SyncSummary, step: Step) -> None:
        nonlocal told
        in_full = step.kind == "views" or time.monotonic() > told + SUMMARY_SECONDS  # by then all runs are there
        if in_full:
            told = time.monotonic()
        channel.send(_Told(step, summary if in_full else None))

    try:
        answer: object = function(board, on_step)
    except UserError as error:
        answer = error
    channel.send(_Answer(answer))
