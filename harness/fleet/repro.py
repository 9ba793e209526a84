"""What a stage of `dvc repro` does for its run: take it from those that wait, or have a group make it beside others.

DVC runs one stage after another. The first that needs a run starts a group over all runs that this `dvc repro` will
come to (harness/fleet/repro_group.py); the stages after it find theirs made, or wait for it. This imports no torch, for
most stages only take what is there.
"""

import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.base.errors import UserError
from harness.base.files import STATE, read_text, whole_file
from harness.board import finished
from harness.fleet.calling_dvc import CallingDvc, calling_dvc
from harness.fleet.sweep_display import State, Working, show_sweep
from harness.records.run_folders import run_folder
from harness.settings.protocol import Board

LOCK = STATE / "repro.lock"
"""Held by the group that is at work."""
NEWS = STATE / "repro.json"
"""What the newest group tells."""
LOG = STATE / "repro.log"
"""What the newest group would print."""
POLL_SECONDS = 0.1


@dataclass
class News:
    """What a group tells the stages that wait."""

    group: int
    """Its process."""
    dvc: int
    dvc_started: float
    """For which DVC it works."""
    requests: list[str] = field(default_factory=list)
    """The runs that it makes, by `finished.request`."""
    without_record: dict[str, str] = field(default_factory=dict)
    """How those ended that leave no record, by request."""
    state: State | None = None

    def write(self) -> None:
        """Put it where stages look.

        Raises:
            UserError: it cannot be written.
        """
        with whole_file(NEWS) as staging:
            staging.write_text(json.dumps(asdict(self)), encoding="utf-8")


def read_news() -> News | None:
    """Return what the newest group told; None if there is none."""
    try:
        content = json.loads(read_text(NEWS))
        state = content.pop("state")
        if state is not None:
            state = State(**{**state, "working": [Working(**task) for task in state["working"]]})
        return News(**content, state=state)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def obtain(board: Board, name: str, seed: int) -> str | None:
    """Bring a finished run to its folder; return its status, None if it has to be run here.

    Raises:
        UserError: no process could finish it, or an input is missing.
    """
    dvc = calling_dvc()
    if dvc is None:
        return None
    key, folder = finished.request(board, name, seed), run_folder(name, seed)
    status, started = _take(key, folder, dvc), False
    if status is not None:
        return status
    with show_sweep() as display:
        while (status := _take(key, folder, dvc)) is None:
            if not dvc.alive:
                raise UserError(f"{name} seed {seed}: DVC, which asked for it, is gone")
            group = _group_at_work()
            if group is None and started:
                return _take(key, folder, dvc)  # it may have ended in between
            if group is None:
                started = _start_group(dvc, name, seed)
                continue
            news = read_news()
            if news and news.group == group:
                if key not in news.requests:
                    return _take(key, folder, dvc)
                if key in news.without_record:
                    raise UserError(f"{name} seed {seed}: {news.without_record[key]}")
                if news.state:
                    display.show(news.state)
            time.sleep(POLL_SECONDS)
    return status


def _take(key: str, folder: Path, dvc: CallingDvc) -> str | None:
    news = read_news()
    is_new = news is not None and (news.dvc, news.dvc_started) == (dvc.number, dvc.started)
    # What an earlier DVC left is no answer where everything shall be made anew; nor is a failure.
    return None if dvc.forces and not is_new else finished.take(key, folder, failed=is_new)


@contextmanager
def _lock() -> Iterator[int | None]:
    """Give the lock of groups, None where a group holds it."""
    try:
        STATE.mkdir(exist_ok=True)
        with LOCK.open("a+", encoding="utf-8", errors="replace") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield file.fileno()
    except OSError as error:
        raise UserError(f"{LOCK} could not be written: {error.strerror or error}") from None


def _start_group(dvc: CallingDvc, name: str, seed: int) -> bool:
    """Start a group, unless another process has just done so; return whether it is this one's."""
    with _lock() as lock:
        if lock is None:
            return False
        with LOG.open("wb") as log:
            group = subprocess.Popen(
                [sys.executable, "-m", "harness.fleet.repro_process", json.dumps(asdict(dvc)), name, str(seed)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),  # the lock is the group's for as long as it lives
            )
        LOCK.write_text(str(group.pid), encoding="utf-8")
        return True


def _group_at_work() -> int | None:
    """Return the process of the group that is at work."""
    with _lock() as lock:
        if lock is not None:
            return None
        with suppress(OSError, ValueError):
            return int(read_text(LOCK))
        return 0
