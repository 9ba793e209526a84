"""A tiny finished board, and folders of published boards that tests change."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.board.lookup import look_up
from harness.board.runner import run_method
from harness.publishing.manifest import MANIFEST
from harness.results.columns import RESULTS
from harness.settings.protocol import load_board
from harness.truth.table import Truth
from tests.conftest import tiny_params, write_params

PARAMS = tiny_params(variants={"darts-2nd": {"radius": 0.01}}, reference="darts-2nd")


def finish_board(**changes: Any) -> None:
    """Run a tiny board in the current folder, which is a copy of `prepared`, and look its runs up."""
    write_params(Path(), {**PARAMS, **changes})
    board = load_board()
    for name, seed in board.runs:
        run_method(board, name, seed)
    look_up(board, Truth.read(), RESULTS)


def manifest(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    return content


def rewrite(folder: Path, **changes: Any) -> None:
    """Change keys of published.json, and bring its list of files up to date with what a test wrote there."""
    content = manifest(folder) | changes
    if "files" not in changes:
        for name, listed in content["files"].items():
            found = (folder / name).read_bytes()
            listed |= {"bytes": len(found), "sha256": sha256(found).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(content))
