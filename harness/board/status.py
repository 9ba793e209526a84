"""What the board holds: which runs are done, stale, failed, running or missing; and what it no longer wants."""

import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from harness.base.errors import UserError
from harness.board import finished
from harness.board.identity import Inputs, Method, fingerprint_of
from harness.board.run_lock import is_running
from harness.records.checkpoint import Checkpoints, unfinished
from harness.records.in_progress import InProgress
from harness.records.record import RUNS, read_unchanged_run, run_folder
from harness.settings.protocol import Board

State = Literal["done", "stopped", "diverged", "failed", "stale", "running", "interrupted", "missing", "damaged"]
"""`stale`: the record belongs to other settings, data or code. `interrupted`: died, and will resume."""


@dataclass(frozen=True)
class RunStatus:
    """One run of the board."""

    variant: str
    seed: int
    state: State
    detail: str


def board_status(
    board: Board, runs: Iterable[tuple[str, int]] | None = None, methods: dict[str, Method] | None = None
) -> list[RunStatus]:
    """Return the state of runs of the board.

    Args:
        board: the settings.
        runs: (method, seed); None for all of them.
        methods: of the board, where they are known; None to load them, and PyTorch with them.

    Raises:
        UserError: params.yaml names an unknown method or wrong settings, or the data of runs that are there is missing.
    """
    if methods is None:
        from harness.board.runner import identified_methods

        methods = identified_methods(board)
    begun: dict[tuple[str, int], dict[str, int]] = {}
    for found in unfinished():
        begun.setdefault((found.variant, found.seed), {})[found.folder.name] = found.epochs
    inputs = Inputs(board)
    wanted = board.runs if runs is None else runs
    return [_run_status(board, name, methods[name], seed, begun.get((name, seed), {}), inputs) for name, seed in wanted]


def _run_status(
    board: Board, name: str, method: Method, seed: int, interrupted: dict[str, int], inputs: Inputs
) -> RunStatus:
    """Return the state of one run; `interrupted` has the epochs of its checkpoints by fingerprint."""
    if is_running(name, seed):
        return RunStatus(name, seed, "running", "a live process works on it")
    if not interrupted and not run_folder(name, seed).exists():  # which a fresh clone can say without any data
        return RunStatus(name, seed, "missing", "it was never run")
    identity = fingerprint_of(board, name, method, seed, inputs)
    found, epochs = _recorded(name, seed, identity)
    if interrupted.get(identity, -1) > epochs:  # a run that failed leaves its last checkpoint behind
        return RunStatus(name, seed, "interrupted", "it resumes from its checkpoint")
    return found


def _recorded(name: str, seed: int, identity: str) -> tuple[RunStatus, int]:
    """Return what the record says, and how many epochs it has; -1 where there is none of this fingerprint."""
    folder = run_folder(name, seed)
    if not folder.exists():
        return RunStatus(name, seed, "missing", "it was never run"), -1
    try:
        record = read_unchanged_run(folder)
    except UserError as error:
        return RunStatus(name, seed, "damaged", str(error)), -1
    if record.fingerprint != identity:
        return RunStatus(name, seed, "stale", "its settings, data or code have changed"), -1
    return RunStatus(name, seed, record.status, record.reason or record.cell or ""), record.epochs


def searches_in_progress() -> list[InProgress]:
    """Return the searches that have checkpoints but no record yet: running or dead."""
    found = []
    for checkpoints in unfinished():
        progress = checkpoints.newest()
        if progress is None:
            continue
        found.append(
            InProgress(
                variant=checkpoints.variant,
                seed=checkpoints.seed,
                fingerprint=checkpoints.folder.name,
                alive=is_running(checkpoints.variant, checkpoints.seed),
                epochs=pd.DataFrame(progress.epochs),
                alpha=pd.DataFrame(progress.alpha),
            )
        )
    return found


def unwanted(board: Board) -> list[Path]:
    """Return the run folders that the board does not name, and what no run of it can resume from or take.

    Raises:
        UserError: there are checkpoints or waiting runs, and what they belong to cannot be told without data.
    """
    wanted = {run_folder(name, seed) for name, seed in board.runs}
    inputs = Inputs(board)
    folders = [path for path in sorted(RUNS.glob("*/seed-*")) if path not in wanted and _is_a_run(path)]
    return (
        folders
        + [
            checkpoints.folder
            for checkpoints in unfinished()
            if not is_running(checkpoints.variant, checkpoints.seed) and not _may_resume(board, checkpoints, inputs)
        ]
        + finished.forgotten(board)
    )


def _may_resume(board: Board, checkpoints: Checkpoints, inputs: Inputs) -> bool:
    name, seed = checkpoints.variant, checkpoints.seed
    if name not in board.variants or seed not in board.seeds:
        return False
    from harness.board.runner import fingerprint  # imports PyTorch

    return fingerprint(board, name, seed, inputs) == checkpoints.folder.name


def _is_a_run(path: Path) -> bool:
    """Whether this is a folder that a run wrote, by its name and by what it holds, and not behind a link."""
    named = re.fullmatch(r"seed-(0|[1-9]\d*)", path.name) is not None
    real = not path.is_symlink() and not path.parent.is_symlink()
    return named and real and (path / "record.json").is_file() and (path / "epochs.parquet").is_file()


def remove(paths: list[Path]) -> None:
    """Remove folders, and the variant's folder with its last run."""
    for path in paths:
        shutil.rmtree(path)
        if path.parent.parent == RUNS:
            with suppress(OSError):  # it holds something else
                path.parent.rmdir()
