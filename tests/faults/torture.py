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
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import chdir
from itertools import chain, count, cycle
from pathlib import Path
from unittest.mock import patch

import click
import numpy as np
import pandas as pd

from harness.images.decoded import IMAGES, decode, write_cached
from harness.records.checkpoint import CHECKPOINTS
from harness.records.record import run_folder
from harness.settings.protocol import load_board
from harness.tracking import apart
from harness.tracking.apart import mirror_project
from harness.tracking.tracked import read_tracked, write_tracked
from harness.truth.sources import import_truth
from harness.truth.table import TRUTH_FILE
from tests.conftest import ROOT
from tests.faults import fuzzing, fuzzing_targets, mutations
from tests.faults.searching import REFUSED, Result, assert_same, finish, kill_after, prepare, result, start
from tests.faults.torture_pipeline import PATIENCE_SECONDS, STAGES, Pipeline
from tests.harness.tracking.hostile import at_random, hostile

EPOCHS = 8
SEARCHES = ("darts", "darts-2nd", "pc-darts", "drnas", "p-darts", "zo-darts", "rsps", "enas-lite", "warm-start")
SERVER_SECONDS = 6.0
"""What a step of a sync may take here; in earnest it is longer."""
LONGEST = 600
"""Characters of what is said of a server."""
GROUP = ("search", "darts", "--seeds", "0-1", "--workers", "2")
INPUTS = 56
LIMIT_SECONDS = 600.0
BAD = (
    *("results changed", "tracebacks", "staging files left", "bad inputs answered badly", "ends that took too long"),
    *("points in MLflow lost", "points in MLflow twice", "actions that broke off", "hostile servers answered badly"),
)
ROWS = (
    "kills of a search",
    *(f"{what} ended by {name}" for what in ("groups", "dvc repro") for name in ("SIGKILL", "SIGTERM", "SIGINT")),
    *(f"kills of the stage {stage.partition('@')[0]}" for stage in STAGES),
    "dvc.lock left half-written by DVC",
    *("files damaged", "damaged files noticed", "writes that failed", "bad inputs tried", "results compared"),
    *("hostile servers met", "points in MLflow compared", *BAD),
)
"""The table has these, also where nothing was counted."""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


