"""Killed at any moment, a search goes on and ends with the result that it would have had."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.records.checkpoint import unfinished
from harness.records.record import run_folder
from tests.faults.searching import assert_nothing_half_written, assert_same, finish, kill_after, prepare, result, start

EPOCHS = 8


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_kills_at_random_moments_change_nothing(project: Path, kills: int) -> None:
    prepare(EPOCHS)
    started = start(project)
    started.join()
    undisturbed = result()
    shutil.rmtree("runs")
    moments = np.random.default_rng(0)
    survived = rounds = 0
    while survived < kills:
        killed = kill_after(start(project), moments.uniform(0.05, 1.0))
        survived += killed
        if not killed:  # it came to its end: the next round begins anew
            rounds += 1
            assert_same(result(), undisturbed)
            assert_nothing_half_written()
            shutil.rmtree("runs")
        elif run_folder("darts", 0).exists():
            assert_same(result(), undisturbed)  # whole, or not there at all
    finish(project)
    assert_same(result(), undisturbed)
    assert_nothing_half_written()
    assert not unfinished()
    print(f"kills survived: {survived}, searches completed: {rounds + 1}, results changed: 0")


def test_a_checkpoint_of_another_run_is_not_resumed_from(project: Path) -> None:
    prepare(EPOCHS)
    finish(project)
    undisturbed = result()
    shutil.rmtree("runs")
    assert kill_after_epochs(project, "darts", 2)
    assert kill_after_epochs(project, "darts-2nd", 4)
    ours, theirs = (next(found for found in unfinished() if found.variant == name) for name in ("darts", "darts-2nd"))
    for path in theirs.folder.glob("epoch-*.pt"):
        shutil.copy(path, ours.folder)
    finish(project)
    assert_same(result(), undisturbed)


def kill_after_epochs(folder: Path, name: str, epochs: int) -> bool:
    """Kill a search that has checkpoints of so many epochs."""
    process = start(folder, name)
    while process.is_alive() and not any(found.variant == name and found.epochs >= epochs for found in unfinished()):
        pass
    return kill_after(process, 0)
