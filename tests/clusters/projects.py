"""A project of short searches whose undisturbed results are known, and the heads that sweep it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import UserError
from harness.records.checkpoint import CHECKPOINTS, unfinished
from harness.settings.protocol import load_board
from tests.conftest import ROOT, tiny_params
from tests.faults.searching import Result, assert_same, result
from tests.harness.fleet.sweeping import forget_stages, prepare_sweep

LIMIT_SECONDS = 1_200.0
"""That anything here may take."""
MIDDLE = 0.2, 0.7
"""Share of the epochs that a search has done when it is in its middle."""


@dataclass(frozen=True)
class Compared:
    """What became of the results of a board."""

    results: int
    changed: int
    """Those that are not equal to the undisturbed ones to the last bit, or not there."""
    left: int
    """Files that were half written."""


class Project:
    """A board of `darts` and `random-search` in a folder of its own."""

    def __init__(self, folder: Path, seeds: int, epochs: int):
        self.folder = folder
        self.epochs = epochs
        folder.mkdir(parents=True)
        content = tiny_params(seeds=list(range(seeds)), variants={"darts": {}})
        content["protocols"]["tiny"]["epochs"] = epochs
        with chdir(folder):
            prepare_sweep(folder, content)
            self.runs = load_board().runs
        head = self.start_head("--engine", "local", "--option", "workers=2")
        _, told = finish(head)
        if head.returncode:
            raise UserError(f"the undisturbed sweep ended with status {head.returncode}: {told.strip()}")
        self.expected = self._results()
        self.forget()

    def start_head(
        self,
        *options: str,
        environment: dict[str, str] | None = None,
        through: Callable[..., list[str]] = lambda *words: [*words],
    ) -> subprocess.Popen[str]:
        """Start a sweep; what it says is piped. `through` gives the command that runs a command elsewhere."""
        return subprocess.Popen(
            through(sys.executable, "-m", "tests.clusters.head", "sweep", *options),
            cwd=self.folder,
            env={**(environment or os.environ), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def in_the_middle(self, root: Path | None = None) -> list[tuple[str, int]]:
        """Return the searches that are in their middle, by their checkpoints in a folder or in the project's."""
        return [
            (found.variant, found.seed)
            for found in unfinished(root or self.folder / CHECKPOINTS)
            if MIDDLE[0] <= found.epochs / self.epochs <= MIDDLE[1]
        ]

    def compare(self) -> Compared:
        """Compare the results that are there with the undisturbed ones, then remove them."""
        changed = 0
        with chdir(self.folder):
            for run, expected in self.expected.items():
                try:
                    assert_same(result(*run), expected)
                except (AssertionError, UserError, OSError):
                    changed += 1
            left = len([path for path in Path().rglob("*.partial") if ".dvc" not in path.parts])
        self.forget()
        return Compared(len(self.expected), changed, left)

    def forget(self) -> None:
        """Remove all runs, and what DVC knows of them."""
        with chdir(self.folder):
            for part in ("runs", ".dvc/cache/runs", str(CHECKPOINTS)):
                shutil.rmtree(part, ignore_errors=True)
            Path("found.txt").unlink(missing_ok=True)
            forget_stages("search@", "baseline@", "lookup")

    def _results(self) -> dict[tuple[str, int], Result]:
        with chdir(self.folder):
            return {run: result(*run) for run in self.runs}


def finish(head: subprocess.Popen[str]) -> tuple[str, str]:
    """Return what a head says until it ends, on stdout and on stderr."""
    try:
        return head.communicate(timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        head.send_signal(signal.SIGTERM)
        said = head.communicate()
        raise UserError(f"a sweep did not end within {LIMIT_SECONDS:.0f} s; its last words: {said[1][-300:]}") from None


def until(condition: Callable[[], object], head: subprocess.Popen[str], what: str) -> None:
    """Wait for something that comes while a head is at work.

    Raises:
        UserError: it does not come.
    """
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        if head.poll() is not None:
            raise UserError(f"the sweep ended before {what}: {finish(head)[1].strip()[-300:]}")
        if time.monotonic() > deadline:
            head.terminate()
            raise UserError(f"{what} did not come within {LIMIT_SECONDS:.0f} s")
        time.sleep(0.2)
