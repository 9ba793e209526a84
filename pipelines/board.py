"""The whole board on one machine: what `dvc repro` does, with as many searches at once as the machine takes.

DVC runs one stage after another, a process each. Here one group of processes runs all stale searches and baselines and
DVC takes in what they made, before `dvc repro` finishes the rest. The files are the same either way.
"""

import json
import subprocess
import sys

from harness.protocol import Board, load_board
from pipelines import stage

FIRST = ("code", "data", "truth")
"""Stages that every run waits for."""


@stage
def main() -> None:
    """Run the stale searches side by side, then everything else; exit with DVC's status."""
    if not stale_stages():
        print("everything is up to date")
        return
    from harness import registry  # imports torch, which the look above does without

    board = load_board()
    registry.check_board(board)  # a mistake anywhere on the board shows before the first search
    _dvc("repro", "--quiet", *FIRST)
    status = run_stale(board)
    if status not in (0, 1):  # a signal ended it
        sys.exit(status)
    # A run that left no record is run again here, by itself, and shows why.
    sys.exit(_dvc("repro").returncode)


def stale_stages(*targets: str) -> list[str]:
    """Return the stages among the targets, or among all, that DVC would run; one unnamed if DVC cannot say."""
    answer = _dvc("status", "--json", *targets, capture_output=True, text=True)
    return list(json.loads(answer.stdout)) if answer.returncode == 0 else [""]


def run_stale(board: Board) -> int:
    """Run what DVC would run and has no earlier outputs for; return the exit status."""
    from harness import dvc_stages
    from harness.fleet import Run, run_and_record

    runs = {board.stages([run])[0]: run for run in board.runs}
    stale = [name for name in stale_stages("search", "baseline") if name in runs]
    waiting = dvc_stages.restore(*stale)
    return run_and_record(board, [Run(*runs[name]) for name in waiting]) if waiting else 0


def _dvc(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["dvc", *arguments], check=False, **options)  # type: ignore[call-overload]


if __name__ == "__main__":
    main()
