"""dvc.lock with the entries of some stages exchanged, and all others left as they stand.

DVC reads the whole file with a parser that keeps remarks, changes it and writes it anew, which takes seconds on a board
of hundreds of runs. What DVC wrote itself has a block of lines a stage, and those are told apart without a parser.
"""

import re
import shutil
from pathlib import Path
from typing import Any

from harness.base.files import whole_file

HEAD = "schema: '2.0'\nstages:\n"
BLOCK = re.compile(r"  ([A-Za-z_][\w@.-]*):\n((?:(?:    .*)?\n)+)")
"""The name of a stage, and its lines; a name that looks like anything else but text stands in quotation marks."""
ANCHOR = re.compile(r"[&*]id\d")
"""By which DVC writes once what several stages share."""

Blocks = dict[str, str]


def write_stages(stages: list[Any], path: Path) -> None:
    """Bring the entries of stages in dvc.lock up to date: the file appears whole, or stays as it was.

    Args:
        stages: DVC's, of one file; saved and committed.
        path: of dvc.lock.

    Raises:
        UserError: the file cannot be written.
    """
    from dvc.dvcfile import Lockfile

    if not stages:
        return
    repo = stages[0].repo
    with whole_file(path) as staging:  # DVC would write into the file itself, and half of it if it were killed
        Lockfile(repo, str(staging)).dump_stages(stages)
        held, new = _blocks(path), _blocks(staging)
        if held is not None and new is not None:
            _write(staging, held | new)
            shutil.copymode(path, staging)
        elif path.exists():
            shutil.copy(path, staging)
            Lockfile(repo, str(staging)).dump_stages(stages)


def _blocks(path: Path) -> Blocks | None:
    """Return the lines of each stage; None if there is no file, or one that is not laid out as DVC does."""
    try:
        text = path.read_bytes().decode()
    except (OSError, ValueError):
        return None
    body = text.removeprefix(HEAD)
    found = BLOCK.findall(body)
    blocks = dict(found)
    whole = "".join(f"  {name}:\n{lines}" for name, lines in found) == body and len(blocks) == len(found)
    return blocks if text.startswith(HEAD) and whole and not ANCHOR.search(text) else None


def _write(path: Path, blocks: Blocks) -> None:
    path.write_bytes((HEAD + "".join(f"  {name}:\n{lines}" for name, lines in blocks.items())).encode())
