"""Write files so that they appear whole or not at all, read what is a file, and tell one from another."""

import errno
import glob
import hashlib
import io
import json
import os
import platform
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.base.errors import UserError, in_one_line

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
        for path in staging.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        old = staging.with_suffix(f".old{PARTIAL}")
        if os.path.lexists(folder):
            folder.rename(old)  # out of the way at once, so that nobody meets half a folder
        staging.rename(folder)
        with suppress(OSError):
            _remove(old)
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
    if not target.name:
        raise UserError(f"{target} names a folder, expected the name of a file in it")
    prefix = f".{target.name}.{platform.node()}-"
    for old in target.parent.glob(f"{glob.escape(prefix)}*{PARTIAL}*"):  # a database has a journal beside it
        owner = old.name.removeprefix(prefix).partition(".")[0]
        if owner == str(os.getpid()) or not _is_alive(owner):
            with suppress(OSError):  # the folder may be read-only, which its own write tells better
                _remove(old)
    return target.with_name(f"{prefix}{os.getpid()}{PARTIAL}")


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OSError):  # none of ours, or of another user
        return True
    return True


def _remove(path: Path) -> None:
    """Remove a file, a folder with all that is in it, or a link, whose target stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def check_place_of_folder(folder: Path) -> None:
    """Check that a folder can stand at this path later, before the work begins whose result it shall hold.

    Raises:
        UserError: there, or above it, stands something that is no folder.
    """
    for place in (folder, *folder.parents):
        if os.path.lexists(place) and not place.is_dir():
            what = "a link that leads nowhere" if place.is_symlink() and not place.exists() else "no folder"
            raise UserError(f"{place} is {what}, expected a folder or nothing: move it away")


def check_place_of_file(path: Path) -> None:
    """Check that a file can stand at this path later, before the work begins whose result it shall hold.

    Raises:
        UserError: the path names a folder, or stands below what is none.
    """
    try:
        if not path.name or stat.S_ISDIR(path.stat().st_mode):
            raise UserError(f"{in_one_line(path)} is a folder, expected the name of a file")
    except FileNotFoundError:
        check_place_of_folder(path.parent)
    except (OSError, ValueError) as error:
        raise UserError(f"{in_one_line(path)} is no name of a file: {_reason(error)}") from None


def open_file(path: Path) -> io.BufferedReader:
    """Open a regular file to read its bytes. Whatever else has its name is refused: a pipe would be waited for.

    Raises:
        OSError: it is missing, no regular file, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "it is no regular file", str(path))


def read_file(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: see `open_file`.
    """
    with open_file(path) as file:
        return file.read()


def named_path(text: str) -> Path:
    """Return the path that a setting or an argument names; `~` stands for the user's folder, as in a shell.

    Raises:
        UserError: see `check_name`.
    """
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # a user that is unknown: then it is a name like others
        path = Path(text)
    check_name(path)
    return path


def check_name(path: Path) -> None:
    """Check that a file of this machine can have a name; to ask for another whether it is there is an error.

    Raises:
        UserError: it is longer than names may be.
    """
    try:
        path.lstat()
    except ValueError:  # told where it is opened
        return
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(f"{in_one_line(path)} is no name of a file: {_reason(error)}") from None


def read_text(path: Path) -> str:
    """Return the text of a regular file in UTF-8, whatever the locale; each line ends with a line feed.

    Raises:
        OSError: see `open_file`.
        UnicodeDecodeError: it is no UTF-8.
    """
    with io.TextIOWrapper(open_file(path), encoding="utf-8") as file:
        return file.read()


def read_json(path: Path, again: str = "") -> dict[str, Any]:
    """Return the object that a JSON file of the project's own holds.

    Args:
        path: of the file.
        again: how it is made anew, as the end of a sentence.

    Raises:
        UserError: it is missing, cannot be read, or holds something else.
    """
    try:
        content = json.loads(read_text(path))
    except FileNotFoundError:
        raise UserError(f"{path} is missing{again}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged{again} ({in_one_line(error)})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged{again} (expected an object)")
    return content


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        UserError: it is missing, empty, no regular file, or cannot be read.
    """
    try:
        with open_file(path) as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise UserError(f"{in_one_line(path)} is empty")
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise UserError(f"{in_one_line(path)} is missing, expected a file") from None
    except IsADirectoryError:
        raise UserError(f"{in_one_line(path)} is a folder, expected a file") from None
    except OSError as error:
        raise UserError(f"{in_one_line(path)} cannot be read: {_reason(error)}") from None


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or in_one_line(error)
