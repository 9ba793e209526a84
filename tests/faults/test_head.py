"""The head of a sweep is killed at any moment: nothing is lost, nothing goes on without it, nothing changes."""

import os
import shutil
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from harness.base.errors import UserError
from harness.fleet import dvc_stages
from harness.fleet.forks import PROCESSES, warm_up
from harness.fleet.sweep import Placement, sweep
from harness.records.checkpoint import unfinished
from harness.settings.protocol import load_board
from tests.conftest import ROOT, tiny_params
from tests.faults.searching import Result, assert_nothing_half_written, assert_same, finish, kill_after, result
from tests.harness.fleet.sweeping import forget_stages, prepare_sweep
from tests.harness.fleet.test_group import wait_until

EPOCHS = 8
LONGEST_SECONDS = 15.0
"""About what a sweep takes; one that comes to its end before it is killed is checked, and begun anew."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    warm_up().join()
    monkeypatch.chdir(tmp_path)
    content = tiny_params(seeds=[0])
    content["protocols"]["tiny"]["epochs"] = EPOCHS
    prepare_sweep(tmp_path, content)
    return tmp_path


def start_head(folder: Path) -> BaseProcess:
    """Start a sweep in a process of its own, forked from one that has done its imports."""
    process = PROCESSES.Process(target=_sweep, args=(folder,))
    process.start()
    return process


def _sweep(folder: Path) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # which workers never see
    os.chdir(ROOT)
    warm_up().join()  # from there, so that workers do not import the copy of the project
    os.chdir(folder)
    os._exit(sweep(Placement(options=(("workers", "2"),))))


def all_results() -> dict[tuple[str, int], Result]:
    return {run: result(*run) for run in load_board().runs}


def results_alone(folder: Path) -> dict[tuple[str, int], Result]:
    for name, seed in load_board().runs:
        finish(folder, name, seed)
    found = all_results()
    shutil.rmtree("runs")
    return found


def forget_all() -> None:
    for part in ("runs", ".dvc/cache/runs"):
        shutil.rmtree(part)
    Path("found.txt").unlink()
    forget_stages("search@", "baseline@", "lookup")


def kill_at_random(folder: Path, kills: int, seed: int) -> dict[str, int]:
    """Kill heads until so many were killed, each followed at once by the next; return what happened."""
    undisturbed = results_alone(folder)
    moments = np.random.default_rng(seed)
    counts = {"kills": 0, "sweeps completed": 0, "results compared": 0}
    while True:
        head = start_head(folder)
        if counts["kills"] < kills and kill_after(head, moments.uniform(0, LONGEST_SECONDS)):
            counts["kills"] += 1
            continue
        head.join()
        assert head.exitcode == 0
        for run, found in all_results().items():
            assert_same(found, undisturbed[run])
            counts["results compared"] += 1
        counts["sweeps completed"] += 1
        assert dvc_stages.stale() == []
        assert not unfinished()
        assert_nothing_half_written()
        if counts["kills"] == kills:
            return counts
        forget_all()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_head_that_is_told_to_end_does_so_and_the_next_goes_on(folder: Path, number: signal.Signals) -> None:
    undisturbed = results_alone(folder)
    head = start_head(folder)
    wait_until(lambda: bool(unfinished()))
    with pytest.raises(UserError, match=rf"a sweep of this project is at work already \(process {head.pid}\)"):
        sweep(Placement())
    assert head.pid is not None
    os.kill(head.pid, number)
    head.join(timeout=5)
    assert head.exitcode == 128 + number
    assert_nothing_half_written()
    head = start_head(folder)
    head.join()
    assert head.exitcode == 0
    for run, found in all_results().items():
        assert_same(found, undisturbed[run])
    assert dvc_stages.stale() == []


@pytest.mark.slow
def test_a_killed_head_loses_nothing(folder: Path) -> None:
    assert kill_at_random(folder, kills=2, seed=1)["kills"] == 2


@pytest.mark.slow
def test_a_head_killed_at_twenty_moments_loses_nothing(folder: Path) -> None:
    print(kill_at_random(folder, kills=20, seed=0))
