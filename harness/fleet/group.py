"""Many searches at once: a process each, side by side, none able to disturb another.

On CPUs one single-threaded process a core. On a CUDA device the processes share the card, as many as make it faster.
"""

import math
import signal
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, NoReturn

from harness.base.errors import UserError, in_one_line, quoted
from harness.base.processes import end_with_parent
from harness.base.progress import Display, show_runs
from harness.board import finished, runner
from harness.fleet import dvc_stages
from harness.fleet.engine import Store
from harness.fleet.forks import PROCESSES, continue_server, end_server, signals_noted, start_apart, warm_up
from harness.fleet.outcome import Outcome, Run
from harness.fleet.places import Epoch, Places, memory_of, places_for
from harness.images.decoded import IMAGES, check_cached
from harness.records import record
from harness.search import registry
from harness.search.baseline import Baseline
from harness.settings.protocol import LARGEST_SEED, Board

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 3.0
"""What a search gets to leave when it is told to; then it is killed, and its checkpoints are whole all the same."""
MOST_SEEDS = 10_000
STOPPED = 128 + signal.SIGINT
"""Exit status of a group that Ctrl-C ended; other signals give their own."""


class StoppedError(Exception):
    """A signal ended the group; every search that was under way resumes from its checkpoint."""

    def __init__(self, number: int, outcomes: list[Outcome]):
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number
        """The exit status that a shell expects."""
        self.outcomes = outcomes
        """Of the runs that had ended."""


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return the seeds of a list such as `0-3,7`, each once, in its order.

    Raises:
        UserError: it is no such list.
    """
    seeds: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            raise UserError(f"--seeds {quoted(text)}: expected numbers and ranges from 0 up, such as 0-9 or 0,2,5")
        if max(len(first), len(last)) > len(str(LARGEST_SEED)) or int(last or first) > LARGEST_SEED:
            raise UserError(f"--seeds {quoted(text)}: expected seeds up to {LARGEST_SEED}")
        start, end = int(first), int(last or first)
        if not 0 <= end - start < MOST_SEEDS:
            raise UserError(f"--seeds {quoted(text)}: {in_one_line(part, 60)} is no range, expected one such as 0-9")
        seeds |= dict.fromkeys(range(start, end + 1))
    return tuple(seeds)


def run_together(
    board: Board,
    runs: Sequence[Run],
    display: Display,
    workers: int | None = None,
    deadline: float = math.inf,
    store: Store = "shared",
) -> list[Outcome]:
    """Run searches and baselines side by side; return how they ended, in the order of `runs`.

    Each is the run that it would be alone. One that fails, crashes or finds no memory does not touch the others.

    Args:
        board: what they run under.
        runs: what to run; one that is finished already is only read.
        display: where they are shown.
        workers: how many at once; None for as many as the processors (on CUDA: the measured speed) and the memory take.
        deadline: a time of `time.monotonic`: no epoch begins that would probably end later.
        store: where the records are left.

    Raises:
        UserError: bad settings, missing data or device; then nothing has begun.
        StoppedError: SIGINT, SIGTERM or SIGHUP came.
    """
    runs = list(dict.fromkeys(runs))
    check(board, runs)
    group = _Group(board, runs, display, places_for(board.chosen, workers), deadline, store)
    with signals_noted(group.note):
        group.go()
    outcomes = [group.outcomes[run] for run in runs if run in group.outcomes]
    if group.signal is not None:
        raise StoppedError(group.signal, outcomes)
    return outcomes


def run_and_record(board: Board, runs: Sequence[Run], workers: int | None = None) -> int:
    """Run searches and baselines side by side, on show; tell DVC of their records; return the exit status.

    Raises:
        UserError: see `run_together`.
    """
    try:
        with show_runs() as display:
            outcomes = run_together(board, runs, display, workers)
        status = 0 if all(outcome.good for outcome in outcomes) else 1
    except StoppedError as stopped:
        outcomes, status = stopped.outcomes, stopped.status
        print(f"stopped by {stopped}; the same command goes on from the checkpoints", file=sys.stderr)
    except KeyboardInterrupt:  # before anything began
        return STOPPED
    dvc_stages.commit(*board.stages([outcome.run for outcome in outcomes if outcome.recorded]))
    for outcome in outcomes:
        print(outcome)
    print(f"{sum(outcome.good for outcome in outcomes)} of {len(runs)} runs are done", flush=True)
    return status


def check(board: Board, runs: Sequence[Run]) -> None:
    """Check all that the runs need before one begins.

    Raises:
        UserError: unknown method, bad settings, a protocol that the method cannot work under, missing or damaged data.
    """
    for name in dict.fromkeys(run.method for run in runs):
        if issubclass(registry.method(name), Baseline):
            runner.check_truth([name])
        else:
            registry.made(board, name)
            check_cached(IMAGES, board.chosen.data)
        runner.fingerprint(board, name, seed=0)


class _Group:
    """The processes of a group, seen from the one that starts them."""

    def __init__(
        self, board: Board, runs: Sequence[Run], display: Display, places: Places, deadline: float, store: Store
    ):
        self.board = board
        self.waiting = deque(runs)
        self.display = display
        self.places = places
        self.deadline = deadline
        self.store: Store = store
        self.running: dict[Connection, tuple[Run, BaseProcess, float]] = {}
        self.outcomes: dict[Run, Outcome] = {}
        self.signal: int | None = None
        self.in_progress: set[Run] = set()
        """The runs that have told of an epoch."""
        self.first_epoch_seconds = 0.0
        """The longest that a run took from its start to the end of its first epoch."""

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal."""
        self.signal = number

    def go(self) -> None:
        """Run until all have ended or a signal comes."""
        self._warm_up()
        try:
            while self.signal is None and (self.running or self.waiting):
                self._fill_places()
                for channel in wait(list(self.running), timeout=POLL_SECONDS):
                    assert isinstance(channel, Connection)
                    self._receive(channel)
        finally:
            self._end_all()

    def _warm_up(self) -> None:
        thread = warm_up()
        while thread.is_alive() and self.signal is None:
            thread.join(POLL_SECONDS)
        if thread.is_alive():
            end_server()

    def _fill_places(self) -> None:
        while self.waiting and len(self.running) < self.places.count:
            run = self.waiting.popleft()
            if time.monotonic() + self.first_epoch_seconds < self.deadline:
                self._start(run)
            else:
                self.outcomes[run] = Outcome(run, "unfinished", "no time was left to begin or to go on", 0.0)

    def _start(self, run: Run) -> None:
        ours, theirs = PROCESSES.Pipe()
        given = self.board, run, theirs, self.deadline, self.store
        process = PROCESSES.Process(target=_work, args=given, daemon=True)
        self.display.begin(str(run))
        try:
            start_apart(process)
        except UserError as error:
            if not self.running:
                raise  # nor will the next one start
            self._end(run, Outcome(run, "crashed", str(error), 0.0))
            return
        finally:
            theirs.close()
        self.running[ours] = run, process, time.monotonic()

    def _receive(self, channel: Connection) -> None:
        run, process, started = self.running[channel]
        seconds = time.monotonic() - started
        try:
            message: Epoch | Outcome = channel.recv()
        except (EOFError, OSError):
            process.join()
            message = Outcome(run, "crashed", cause_of_death(process.exitcode), seconds)
        if isinstance(message, Outcome):
            process.join()
            del self.running[channel]
            channel.close()
            self._end(run, message)
            return
        if run not in self.in_progress:
            self.in_progress.add(run)
            self.first_epoch_seconds = max(self.first_epoch_seconds, seconds)
        self.display.advance(str(run), message.row, message.epochs)
        at_work = sum(other in self.in_progress for other, _, _ in self.running.values())
        news = self.places.learn(run, message, at_work)
        if news and len(self.waiting) + len(self.running) > 1:
            self.display.say(news)

    def _end(self, run: Run, outcome: Outcome) -> None:
        self.outcomes[run] = outcome
        self.places.end(run)
        self.display.end(str(run), str(outcome))

    def _end_all(self) -> None:
        continue_server()
        processes = [process for _, process, _ in self.running.values()]
        for process in processes:
            process.terminate()
        patience = time.monotonic() + PATIENCE_SECONDS
        for process in processes:
            process.join(max(0.0, patience - time.monotonic()))
            process.kill()
            process.join()


