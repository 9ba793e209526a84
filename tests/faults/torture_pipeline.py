"""The stages of the pipeline, each killed at a moment of its own, and what they must have made in the end."""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd

from tests.conftest import copy_project, tiny_params, write_params
from tests.faults.searching import assert_same, result

STAGES = (
    *(
        "code",
        "protocol",
        "data",
        "truth",
        "search@darts-0",
        "baseline@random-search-0",
        "lookup",
        "theory",
        "report",
        "track",
    ),
)
FILES = {"code": "code", "protocol": "protocol.json", "data": "images", "truth": "truth.parquet"}
"""What these stages make, in data/."""
RUNS = ("search", "baseline")
STAGES_OF_RUNS = [stage for stage in STAGES if stage.startswith(RUNS)]
LONGEST_REPRO = 20.0
"""About what all runs take; one that comes to its end before is compared all the same."""
PATIENCE_SECONDS = 5.0
"""What all processes get to end in when they are told to."""
LIMIT_SECONDS = 600.0

Points = Counter[tuple[str, str, int]]
"""What MLflow holds: run, metric and step."""


class Pipeline:
    """A project whose whole pipeline ran once, undisturbed."""

    def __init__(self, folder: Path):
        self.folder = folder
        copy_project(folder)
        write_params(folder, tiny_params(seeds=[0]))
        self._environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
        self._finish("repro")
        self._seconds: dict[str, float] = {}
        self._made: dict[str, object] = {}
        for stage in STAGES:
            self._made[stage] = self._content(stage)
        self.points = self._points()

    def kill(self, stage: str, random: np.random.Generator, counts: Counter[str]) -> None:
        """Run a stage anew, kill it with all its processes, run it to its end, and compare."""
        if stage not in self._seconds:
            started = time.monotonic()
            self._finish("repro", "--force", "--single-item", stage)
            self._seconds[stage] = time.monotonic() - started
        pipes = {"cwd": self.folder, "env": self._environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = ["dvc", "repro", "--force", "--single-item", stage]
        process = subprocess.Popen(command, process_group=0, **pipes)  # type: ignore[call-overload]
        try:
            process.communicate(timeout=random.uniform(0.0, self._seconds[stage]))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            counts[f"kills of the stage {stage.partition('@')[0]}"] += 1
        counts["dvc.lock left half-written by DVC"] += self._remove_damaged_lock()
        counts["tracebacks"] += "Traceback" in self._finish(*command[1:])
        counts["results compared"] += 1
        counts["results changed"] += not self._same(stage)
        counts["staging files left"] += len(
            [path for path in self.folder.rglob("*.partial") if ".dvc" not in path.parts]
        )
        if stage == "track":
            points = self._points()
            counts["points in MLflow compared"] += points.total()
            counts["points in MLflow lost"] += (self.points - points).total()
            counts["points in MLflow twice"] += (points - self.points).total()

    def kill_all_runs(self, random: np.random.Generator, counts: Counter[str]) -> None:
        """Make all runs anew side by side, end DVC with all its processes, go on, and compare."""
        pipes = {"cwd": self.folder, "env": self._environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = ["dvc", "repro", *RUNS]
        number = signal.Signals(int(random.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])))
        process = subprocess.Popen([*command, "--force"], process_group=0, **pipes)  # type: ignore[call-overload]
        try:
            process.communicate(timeout=random.uniform(0.0, LONGEST_REPRO))
        except subprocess.TimeoutExpired:
            sent = time.monotonic()
            os.killpg(process.pid, number)
            process.communicate()  # the end of the last process that writes there
            counts["ends that took too long"] += time.monotonic() - sent > PATIENCE_SECONDS
            counts[f"dvc repro ended by {number.name}"] += 1
        counts["dvc.lock left half-written by DVC"] += self._remove_damaged_lock()
        counts["tracebacks"] += "Traceback" in self._finish(*command[1:])
        for stage in STAGES_OF_RUNS:
            counts["results compared"] += 1
            counts["results changed"] += not self._same(stage)

    def _remove_damaged_lock(self) -> bool:
        """Do what docs/dvc.md says if DVC was killed while it wrote; return whether that was so."""
        damaged = "validation failed" in self._dvc("status").stderr
        if damaged:
            (self.folder / "dvc.lock").unlink()
        return damaged

    def _finish(self, *arguments: str) -> str:
        answer = self._dvc(*arguments)
        if answer.returncode:
            raise AssertionError(f"dvc {' '.join(arguments)}: {answer.stdout}{answer.stderr}")
        return answer.stdout + answer.stderr

    def _dvc(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["dvc", *arguments],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )

    def _same(self, stage: str) -> bool:
        found, expected = self._content(stage), self._made[stage]
        if not stage.startswith(("search", "baseline")):
            return found == expected
        try:
            assert_same(found, expected)  # type: ignore[arg-type]
        except AssertionError:
            return False
        return True

    def _content(self, stage: str) -> object:
        # What the stage made, without the times and dates in it.
        with chdir(self.folder):
            match stage.partition("@")[0]:
                case "search":
                    return result("darts")
                case "baseline":
                    return result("random-search")
                case "lookup":
                    return _tables(Path("results"), ("derived", "draws", "alpha", "collapse", "space", "landmarks"))
                case "theory":
                    return _tables(Path("data/theory"), ("distances", "fits", "estimates", "terms"))
                case "report":
                    return sorted(str(path) for path in Path("reports/generated").rglob("*"))
                case "track":
                    return sorted(json.loads(Path(".dartsboard/tracked.json").read_text())["runs"])
                case name:
                    return _bytes(Path("data") / FILES[name])

    def _points(self) -> Points:
        query = (
            "select runs.name, metrics.key, metrics.step from metrics join runs using (run_uuid) "
            "where runs.lifecycle_stage = 'active'"
        )
        connection = sqlite3.connect(self.folder / "mlflow.db")
        try:
            return Counter(connection.execute(query).fetchall())
        finally:
            connection.close()


def _tables(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    return {name: pd.read_parquet(folder / f"{name}.parquet").to_json(double_precision=15) for name in names}


def _bytes(path: Path) -> dict[str, str]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()}
