"""Write files so that they appear whole or not at all, and tell one from another."""

import glob
import hashlib
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.base.errors import UserError

STATE = Path(".dartsboard")
"""Where the project keeps what is neither input nor result: checkpoints, locks, compiled code."""

PARTIAL = ".partial"
"""How names end of what is not yet, or no longer, in its place."""


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a staging folder, which replaces `folder` when the block ends without an error.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    staging = _staging(folder)
    try:
        staging.mkdir(parents=True)
        yield staging
        for path in staging.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        old = staging.with_suffix(f".old{PARTIAL}")
        if folder.exists():
            folder.rename(old)  # out of the way at once, so that nobody meets half a folder
        staging.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise UserError(f"{folder} could not be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a staging path, which replaces `path` when the block ends without an error.

    Raises:
        UserError: the disk is full or the file cannot be written.
    """
    staging = _staging(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield staging
        with staging.open("rb") as file:
            os.fsync(file.fileno())
        staging.replace(path)
    except OSError as error:
        raise UserError(f"{path} could not be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            staging.unlink()


def _staging(target: Path) -> Path:
    """Return the staging path of this process; what processes of this machine that died have left there is removed."""
    prefix = f".{target.name}.{platform.node()}-"
    for old in target.parent.glob(f"{glob.escape(prefix)}*{PARTIAL}*"):  # a database has a journal beside it
        owner = old.name.removeprefix(prefix).partition(".")[0]
        if owner == str(os.getpid()) or not _is_alive(owner):
            with suppress(OSError):  # the folder may be read-only, which its own write tells better
                shutil.rmtree(old) if old.is_dir() else old.unlink()
    return target.with_name(f"{prefix}{os.getpid()}{PARTIAL}")


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OSError):  # none of ours, or of another user
        return True
    return True


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        UserError: it is missing, empty or a folder.
    """
    if not path.is_file():
        raise UserError(f"{path} is {'a folder' if path.is_dir() else 'missing'}, expected a file")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
