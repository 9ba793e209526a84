"""What a worker does for a task, on any machine: run it and leave the records. MLflow is the head's."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from harness.base.errors import UserError
from harness.base.progress import Display, show_runs
from harness.base.source_tree import is_own_board
from harness.board.sources import write_sources
from harness.fleet.engine import Task
from harness.fleet.group import Outcome, dvc_stages, run_alone, run_together
from harness.settings.protocol import Board, load_board

PAUSES_SECONDS = (5.0, 15.0, 45.0)
"""Between attempts to reach DVC's remote: a network that is gone for a moment must not cost a search."""

Answer = TypeVar("Answer")


def work(folder: Path, task: Task, display: Display | None = None) -> list[Outcome]:
    """Run a task in the project's folder; return how its runs ended, in their order.

    One run goes on in this process, several in processes of their own that share this machine.

    Args:
        folder: of the project.
        task: what to run.
        display: where it is shown; None for lines on stderr.

    Raises:
        StoppedError: SIGINT or SIGTERM came while several ran; they go on from their checkpoints next time.
    """
    os.chdir(folder)
    try:
        board = load_board()
        if task.store == "dvc":
            _fetch_inputs(board)
        with nullcontext(display) if display else show_runs() as shown:
            outcomes = _run(board, task, shown)
        if task.store == "dvc":
            return _bring_to_the_remote(board, outcomes)
        return outcomes
    except UserError as error:
        return [Outcome(run, "refused", str(error), 0.0) for run in task.runs]


def _fetch_inputs(board: Board) -> None:
    if is_own_board():
        write_sources(board)  # what was searched with other code than this worker's is not what it would do
    missing = _patiently(lambda: dvc_stages.restore(*dvc_stages.FIRST, from_remote=True))
    if missing:
        raise UserError(f"DVC's remote has no {', '.join(missing)} for this project: is the head's at the same commit?")


def _bring_to_the_remote(board: Board, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes; those of records that did not get there as crashed, so that another worker is asked."""
    recorded = [outcome.run for outcome in outcomes if outcome.recorded]
    try:
        _patiently(lambda: dvc_stages.push(*board.stages(recorded)))
    except UserError as error:
        lost = f"its record did not get to DVC's remote: {error}"
        return [
            replace(outcome, status="crashed", detail=lost) if outcome.recorded else outcome for outcome in outcomes
        ]
    return list(outcomes)


def _patiently(ask: Callable[[], Answer]) -> Answer:
    for pause in PAUSES_SECONDS:
        with suppress(UserError):
            return ask()
        time.sleep(pause)
    return ask()


def _run(board: Board, task: Task, display: Display) -> list[Outcome]:
    if len(task.runs) > 1:
        return run_together(board, task.runs, display, store=task.store)
    run = task.runs[0]
    display.begin(str(run))
    outcome = run_alone(board, run, lambda row, epochs: display.advance(str(run), row, epochs), task.store)
    display.end(str(run), str(outcome))
    return [outcome]
