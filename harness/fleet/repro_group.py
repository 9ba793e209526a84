"""The group that makes the runs of a `dvc repro` side by side. It ends with the DVC for which it was started."""

import os
from contextlib import suppress
from types import FrameType

from harness.base.errors import UserError
from harness.base.processes import Background
from harness.board import finished, runner
from harness.fleet import dvc_stages
from harness.fleet.calling_dvc import CallingDvc, demand
from harness.fleet.engine import Placement
from harness.fleet.forks import signals_noted
from harness.fleet.group import Outcome, Run
from harness.fleet.repro import News
from harness.fleet.side_by_side import run_side_by_side
from harness.fleet.sweep_display import State
from harness.records.record import run_folder
from harness.search import registry
from harness.settings.protocol import Board, load_board

RUN_STAGES = ("search", "baseline")


def make_all(dvc: CallingDvc, method: str, seed: int) -> None:
    """Make the run that is asked for, and all others that this DVC will ask for.

    Raises:
        UserError: a mistake in params.yaml, or nothing can be run here.
    """
    board = load_board()
    registry.check_board(board)
    runs, requests = _runs(board, dvc, Run(method, seed))
    _Group(board, dvc, runs, requests).go()


class _Group:
    def __init__(self, board: Board, dvc: CallingDvc, runs: list[Run], requests: dict[Run, str]):
        self.board = board
        self.dvc = dvc
        self.runs = runs
        self.requests = requests
        self.news = News(os.getpid(), dvc.number, dvc.started, [requests[run] for run in runs])
        self.stopped = False

    def go(self) -> None:
        self.news.write()
        with signals_noted(self._note):
            # DVC asks for them in this order.
            run_side_by_side(self.board, self.runs, Placement(store="waiting"), self, self._turn, in_order=True)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True

    def _turn(self, ended: list[Outcome]) -> bool:
        lost = {self.requests[outcome.run]: outcome.detail for outcome in ended if not outcome.recorded}
        if lost:
            self.news.without_record |= lost
            self.news.write()
        return not self.stopped and self.dvc.alive

    # As a display

    def show(self, state: State) -> None:
        """Tell the stages how it stands."""
        self.news.state = state
        self.news.write()

    def say(self, text: str) -> None:
        """Leave a line in the log."""
        print(text, flush=True)


def _runs(board: Board, dvc: CallingDvc, asked: Run) -> tuple[list[Run], dict[Run, str]]:
    """Return the runs to make, the asked one first, and the requests of all that could be told."""
    wanted = demand(dvc.arguments, RUN_STAGES)
    covered = [Run(*run) for run in board.runs if wanted and wanted.covers(board.stages([run])[0])]
    requests: dict[Run, str] = {}
    for run in dict.fromkeys([asked, *covered]):
        with suppress(UserError):  # its own stage says what is missing
            if finished.noted_code(run.method) == runner.method_code_hash(run.method):
                requests[run] = finished.request(board, *run)
    again = wanted is not None and wanted.again
    missing = [run for run in requests if not _waits(board, run, requests[run], again)]
    others = [run for run in missing if run != asked]
    cached = set(_cached(board, others)) if others and wanted and wanted.run_cache and not again else set()
    return [run for run in missing if run not in cached], requests


def _waits(board: Board, run: Run, request: str, again: bool) -> bool:
    """Whether a run waits already, or is in runs/, from where DVC would remove it: then it waits now."""
    folder = run_folder(*run)
    if again or finished.waiting(request, folder) == "failed":
        finished.discard(request)
    if again:
        return False
    if finished.waiting(request, folder) is None and runner.finished_run(folder, runner.fingerprint(board, *run)):
        finished.keep(request, folder)
    return finished.waiting(request, folder) is not None


def _cached(board: Board, runs: list[Run]) -> list[Run]:
    """Return the runs that DVC takes from its cache."""
    stages = {board.stages([run])[0]: run for run in runs}
    return [stages[name] for name in Background(dvc_stages.cached, *stages).result()]
