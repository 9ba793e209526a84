"""Finished runs that wait for the stage that asks for them, so that nothing DVC removes and no kill loses one.

A run waits under a hash of all that its stage depends on, which can be told without importing torch. Its files are
links, so that waiting takes no space.
"""

import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.base.errors import UserError
from harness.base.files import STATE, file_checksum, read_text, whole_folder
from harness.images.decoded import IMAGES, data_hash
from harness.settings.protocol import Board
from harness.settings.validation import content_hash

FINISHED = STATE / "finished"
CODE = Path("data/code")
"""Where the stage `code` notes the version of each method's code."""


def request(board: Board, name: str, seed: int) -> str:
    """Return the hash of all that a run depends on, as its stage declares it.

    Raises:
        UserError: the images, the true accuracies or the code's version are missing or damaged.
    """
    chosen = board.chosen
    content: dict[str, Any] = {"method": name, "seed": seed, "code": noted_code(name)}
    if name in board.variants:
        content |= {"settings": board.variants[name], "protocol": chosen.model_dump(mode="json")}
        content["data"] = data_hash(IMAGES, chosen.data)
    else:
        from harness.truth.table import TRUTH_FILE  # imports pandas

        content |= {"settings": board.baselines.get(name), "operations": list(chosen.operations)}
        content["truth"] = file_checksum(TRUTH_FILE)
    return content_hash(content)


def noted_code(name: str) -> str:
    """Return the version of a method's code that the stage `code` noted.

    Raises:
        UserError: it noted none.
    """
    path = CODE / f"{name}.json"
    try:
        return str(json.loads(read_text(path))["code"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path} is missing or damaged: make it with `dvc repro code`") from None


def root_of(key: str) -> Path:
    """Return the folder that stands in the place of runs/ for the run of a request."""
    return FINISHED / key


def waiting(key: str, run: Path) -> str | None:
    """Return the status of a whole run that waits, whose folder in runs/ is `run`; None if there is none."""
    return _status(_place(key, run))


def take(key: str, run: Path, *, failed: bool) -> str | None:
    """Bring a waiting run to its folder in runs/, and let it wait on; return its status, None if none waits whole.

    Args:
        key: of `request`.
        run: its folder in runs/.
        failed: whether to take one that failed too.

    Raises:
        UserError: it cannot be written there.
    """
    status = waiting(key, run)
    if status is None or (status == "failed" and not failed):
        return None
    _link(_place(key, run), run)
    return status


def keep(key: str, run: Path) -> None:
    """Let a run that is in runs/ wait too: DVC removes it there before it asks for it.

    Raises:
        UserError: it cannot be written.
    """
    _link(run, _place(key, run))


def discard(key: str) -> None:
    """Let the run of a request wait no longer."""
    shutil.rmtree(root_of(key), ignore_errors=True)


def discard_taken(runs: Path) -> None:
    """Let no run wait that is in its folder below `runs` as well."""
    for record in FINISHED.glob("*/*/seed-*/record.json"):
        taken = runs / record.parent.parent.name / record.parent.name / record.name
        with suppress(OSError):
            if taken.read_bytes() == record.read_bytes():
                discard(record.parts[len(FINISHED.parts)])


def forgotten(board: Board) -> list[Path]:
    """Return the folders of runs that wait for no stage of the board, such as those of other settings.

    Raises:
        UserError: there are waiting runs, and what they belong to cannot be told.
    """
    held = [path for path in sorted(FINISHED.glob("*")) if re.fullmatch(r"[0-9a-f]{64}", path.name)]
    held = [path for path in held if path.is_dir() and not path.is_symlink()]
    wanted = {request(board, name, seed) for name, seed in board.runs} if held else set()
    return [path for path in held if path.name not in wanted]


def _place(key: str, run: Path) -> Path:
    return root_of(key) / run.parent.name / run.name


def _link(source: Path, target: Path) -> None:
    with whole_folder(target) as staging:
        for path in source.iterdir():
            try:
                os.link(path, staging / path.name)
            except OSError:  # a file system without links
                shutil.copy2(path, staging / path.name)


def _status(folder: Path) -> str | None:
    """Return the status of the run in a folder; None if it is not whole, by its own checksums."""
    try:
        sums = json.loads(read_text(folder / "checksums.json"))
        whole = "record.json" in sums and all(file_checksum(folder / Path(file).name) == sums[file] for file in sums)
        return str(json.loads(read_text(folder / "record.json"))["status"]) if whole else None
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return None
