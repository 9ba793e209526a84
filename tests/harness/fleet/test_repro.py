"""`dvc repro` of a board of tiny runs: they are made side by side, and DVC asks for one after another."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.board import finished
from harness.fleet import dvc_stages, repro
from harness.fleet.sweep_display import State, Working
from harness.records.checkpoint import unfinished
from harness.settings.protocol import load_board
from tests.conftest import ROOT, tiny_params, write_params
from tests.faults.searching import assert_nothing_half_written, assert_same, finish, result
from tests.harness.fleet.sweeping import dvc, prepare_sweep
from tests.harness.fleet.test_group import wait_until

RUNS = ("search", "baseline")
PATIENCE_SECONDS = 5.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    prepare_sweep(tmp_path, params())
    yield tmp_path
    wait_until(lambda: repro._group_at_work() is None)


def params(epochs: int = 3, **changes: object) -> dict[str, object]:
    content = tiny_params(**{"seeds": [0], **changes})
    content["protocols"]["tiny"]["epochs"] = epochs
    return content


def made() -> list[str]:
    """The runs that the newest group made, in the order in which they ended."""
    return [line.partition(":")[0] for line in repro.LOG.read_text().splitlines()]


def start(*arguments: str) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(["dvc", "repro", *RUNS, *arguments], process_group=0, **pipes)  # type: ignore[call-overload]


def test_one_group_makes_all_and_each_is_what_it_is_alone(folder: Path) -> None:
    runs = [("darts", 0), ("darts-2nd", 0), ("random-search", 0)]
    output = dvc("repro", *RUNS)
    assert sorted(made()) == sorted(f"{name} seed {seed}" for name, seed in runs)
    assert all(f"{name} seed {seed}: done, made beside other runs" in output for name, seed in runs)
    assert dvc_stages.stale(*RUNS) == []
    found = [result(*run) for run in runs]
    shutil.copytree("runs", "kept")
    shutil.rmtree("runs")
    for run, together in zip(runs, found, strict=True):
        finish(folder, *run)
        assert_same(result(*run), together)
    shutil.rmtree("runs")
    Path("kept").rename("runs")


@pytest.mark.slow
def test_only_what_waits_nowhere_is_made(folder: Path) -> None:
    dvc("repro", *RUNS)

    # A changed setting makes its own run anew; another one that comes back is in DVC's cache, and no group makes it.
    write_params(folder, params(variants={"darts": {}, "darts-2nd": {"radius": 0.02}}))
    dvc("repro", *RUNS)
    assert made() == ["darts-2nd seed 0"]
    write_params(folder, params(seeds=[0, 1]))
    dvc("repro", *RUNS)
    assert sorted(made()) == ["darts seed 1", "darts-2nd seed 1", "random-search seed 1"]

    # What DVC is told to forget waits all the same, or is in runs/; what it is told to make anew is made anew.
    before = result("darts", 0)
    for expected in (made(), ["darts seed 0"]):
        Path("dvc.lock").unlink()
        shutil.rmtree(".dvc/cache/runs")
        dvc("repro", "--single-item", "search@darts-0", "search@darts-1")
        assert made() == expected
        finished.discard_taken(Path("runs"))  # as the stage `report` does
    assert_same(result("darts", 0), before)
    dvc("repro", "--single-item", "--force", "search@darts-1")
    assert made() == ["darts seed 1"]


@pytest.mark.slow
def test_a_single_stage_makes_its_run_alone(folder: Path) -> None:
    dvc("repro", "--single-item", "search@darts-2nd-0")
    assert made() == ["darts-2nd seed 0"]
    assert [path.parent.name for path in Path("runs").glob("*/seed-*")] == ["darts-2nd"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_ends_dvc_ends_all_and_nothing_is_run_twice(folder: Path, number: signal.Signals) -> None:
    # Short runs that end before, and one that is under way.
    write_params(folder, params(40, variants={"darts": {}, "darts-2nd": {"radius": 0.01}}, seeds=[0, 1]))
    process = start()
    wait_until(lambda: bool(list(finished.FINISHED.glob("*/*/*/record.json"))) and bool(unfinished()))
    group = psutil.Process(repro._group_at_work())
    workers = group.children(recursive=True)
    sent = time.monotonic()
    if number == signal.SIGKILL:
        process.kill()  # DVC alone: what it started sees that it is gone
    else:
        os.killpg(process.pid, number)
    process.communicate()
    _gone, left = psutil.wait_procs([group, *workers], timeout=2 * PATIENCE_SECONDS)
    assert not left
    assert time.monotonic() - sent < PATIENCE_SECONDS
    assert_nothing_half_written()
    waiting = {path: path.stat().st_ino for path in finished.FINISHED.glob("*/*/*/record.json")}
    assert waiting

    dvc("repro", *RUNS)
    assert {path: path.stat().st_ino for path in waiting} == waiting
    before = {f"{path.parts[3]} seed {path.parts[4].removeprefix('seed-')}" for path in waiting}
    assert not before & set(made())
    found = {run: result(*run) for run in load_board().runs}
    shutil.rmtree("runs")
    finish(folder, "darts-2nd", 1)
    assert_same(result("darts-2nd", 1), found["darts-2nd", 1])


def test_what_a_group_tells_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    repro.STATE.mkdir()
    state = State(3, 1, 0, [Working("darts seed 0", "process 7", "2 of 3", 1.5)], None)
    news = repro.News(0, 0, 0.0, ["key"], {"key": "its process was ended by SIGKILL"}, state)
    news.write()
    assert repro.read_news() == news
    repro.NEWS.write_text("[]")
    assert repro.read_news() is None


def test_outside_dvc_a_run_is_made_here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-m", "pipelines.search", "random-search", "0"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("random-search seed 0: done, |")
    assert not repro.LOG.exists()


def test_a_stage_that_takes_its_run_imports_no_torch() -> None:
    code = "import pipelines.search, sys; print({'torch', 'pandas'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert answer.stdout == "set()\n"


@pytest.mark.slow
def test_a_mistake_ends_dvc_in_its_sentence(folder: Path) -> None:
    write_params(folder, params(variants={"darts": {"rate": 1}}))
    answer = subprocess.run(["dvc", "repro", *RUNS], capture_output=True, text=True)
    assert answer.returncode != 0
    assert "error: params.yaml, variants.darts: unknown key 'rate'" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not json.loads(repro.read_text(repro.NEWS) if repro.NEWS.exists() else "{}")
