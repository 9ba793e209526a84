"""A clock that jumps by years, forwards and backwards, decides nothing."""

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from harness.board.run_lock import is_running, run_lock
from harness.board.runner import run_search
from harness.records.checkpoint import CHECKPOINTS, unfinished
from harness.records.record import run_folder
from harness.settings.protocol import load_board
from tests.faults.searching import assert_same, kill_after, prepare, result, start
from tests.harness.tracking.runs import counts, synced, write_one

YEARS = 365 * 86_400
REAL_TIME = time.time


@pytest.fixture
def jumping_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: REAL_TIME() + random.Random().choice((-40, 0, 40)) * YEARS)


def date(folder: Path) -> None:
    """Give files dates far away, the newest the oldest."""
    for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        os.utime(path, (REAL_TIME() + (20 - number) * YEARS,) * 2)


def test_a_search_a_checkpoint_and_a_lock_do_not_mind_it(project: Path, jumping_clock: None) -> None:
    prepare(epochs=4)
    run_search(load_board(), "darts", 0)
    undisturbed = result()
    shutil.rmtree("runs")
    process = start(project)
    while not any(found.epochs >= 2 for found in unfinished()):
        time.sleep(0.005)
    assert kill_after(process, 0)
    date(CHECKPOINTS)
    (checkpoints,) = unfinished()
    progress = checkpoints.newest()
    assert progress is not None and len(progress.epochs) == checkpoints.epochs >= 2  # the newest by its epoch
    date(Path(".dartsboard/locks"))
    assert not is_running("darts", 0)
    with run_lock("darts", 0):
        date(Path(".dartsboard/locks"))
        assert is_running("darts", 0)
    run_search(load_board(), "darts", 0)
    assert_same(result(), undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("when", [0, 5, 4_000_000_000])
def test_a_record_of_any_date_is_mirrored_once(tmp_path: Path, when: int) -> None:
    write_one(tmp_path, "darts", 0)
    os.utime(run_folder("darts", 0, tmp_path / "runs") / "record.json", (when, when))
    summary = synced(tmp_path)
    assert (counts(summary), summary.message) == ({"created": 1}, "")
    assert counts(synced(tmp_path)) == {"skipped": 1}
