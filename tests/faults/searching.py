"""Searches that may be killed, starved and resumed, and what is left of them."""

import os
import resource
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pandas as pd

from harness.base.errors import UserError
from harness.board.runner import run_method
from harness.fleet.forks import PROCESSES
from harness.records import checkpoint
from harness.records.record import TIMING_COLUMNS, read_record, read_table, run_folder
from harness.settings.protocol import load_board
from tests.conftest import tiny_params, write_params

Result = tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]

REFUSED = 3
"""Exit status of a search that ended in a sentence."""


def prepare(epochs: int) -> None:
    """Make the searches of the current folder longer, so that there is a middle to disturb."""
    content = tiny_params()
    content["protocols"]["tiny"]["epochs"] = epochs
    write_params(Path().absolute(), content)


def start(folder: Path, name: str = "darts", seed: int = 0, largest_file: int | None = None) -> BaseProcess:
    """Start one search in a process of its own, forked from one that has done its imports."""
    process = PROCESSES.Process(target=_search, args=(folder, name, seed, largest_file), daemon=True)
    process.start()
    return process


def _search(folder: Path, name: str, seed: int, largest_file: int | None) -> None:
    os.chdir(folder)
    checkpoint.FRESH_SECONDS = 0  # the whole search takes no longer
    if largest_file is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit then fails as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    try:
        run_method(load_board(), name, seed)
    except UserError as error:
        assert "\n" not in str(error)
        os._exit(REFUSED)


def finish(folder: Path, name: str = "darts", seed: int = 0) -> None:
    """Run a search to its end."""
    process = start(folder, name, seed)
    process.join(120)
    assert process.exitcode == 0


def kill_after(process: BaseProcess, seconds: float) -> bool:
    """Kill a process at a moment; return whether it was still at work."""
    deadline = time.monotonic() + seconds
    while process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.001)
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive


def result(name: str = "darts", seed: int = 0) -> Result:
    """Return all that a run wrote but its timing."""
    folder = run_folder(name, seed)
    content = read_record(folder).model_dump(exclude={"seconds", "peak_memory_bytes", "environment"})
    epochs = read_table(folder, "epochs").drop(columns=list(TIMING_COLUMNS), errors="ignore")  # baselines have none
    return content, epochs, read_table(folder, "alpha")


def assert_same(one: Result, other: Result) -> None:
    """Check that two results are equal to the last bit."""
    assert one[0] == other[0]
    for table, expected in zip(one[1:], other[1:], strict=True):
        pd.testing.assert_frame_equal(table, expected, check_exact=True)


def assert_nothing_half_written() -> None:
    """Check that no staging file is left."""
    assert not list(Path().rglob("*.partial"))
