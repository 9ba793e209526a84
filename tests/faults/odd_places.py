"""What may stand where a file is expected: no file, or one that lies elsewhere or never ends."""

import os
import shutil
import socket
from contextlib import closing
from pathlib import Path

from tests.faults.mutations import Random

OUTSIDE = Path("outside")
"""A folder that stands for what belongs to others; nothing may change in it."""
KINDS = (
    *("pipe", "socket", "folder", "full folder", "dangling link", "link to itself", "link to a pipe"),
    *("link to a folder", "link to zeros", "link to a full disk", "link to the same file elsewhere"),
)


def prepare() -> None:
    """Fill the folder that stands for what belongs to others."""
    OUTSIDE.mkdir()
    (OUTSIDE / "thesis.txt").write_text("years of work")
    os.mkfifo(OUTSIDE / "pipe")


def put(path: Path, random: Random) -> None:
    """Put something else in the place of a file."""
    content = path.read_bytes()
    path.unlink()
    outside = OUTSIDE.absolute()
    match KINDS[int(random.integers(len(KINDS)))]:
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with closing(socket.socket(socket.AF_UNIX)) as listener:
                listener.bind(str(path))
        case "folder":
            path.mkdir()
        case "full folder":
            path.mkdir()
            (path / "notes.txt").write_text("mine")
        case "dangling link":
            path.symlink_to(outside / "nothing")
        case "link to itself":
            path.symlink_to(path.absolute())
        case "link to a pipe":
            path.symlink_to(outside / "pipe")
        case "link to a folder":
            path.symlink_to(outside)
        case "link to zeros":
            path.symlink_to("/dev/zero")
        case "link to a full disk":
            path.symlink_to("/dev/full")
        case _:
            (outside / "same").write_bytes(content)
            path.symlink_to(outside / "same")


def remove(path: Path) -> None:
    """Remove whatever stands there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_untouched() -> bool:
    """Whether the folder of others is as it was."""
    held = {path.name for path in OUTSIDE.iterdir()} - {"same"}
    return held == {"thesis.txt", "pipe"} and (OUTSIDE / "thesis.txt").read_text() == "years of work"
