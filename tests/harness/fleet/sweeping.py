"""A project of tiny runs to sweep, without the report."""

import atexit
import json
import shutil
import subprocess
import sys
from contextlib import chdir
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.fleet import dvc_stages
from harness.images.decoded import IMAGES, decode, write_cached
from harness.settings.protocol import load_board
from harness.truth.sources import import_truth
from tests.conftest import copy_project, tiny_params, write_params

STAND_INS = """\
  lookup:
    cmd: ls -R runs > found.txt
    deps: [runs]
    outs: [found.txt]

  theory:
    cmd: echo theory > theory.txt
    outs: [theory.txt]
"""
"""For the stages that come after the runs."""


def prepare_sweep(folder: Path, params: dict[str, Any]) -> None:
    """Make a project in a folder whose data, code and truth are up to date and that has no run."""
    depends_on = {key: params[key] for key in ("protocol", "protocols", "truth")}
    shutil.copytree(_prepared(json.dumps(depends_on)), folder, dirs_exist_ok=True)
    write_params(folder, params)


@cache
def _prepared(depends_on: str) -> Path:
    """Return a project with tiny settings, made once; it depends on those of protocol and truth alone."""
    params = tiny_params(**json.loads(depends_on))
    kept = TemporaryDirectory()
    atexit.register(kept.cleanup)
    folder = Path(kept.name)
    with chdir(folder):
        make_sweep(folder, params)
    return folder


def make_sweep(folder: Path, params: dict[str, Any]) -> None:
    """Make such a project in the current folder from nothing, for settings that name files."""
    copy_project(folder)
    write_params(folder, params)
    stages = folder / "dvc.yaml"
    text = stages.read_text()
    stages.write_text(text[: text.index("  lookup:")] + STAND_INS)
    board = load_board()
    write_cached(IMAGES, decode(board.chosen.data))
    import_truth(board.truth)
    for stage in ("code", "protocol"):
        subprocess.run([sys.executable, "-m", f"pipelines.{stage}"], check=True)
    dvc_stages.commit(*dvc_stages.FIRST)


def dvc(*arguments: str) -> str:
    """Run DVC in the current folder and return what it prints."""
    return subprocess.run(["dvc", *arguments], check=True, capture_output=True, text=True).stdout


def forget_stages(*prefixes: str) -> None:
    """Remove from dvc.lock the stages whose names begin so."""
    path, kept, keep = Path("dvc.lock"), "", True
    for line in path.read_text().splitlines(keepends=True):
        if line.startswith("  ") and line[2] != " ":
            keep = not line[2:].startswith(prefixes)
        kept += line if keep else ""
    path.write_text(kept)