def cause_of_death(status: int | None) -> str:
    """Return why a process ended that left no outcome, by its exit status."""
    if status is None or status >= 0:
        return f"its process ended with status {status}; it resumes from its checkpoint"
    name = signal.Signals(-status).name
    memory = ", as the system does when memory is short" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{memory}; it resumes from its checkpoint"


# In the process of one run


class _OutOfTime(BaseException):
    """No `Exception`: it is no failure of the search."""


def run_alone(board: Board, run: Run, on_epoch: runner.OnEpoch, store: Store = "shared") -> Outcome:
    """Run one run in this process; return how it ended."""
    started = time.monotonic()
    try:
        root = finished.root_of(finished.request(board, *run)) if store == "waiting" else record.RUNS
        found = runner.run_method(board, run.method, run.seed, on_epoch, root)
    except UserError as error:
        return Outcome(run, "refused", str(error), time.monotonic() - started)
    return Outcome(run, found.status, found.reason or str(found.cell), found.seconds)


def leave(number: int, frame: FrameType | None) -> NoReturn:
    """Answer a signal by an exception, so that locks go and nothing half-written stays."""
    sys.exit(128 + number)


def _work(board: Board, run: Run, channel: Connection, deadline: float, store: Store) -> None:
    signal.signal(signal.SIGTERM, leave)
    end_with_parent()
    started = time.monotonic()
    try:
        outcome = run_alone(board, run, _reporter(channel, deadline), store)
    except _OutOfTime as reached:
        outcome = Outcome(run, "unfinished", f"{reached}; it resumes from there", time.monotonic() - started)
    with suppress(OSError):  # the process that started this one is gone
        channel.send(outcome)


def _reporter(channel: Connection, deadline: float) -> runner.OnEpoch:
    last: deque[float] = deque(maxlen=2)  # every other epoch may be a long one, for its diagnostics

    def on_epoch(row: dict[str, Any], epochs: int) -> None:
        memory, left = memory_of(row)
        try:
            channel.send(Epoch(row, epochs, memory, left))
        except OSError:
            sys.exit(1)  # the process that started this one is gone
        last.append(row["seconds"] + row["diagnostics_seconds"])
        if row["epoch"] < epochs and time.monotonic() + max(last) > deadline:
            raise _OutOfTime(f"epoch {row['epoch']} of {epochs}")

    return on_epoch
