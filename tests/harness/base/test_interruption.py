"""Ctrl-C, SIGTERM and a closed terminal end a single search cleanly, soon and with its checkpoint."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.base.interruption import clean_end
from harness.board.run_lock import is_running
from harness.records.checkpoint import CHECKPOINTS
from tests.conftest import ROOT, tiny_params, write_params

COMMAND = [sys.executable, "-c", "from harness.cli import main; main()", "search", "darts", "--seed", "0"]
STAGE = [sys.executable, "-m", "pipelines.search", "darts", "0"]


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (STAGE, signal.SIGINT),
        *(pytest.param(COMMAND, number, marks=pytest.mark.slow) for number in (signal.SIGTERM, signal.SIGHUP)),
    ],
)
def test_a_search_leaves_in_time_with_one_line(project: Path, command: list[str], number: signal.Signals) -> None:
    content = tiny_params()
    content["protocols"]["tiny"]["epochs"] = 10_000
    write_params(project, content)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(list(CHECKPOINTS.glob("*/*.pt"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    sent = time.monotonic()
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - sent < 5
    assert process.returncode == 128 + number
    told = f"stopped by {number.name}; the same command goes on from the last checkpoint, if any"
    assert errors.splitlines()[-1] == told
    assert "Traceback" not in errors
    assert len(list(CHECKPOINTS.glob("*/*.pt"))) == 2
    assert not list(Path().rglob("*.partial"))
    assert not list(Path(".dartsboard/locks").glob("*.owner"))
    assert not is_running("darts", 0)


def test_below_nohup_a_closed_terminal_ends_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with clean_end():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
