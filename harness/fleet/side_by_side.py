"""Runs of a board through an engine: as many side by side as it takes, shown as they go."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from harness.board import runner
from harness.board.costs import expected_costs
from harness.fleet.engine import Placement, Task
from harness.fleet.engines import create_engine
from harness.fleet.group import Outcome, Run
from harness.fleet.schedule import Schedule
from harness.fleet.sweep_display import State, SweepDisplay, Working
from harness.fleet.tasks import group_runs
from harness.records.checkpoint import Checkpoints
from harness.settings.protocol import Board

STEP_SECONDS = 0.2
SHOW_SECONDS = 1.0


def run_side_by_side(
    board: Board,
    runs: Sequence[Run],
    placement: Placement,
    display: SweepDisplay,
    turn: Callable[[list[Outcome]], bool],
    in_order: bool = False,
) -> dict[Run, Outcome]:
    """Run what is given; return how the runs ended, those alone that did.

    Args:
        board: what they run under.
        runs: each once.
        placement: who runs them.
        display: where they are shown.
        turn: called again and again with the outcomes that are new; False ends all.
        in_order: begin them as they are given, else the longest first.

    Raises:
        UserError: the engine cannot be had, or a task is too large for it.
    """
    with ExitStack() as stack:
        engine = create_engine(placement.engine, placement.folder or Path.cwd(), dict(placement.options))
        stack.callback(engine.close)
        tasks = tasks_of(board, runs, placement, engine.gpus)
        place = {run: number for number, run in enumerate(runs)}

        def priority(task: Task) -> float:
            return -place[task.runs[0]] if in_order else task.seconds

        schedule = Schedule(engine, tasks, priority=priority)
        follow = _Follower(board, schedule, display)
        go_on = turn([])
        while go_on and not schedule.done:
            ended = schedule.step(STEP_SECONDS)
            for outcome in ended:
                display.say(str(outcome))
            go_on = turn(ended)
            follow.turn()
    return schedule.outcomes


def tasks_of(board: Board, runs: Sequence[Run], placement: Placement, gpus: bool) -> list[Task]:
    """Return the tasks that these runs make, with what is expected of them."""
    costs = expected_costs(board, dict.fromkeys(run.method for run in runs))
    return group_runs(board, runs, costs, gpus, placement.together, placement.store)


class _Follower:
    """Shows how a schedule stands, now and then."""

    def __init__(self, board: Board, schedule: Schedule, display: SweepDisplay):
        self._board = board
        self._schedule = schedule
        self._display = display
        self._runs = sum(len(task.runs) for queue in schedule.waiting.values() for task in queue)
        self._next = 0.0
        self._checkpoints: dict[Run, Checkpoints] = {}

    def turn(self) -> None:
        """Show it, if it is time."""
        if time.monotonic() < self._next:
            return
        self._display.show(self._state())
        self._next = time.monotonic() + SHOW_SECONDS

    def _state(self) -> State:
        schedule, now = self._schedule, self._schedule.clock()
        outcomes = schedule.outcomes.values()
        done = sum(outcome.good for outcome in outcomes)
        working = [
            Working(str(task), place, self._epochs(task), now - schedule.begun[task])
            for task, place in schedule.engine.running().items()
            if task in schedule.begun
        ]
        return State(self._runs, done, len(outcomes) - done, working, schedule.seconds_left())

    def _epochs(self, task: Task) -> str:
        if task.runs[0].method not in self._board.variants:
            return ""
        for run in task.runs:
            if run not in self._checkpoints:
                self._checkpoints[run] = Checkpoints(*run, runner.fingerprint(self._board, *run))
        return ", ".join(f"{self._checkpoints[run].epochs}" for run in task.runs) + f" of {self._board.chosen.epochs}"
