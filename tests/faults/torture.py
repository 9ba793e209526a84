"""Faults at random, for as long as you like; ends with a table of what was survived, and fails on any changed result.

    python -m tests.faults.torture --minutes 30 --seed 0

`make torture` runs it for half an hour.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import click
import numpy as np
import pandas as pd

from harness.checkpoint import CHECKPOINTS
from harness.images import IMAGES, decode, write_cached
from harness.protocol import load_board
from harness.record import run_folder
from harness.truth import TRUTH_FILE
from harness.truth_sources import import_truth
from tests.conftest import ROOT, copy_project, tiny_params, write_params
from tests.faults.searching import REFUSED, Result, assert_same, finish, kill_after, prepare, result, start

EPOCHS = 8
SEARCHES = ("darts", "darts-2nd", "pc-darts", "drnas", "p-darts", "zo-darts", "rsps", "enas-lite", "warm-start")
GROUP = ("search", "darts", "--seeds", "0-1", "--workers", "2")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


class Torture:
    """A project of tiny searches, whose undisturbed results are known, and what was done to it."""

    def __init__(self, folder: Path, seed: int):
        self.folder = folder
        self.random = np.random.default_rng(seed)
        self.counts: Counter[str] = Counter()
        self.derived: pd.DataFrame | None = None
        """Of the undisturbed pipeline."""
        self._expected: dict[tuple[str, int], Result] = {}

    def expected(self, name: str, seed: int = 0) -> Result:
        """Return the undisturbed result of a search."""
        if (name, seed) not in self._expected:
            finish(self.folder, name, seed)
            self._expected[name, seed] = result(name, seed)
            shutil.rmtree("runs")
        return self._expected[name, seed]

    def check(self, name: str, seed: int = 0) -> None:
        """Compare what is there with the undisturbed result, then remove it."""
        self.counts["results compared"] += 1
        try:
            assert_same(result(name, seed), self.expected(name, seed))
        except AssertionError:
            self.counts["results changed"] += 1
        self.counts["staging files left"] += len(list(Path().rglob("*.partial")))

    def killed_search(self) -> None:
        """Kill a search a few times, then let it end."""
        name = str(self.random.choice(SEARCHES))
        self.expected(name)
        for _ in range(4):
            self.counts["kills of a search"] += kill_after(start(self.folder, name), self.random.uniform(0.05, 1.2))
        finish(self.folder, name)
        self.check(name)
        shutil.rmtree("runs")

    def killed_group(self) -> None:
        """Kill a group with all its processes, then let the same command end."""
        expected = [self.expected("darts", seed) for seed in (0, 1)]
        command = [sys.executable, "-c", "from harness.cli import main; main()", *GROUP]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, env=ENVIRONMENT, process_group=0, **pipes)  # type: ignore[call-overload]
        time.sleep(self.random.uniform(2.0, 6.0))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            self.counts["kills of a group"] += 1
        process.communicate()
        subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True)
        for seed in range(len(expected)):
            self.check("darts", seed)
        shutil.rmtree("runs")

    def damaged_checkpoint(self) -> None:
        """Kill a search, damage what it left, then let it end."""
        name = str(self.random.choice(SEARCHES))
        self.expected(name)
        kill_after(start(self.folder, name), self.random.uniform(0.5, 1.2))
        for path in CHECKPOINTS.glob("*/*.pt"):
            if self.random.random() < 0.7:
                self._damage(path)
        finish(self.folder, name)
        self.check(name)
        shutil.rmtree("runs")

    def damaged_record(self) -> None:
        """Damage a finished run: it is noticed, and run again."""
        self.expected("darts")
        finish(self.folder)
        files = sorted(run_folder("darts", 0).iterdir())
        self._damage(files[self.random.integers(len(files))])
        answer = self._dartsboard("status")
        if "damaged" in answer.stdout:
            self.counts["damaged files noticed"] += 1
        finish(self.folder)
        self.check("darts")
        shutil.rmtree("runs")

    def damaged_input(self) -> None:
        """Damage the truth or the images: a sentence and exit status 2, unless nothing that counts was hit."""
        files = [TRUTH_FILE, *sorted(path for path in IMAGES.iterdir() if path.is_file())]
        path = files[self.random.integers(len(files))]
        name = "random-search" if path == TRUTH_FILE else "darts"
        self.expected(name)
        kept = path.read_bytes()
        self._damage(path)
        answer = self._dartsboard("search", name, "--seed", "0")
        path.write_bytes(kept)
        if answer.returncode == 2 and answer.stderr.count("\n") == 1:
            self.counts["damaged files noticed"] += 1
        else:
            self.check(name)
        shutil.rmtree("runs", ignore_errors=True)

    def full_disk(self) -> None:
        """Let no file grow beyond a size."""
        self.expected("darts")
        process = start(self.folder, largest_file=int(self.random.integers(40_000)))
        process.join()
        self.counts["writes that failed"] += process.exitcode == REFUSED
        self.counts["tracebacks"] += process.exitcode not in (0, REFUSED)
        finish(self.folder)
        self.check("darts")
        shutil.rmtree("runs")

    def _damage(self, path: Path) -> None:
        content = bytearray(path.read_bytes())
        kind = self.random.integers(4)
        if kind == 0 and content:
            content[self.random.integers(len(content))] ^= 1 << int(self.random.integers(8))
            path.write_bytes(content)
        elif kind == 1:
            path.write_bytes(content[: len(content) // 2])
        elif kind == 2:
            path.write_bytes(b"")
        else:
            path.write_bytes(self.random.bytes(len(content)))
        self.counts["files damaged"] += 1

    def _dartsboard(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from harness.cli import main; main()", *arguments]
        answer = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
        self.counts["tracebacks"] += "Traceback" in answer.stderr + answer.stdout
        return answer


def killed_pipeline(torture: Torture) -> None:
    """Kill `dvc repro` at a random moment of any stage, then let it end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_project(folder)
        write_params(folder, tiny_params(seeds=[0]))
        environment = {**ENVIRONMENT, "PYTHONPATH": str(folder)}
        pipes = {"cwd": folder, "env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        for _ in range(3):
            process = subprocess.Popen(["dvc", "repro", "lookup"], process_group=0, **pipes)  # type: ignore[call-overload]
            time.sleep(torture.random.uniform(1.0, 25.0))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                torture.counts["kills of the pipeline"] += 1
            process.communicate()
        subprocess.run(["dvc", "repro", "lookup"], cwd=folder, env=environment, check=True, capture_output=True)
        found = pd.read_parquet(folder / "results/derived.parquet")
        torture.counts["results compared"] += 1
        if torture.derived is None:
            torture.derived = found
        torture.counts["results changed"] += not found.equals(torture.derived)


@click.command()
@click.option("--minutes", default=30.0, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the faults.")
def main(minutes: float, seed: int) -> None:
    """Do harm until the time is over, then say what was survived."""
    deadline = time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        prepare(EPOCHS)
        board = load_board()
        write_cached(IMAGES, decode(board.chosen.data))
        import_truth(board.truth)
        torture = Torture(Path(folder), seed)
        actions: list[Callable[[], None]] = [
            *(torture.killed_search, torture.killed_group, torture.damaged_checkpoint, torture.damaged_record),
            *(torture.damaged_input, torture.full_disk, lambda: killed_pipeline(torture)),
        ]
        while time.monotonic() < deadline:
            actions[torture.random.choice(len(actions), p=[0.3, 0.1, 0.2, 0.1, 0.1, 0.17, 0.03])]()
            done = ", ".join(f"{what} {count}" for what, count in sorted(torture.counts.items()))
            click.echo(f"{max(0.0, deadline - time.monotonic()):.0f} s left; {done}", err=True)
    table = pd.DataFrame({"what": list(torture.counts), "count": list(torture.counts.values())}).sort_values("what")
    click.echo(table.to_markdown(index=False))
    bad = torture.counts["results changed"] + torture.counts["tracebacks"] + torture.counts["staging files left"]
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