class Torture:
    """A project of tiny searches, whose undisturbed results are known, and what was done to it."""

    def __init__(self, folder: Path, beside: Path, seed: int):
        self.folder = folder
        self.beside = beside
        """A folder for the projects of the pipeline and of the damaged inputs."""
        self.seed = seed
        self.random = np.random.default_rng(seed)
        self.counts: Counter[str] = Counter(dict.fromkeys(ROWS, 0))
        self._pipeline: Pipeline | None = None
        self._stages = cycle(self.random.permutation(STAGES).tolist())
        self._inputs = 0
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

    def ended_group(self) -> None:
        """End a group with all its processes by some signal, then let the same command end."""
        for seed in (0, 1):
            self.expected("darts", seed)
        command = [sys.executable, "-c", "from harness.cli import main; main()", *GROUP]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, env=ENVIRONMENT, process_group=0, **pipes)  # type: ignore[call-overload]
        number = signal.Signals(int(self.random.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])))
        time.sleep(self.random.uniform(4.0, 9.0))
        if process.poll() is None:
            sent = time.monotonic()
            os.killpg(process.pid, number)
            self.counts[f"groups ended by {number.name}"] += 1
            output = "".join(process.communicate(timeout=LIMIT_SECONDS))
            self.counts["ends that took too long"] += time.monotonic() - sent > PATIENCE_SECONDS
            self.counts["tracebacks"] += "Traceback" in output
        process.communicate()
        subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, timeout=LIMIT_SECONDS)
        for seed in (0, 1):
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
        elif answer.returncode == 0:
            self.check(name)
        else:
            raise AssertionError(f"{path.name}: status {answer.returncode}, {answer.stdout}{answer.stderr}")
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

    def killed_stage(self) -> None:
        """Kill the next stage of the pipeline, then let it end."""
        self._pipeline_once().kill(next(self._stages), self.random, self.counts)

    def _pipeline_once(self) -> Pipeline:
        if self._pipeline is None:
            self._pipeline = Pipeline(self.beside / "pipeline")
        return self._pipeline

    def killed_repro(self) -> None:
        """End a `dvc repro` and the group that makes its runs, then let the same command end."""
        self._pipeline_once().kill_all_runs(self.random, self.counts)

    def bad_inputs(self) -> None:
        """Read damaged files of every kind."""
        folder = self.beside / "inputs"
        if not folder.exists():
            folder.mkdir()
            fuzzing_targets.prepare(folder)
        report = fuzzing.fuzz(folder, range(self._inputs, self._inputs + INPUTS), self.seed)
        self._inputs += INPUTS
        self.counts["bad inputs tried"] += report.tried
        self.counts["bad inputs answered badly"] += len(report.findings)
        if report.findings:
            click.echo(fuzzing.explain(report.findings), err=True)

    def hostile_server(self) -> None:
        """Mirror a run into a server that says what no server should: one sentence, or it is there, and in time."""
        finish(self.folder)
        board = load_board()
        with hostile(at_random(self.random, mutations.JUNK)) as server:
            tracking = board.tracking.model_copy(update={"uri": server.address})
            begun = time.monotonic()
            with patch.multiple(apart, STEP_SECONDS=SERVER_SECONDS, LIST_SECONDS=SERVER_SECONDS):
                summary = mirror_project(board.model_copy(update={"tracking": tracking}))
        write_tracked(summary)
        told = (
            summary.message.isprintable() and len(summary.message) < LONGEST and "damaged" not in read_tracked().message
        )
        in_time = time.monotonic() - begun < 10 * SERVER_SECONDS
        self.counts["hostile servers met"] += 1
        if not (told and in_time):
            self.counts["hostile servers answered badly"] += 1
            click.echo(f"after {time.monotonic() - begun:.0f} s a server was told of as: {summary}", err=True)
        shutil.rmtree("runs")

    def _damage(self, path: Path) -> None:
        path.write_bytes(mutations.of_bytes(path.read_bytes(), self.random))
        self.counts["files damaged"] += 1

    def _dartsboard(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from harness.cli import main; main()", *arguments]
        answer = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        self.counts["tracebacks"] += "Traceback" in answer.stderr + answer.stdout
        return answer


@click.command()
@click.option("--minutes", default=30.0, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the faults.")
def main(minutes: float, seed: int) -> None:
    """Do harm until the time is over, then say what was survived."""
    deadline = time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as root:
        folder, beside = Path(root) / "searches", Path(root) / "beside"
        folder.mkdir()
        beside.mkdir()
        with chdir(folder):
            prepare(EPOCHS)
            board = load_board()
            write_cached(IMAGES, decode(board.chosen.data))
            import_truth(board.truth)
            counts = _do_harm(Torture(folder, beside, seed), deadline)
    table = pd.DataFrame({"what": list(counts), "count": list(counts.values())}).sort_values("what")
    click.echo(table.to_markdown(index=False))
    sys.exit(1 if any(counts[row] for row in BAD) else 0)


def _do_harm(torture: Torture, deadline: float) -> Counter[str]:
    # Each kind of harm once, however little time there is; then at random.
    shares: dict[Callable[[], None], float] = {
        torture.killed_search: 0.25,
        torture.damaged_checkpoint: 0.15,
        torture.damaged_record: 0.08,
        torture.damaged_input: 0.08,
        torture.full_disk: 0.1,
        torture.ended_group: 0.1,
        torture.bad_inputs: 0.12,
        torture.killed_stage: 0.12,
        torture.killed_repro: 0.12,
        torture.hostile_server: 0.08,
    }
    actions = list(shares)
    weights = np.array(list(shares.values())) / sum(shares.values())
    turns = chain(actions, (actions[torture.random.choice(len(actions), p=weights)] for _ in count()))
    for number, action in enumerate(turns):
        if number >= len(actions) and time.monotonic() > deadline:
            return torture.counts
        try:
            action()
        except Exception:
            torture.counts["actions that broke off"] += 1
            click.echo(traceback.format_exc(), err=True)
            shutil.rmtree("runs", ignore_errors=True)
        done = ", ".join(f"{what} {number}" for what, number in sorted(torture.counts.items()) if number)
        click.echo(f"{max(0.0, deadline - time.monotonic()):.0f} s left; {done}", err=True)
    return torture.counts


if __name__ == "__main__":
    main()
