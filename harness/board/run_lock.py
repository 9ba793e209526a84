"""One process at a time works on a run; others can ask whether one does."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from harness.base.errors import UserError, in_one_line
from harness.base.files import STATE, read_text
from harness.records.run_folders import run_folder

LOCKS = STATE / "locks"
LOCK_SECONDS = 2.0
"""Patience with a lock: who only asks whether a run is running holds it for a moment."""


@contextmanager
def run_lock(variant: str, seed: int) -> Iterator[None]:
    """Keep every other process away from this run. The lock of a dead process counts for nothing.

    Raises:
        UserError: a live process holds it.
    """
    path = LOCKS / f"{variant}-seed-{seed}"
    lock = FileLock(f"{path}.lock")
    owner = Path(f"{path}.owner")
    try:
        LOCKS.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=LOCK_SECONDS)
        owner.unlink(missing_ok=True)  # writing into a pipe of that name would wait for a reader
        owner.write_text(str(os.getpid()), encoding="utf-8")
    except Timeout:
        number = _owner(owner)
        raise UserError(f"{run_folder(variant, seed)} is being written by another process (number {number})") from None
    except OSError as error:
        lock.release()
        raise UserError(f"{path}.lock could not be written: {error.strerror or error}") from error
    try:
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _owner(path: Path) -> str:
    try:
        return in_one_line(read_text(path), 20)
    except (OSError, ValueError):
        return "unknown"


def is_running(variant: str, seed: int) -> bool:
    """Whether a live process works on this run.

    Raises:
        UserError: what stands in the place of its lock is none.
    """
    lock = FileLock(LOCKS / f"{variant}-seed-{seed}.lock")
    if not Path(lock.lock_file).exists():
        return False
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError as error:
        raise UserError(f"{lock.lock_file} is no lock ({error.strerror or error}): remove it") from None
