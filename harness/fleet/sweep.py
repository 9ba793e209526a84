"""The whole board through an engine: what is stale, who runs it, what DVC is told. `dvc repro` does the rest.

The head holds nothing that is not on disk: a run's record is written by its worker, what DVC was not told yet is found
by its fingerprint. So a sweep that was killed goes on by the same command.
"""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TextIO

from harness.base.errors import UserError
from harness.base.files import STATE
from harness.base.processes import Background
from harness.base.progress import duration
from harness.board.sources import changed_sources
from harness.fleet import dvc_stages
from harness.fleet.dvc_project import busy
from harness.fleet.engine import Placement, Store
from harness.fleet.engines import check_engine
from harness.fleet.forks import signals_noted, warm_up
from harness.fleet.outcome import Outcome, Run
from harness.fleet.sweep_display import show_sweep
from harness.records.run_folders import run_folder
from harness.settings.protocol import Board, load_board

LOCK = STATE / "sweep.lock"
LAST = ("lookup", "theory")
"""Stages that, with all that follow from them, need no run; those of runs that have no record."""
RECORD_SECONDS = 300.0
RECORD_SHARE = 0.1
"""How often, and for which share of the time at most, DVC works while searches run: it takes a core from them, and what
it was not told yet is not lost."""


def sweep(placement: Placement, dry_run: bool = False) -> int:
    """Bring the whole board up to date; return the exit status.

    Args:
        placement: who runs what is stale.
        dry_run: only print what would be run.

    Raises:
        UserError: a mistake in params.yaml, no such engine, another sweep is at work here, or DVC cannot work.
    """
    check_engine(placement.engine)
    load_board()  # outside a project nothing is begun
    try:
        with _only_one() as lock:
            return _dry_run(placement) if dry_run else _Sweep(placement, lock).go()
    except KeyboardInterrupt:
        return 130


