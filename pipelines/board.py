"""The whole board on one machine: what `dvc repro` does, with as many searches at once as there are processors.

DVC runs one stage after another. It lets several of its processes work in one project at the same time, though, and so
this starts one for each stale search before `dvc repro` finishes the rest. The files are the same either way.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from harness.protocol import Board, load_board
from pipelines import stage

FIRST = ("code", "data", "truth")
"""Stages that every search waits for."""


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
    stale = [name for name in stale_stages("search") if name.startswith("search@")]
    workers = min(len(stale), parallel_searches(board))
    if workers > 1:
        _run_side_by_side(stale, workers)
    sys.exit(_dvc("repro").returncode)


def stale_stages(*targets: str) -> list[str]:
    """Return the stages among the targets, or among all, that DVC would run; one unnamed if DVC cannot say."""
    answer = _dvc("status", "--json", *targets, capture_output=True, text=True)
    return list(json.loads(answer.stdout)) if answer.returncode == 0 else [""]


def parallel_searches(board: Board) -> int:
    """Return how many searches this machine takes at once: one a processor, but one alone on a GPU."""
    if board.chosen.device != "cpu" and shutil.which("nvidia-smi"):
        return 1
    return max(1, (os.cpu_count() or 1) // board.chosen.threads)


def _run_side_by_side(searches: list[str], workers: int) -> None:
    """Run searches, so many at once, and say how far it is and how long it will take."""
    started = time.monotonic()
    print(f"{len(searches)} searches, {workers} at once", flush=True)
    with ThreadPoolExecutor(workers) as pool:
        for number, line in enumerate(pool.map(_run_search, searches), start=1):
            left = (time.monotonic() - started) / number * (len(searches) - number)
            print(f"[{number}/{len(searches)}, about {left:.0f} s left] {line}", flush=True)


def _run_search(name: str) -> str:
    # Its lines and DVC's would mix with those of its neighbours, so only the last is told. A stage that fails is left
    # to the final repro, which runs it again and shows why.
    done = _dvc("--wait-for-lock", "repro", "--quiet", "--single-item", name, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return lines[-1] if lines else f"{name} did not finish"


def _dvc(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["dvc", *arguments], check=False, **options)  # type: ignore[call-overload]


if __name__ == "__main__":
    main()