@contextmanager
def _only_one() -> Iterator[int]:
    """Keep other sweeps of this project away; give the lock, which a process that inherits it holds too."""
    with _lock_file() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read()
            if _is_alive(owner):
                raise UserError(f"a sweep of this project is at work already (process {owner})") from None
            print("waiting for the end of what an interrupted sweep began", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()


def _lock_file() -> TextIO:
    try:
        LOCK.parent.mkdir(exist_ok=True)
        return LOCK.open("a+", encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{LOCK} could not be written: {error.strerror or error}") from None


def _is_alive(process: str) -> bool:
    return process.isdecimal() and Path(f"/proc/{process}").exists()


def _look(board: Board) -> dvc_stages.Look:
    found = Background(dvc_stages.look).result()
    return replace(found, stale=["sources", *found.stale]) if changed_sources(board) else found


def _tell_of_the_remote(found: dvc_stages.Look) -> None:
    if found.elsewhere and found.remote:
        print(
            f"{len(found.elsewhere)} stages were made elsewhere with the same settings and code: if DVC's remote "
            f"{found.remote!r} holds them, `dvc pull` fetches them, and only the rest has to run",
            file=sys.stderr,
            flush=True,
        )


class _Sweep:
    """A sweep under way."""

    def __init__(self, placement: Placement, lock: int):
        self.placement = placement
        self.lock = lock
        self.board = load_board()
        self.signal: int | None = None

    def go(self) -> int:
        """Run what is stale, then everything else; return the exit status."""
        found = _look(self.board)
        if not found.stale:
            print("everything is up to date")
            return 0
        _tell_of_the_remote(found)
        if self.placement.engine == "local" and any("@" in name for name in found.stale):
            warm_up()  # while this process imports as much, and DVC runs what all runs wait for
        waiting, finished = self._prepare(found.stale)
        outcomes = self._run(waiting, finished) if waiting or finished else {}
        if self.signal is not None:
            print("stopped; the same command goes on from the records and the checkpoints", file=sys.stderr)
            return 128 + self.signal
        without_record = [outcome for outcome in outcomes.values() if not outcome.recorded]
        if waiting:
            print(f"{sum(outcome.good for outcome in outcomes.values())} of {len(waiting)} runs are done", flush=True)
        for outcome in outcomes.values():
            if not outcome.good:
                print(outcome, flush=True)
        # A run that no worker could do is not tried again on the head.
        status = self._dvc("repro", *(("--downstream", *LAST) if without_record else ()))
        return status or int(bool(without_record))

    def _prepare(self, stale: list[str]) -> tuple[list[Run], list[Run]]:
        """Return the runs that are to be run, and those that have their record already without DVC's knowing."""
        from harness.board import finished as finished_runs
        from harness.board.runner import check_truth
        from harness.board.status import board_status
        from harness.search import registry  # imports torch, which the look above does without

        registry.check_board(self.board)  # a mistake anywhere on the board shows before the first search
        if set(stale) & {"sources", *dvc_stages.FIRST}:
            if self._dvc("repro", *dvc_stages.FIRST):
                first = ", ".join(dvc_stages.FIRST)
                raise UserError(f"the stages {first} have to work before anything else; what DVC says of them is above")
            stale = Background(dvc_stages.stale, "search", "baseline").result()
        check_truth(self.board.baselines)
        stages = {self.board.stages([run])[0]: Run(*run) for run in self.board.runs}
        names = [name for name in stale if name in stages]
        missing = Background(dvc_stages.restore, *names).result() if names else []
        for run in (stages[name] for name in missing):  # of a `dvc repro` that was stopped
            finished_runs.take(finished_runs.request(self.board, *run), run_folder(*run), failed=False)
        states = board_status(self.board, [stages[name] for name in missing])
        finished = {(state.variant, state.seed) for state in states if state.state in ("done", "stopped", "diverged")}
        runs = [stages[name] for name in missing]
        return [run for run in runs if run not in finished], [run for run in runs if run in finished]

    def _run(self, waiting: list[Run], finished: list[Run]) -> dict[Run, Outcome]:
        from harness.fleet.side_by_side import run_side_by_side

        if self.placement.store == "dvc" and waiting:
            Background(dvc_stages.push, *dvc_stages.FIRST).result()
        recorder = _Recorder(self.board, self.placement.store)
        recorder.add(finished)

        def turn(ended: list[Outcome]) -> bool:
            recorder.add([outcome.run for outcome in ended if outcome.recorded])
            recorder.turn()
            return self.signal is None

        with ExitStack() as stack:
            stack.callback(recorder.stop)
            stack.enter_context(signals_noted(self._note))
            with show_sweep() as display:
                outcomes = run_side_by_side(self.board, waiting, self.placement, display, turn)
            if self.signal is None:
                recorder.finish()
        return outcomes

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number

    def _dvc(self, *arguments: str) -> int:
        """Run a command of DVC and return its exit status.

        Raises:
            UserError: it failed, and another process of DVC is at work here.
        """
        # It goes on when this process is killed, and so does the lock.
        command = [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]
        status = subprocess.run(command, check=False, pass_fds=(self.lock,), env=_environment()).returncode
        others = busy() if status else None
        if others:
            raise UserError(others)
        return status


def _environment() -> dict[str, str]:
    """Return the environment of DVC: the `python` that its stages call is this one, activated or not."""
    folders = (str(Path(sys.executable).parent), *filter(None, [os.environ.get("PATH")]))
    return {**os.environ, "PATH": os.pathsep.join(folders)}


class _Recorder:
    """Tells DVC of runs that have records, or fetches them, in a process beside this one: many at once, and seldom."""

    def __init__(self, board: Board, store: Store):
        self._board = board
        self._store = store
        self._waiting: list[Run] = []
        self._at_work: Background[list[str]] | None = None
        self._batch: list[Run] = []
        self._started = time.monotonic()
        self._next = self._started + RECORD_SECONDS

    def add(self, runs: list[Run]) -> None:
        """Take in runs."""
        self._waiting += runs

    def turn(self) -> None:
        """Begin or end a batch, if it is time. What DVC did not take in is tried again at the end."""
        if self._at_work is not None:
            if self._at_work.done:
                with suppress(UserError):
                    self._end()
        elif self._waiting and time.monotonic() >= self._next:
            self._begin()

    def finish(self) -> None:
        """Record all that is left.

        Raises:
            UserError: DVC has not got them.
        """
        if self._at_work is not None:
            with suppress(UserError):
                self._end()
        if self._waiting:
            self._begin()
            self._end()

    def stop(self) -> None:
        """End the process; what it did not come to is found by the next sweep."""
        if self._at_work is not None:
            self._at_work.stop()

    def _begin(self) -> None:
        self._batch, self._waiting = self._waiting, []
        self._started = time.monotonic()
        self._at_work = Background(_record, self._store, self._board.stages(self._batch))

    def _end(self) -> None:
        assert self._at_work is not None
        work, self._at_work = self._at_work, None
        self._waiting = self._batch + self._waiting
        missing = work.result()
        now = time.monotonic()
        self._next = now + max(RECORD_SECONDS, (now - self._started) / RECORD_SHARE)
        recorded = set(self._board.stages(self._batch)) - set(missing)
        self._waiting = [run for run in self._waiting if not set(self._board.stages([run])) <= recorded]
        if missing:
            raise UserError(f"DVC's remote lacks {', '.join(missing)}: do head and workers have the same project?")


def _record(store: Store, stages: list[str]) -> list[str]:
    """Tell DVC of stages, or fetch what workers pushed of them; return those that it does not have."""
    if store == "dvc":
        return dvc_stages.restore(*stages, from_remote=True)
    dvc_stages.record(*stages)
    return []


def _dry_run(placement: Placement) -> int:
    """Print the runs that are stale, the tasks that they make, and how long it should take."""
    from harness.fleet.engines.local import visible_gpus
    from harness.fleet.side_by_side import tasks_of
    from harness.search import registry

    board = load_board()
    found = _look(board)
    stale = found.stale
    registry.check_board(board)
    stages = {board.stages([run])[0]: Run(*run) for run in board.runs}
    runs = [stages[name] for name in stale if name in stages]
    gpus = bool(visible_gpus()) if placement.engine == "local" else board.chosen.device != "cpu"
    tasks = tasks_of(board, runs, placement, gpus)
    for task in sorted(tasks, key=lambda task: -task.seconds):
        needs = task.resources
        place = "1 GPU" if needs.gpus else f"{needs.cores} core{'s' if needs.cores > 1 else ''}"
        memory = f", {needs.memory_bytes / 1e9:.1f} GB" if needs.memory_bytes else ""
        seconds = f", about {duration(task.seconds)}" if task.kind != "search in proportion" else ""
        print(f"{task}: {place}{memory}{seconds}")
    others = [name for name in stale if name not in stages]
    known = tasks and not any(task.kind == "search in proportion" for task in tasks)
    total = f", about {duration(sum(task.seconds for task in tasks))} one after another" if known else ""
    print(f"{len(runs)} runs in {len(tasks)} tasks{total}; further stages: {', '.join(others) or 'none'}")
    _tell_of_the_remote(found)
    for sentence in changed_sources(board):
        print(f"{sentence}: more is stale than is known before that stage has run")
    return 0
