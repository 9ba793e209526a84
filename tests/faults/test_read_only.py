"""Folders that cannot be written: one sentence with exit status 2, and nothing half-written."""

import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli import main
from tests.reports.simulate import Simulation

WRITERS = [
    ("runs", "dartsboard search random-search --seed 0"),
    (".dartsboard", "dartsboard search darts --seed 0"),
    ("data", "dartsboard truth import analog-nasbench"),
    ("tests", "dartsboard new-variant mine"),
    (".", "dartsboard ui"),
    (".", "pipelines.lookup"),
]
MORE_WRITERS = [
    (".dartsboard", "dartsboard search random-search --seed 0"),
    (".", "dartsboard truth import analog-nasbench"),
    ("variants", "dartsboard new-variant mine"),
    (".", "dartsboard new-variant mine"),
    (".", "dartsboard sync"),
    ("data", "pipelines.data"),
    ("data", "pipelines.truth"),
    ("data", "pipelines.code"),
    ("runs", "pipelines.search darts 0"),
    (".dartsboard", "pipelines.track"),
    (".", "pipelines.report"),
    ("data", "pipelines.theory small"),
]


@pytest.fixture
def read_only() -> Iterator[list[Path]]:
    """Folders that were made read-only: permissions mean nothing to root, mounts do."""
    mounted: list[Path] = []
    yield mounted
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make_read_only(folder: Path, mounted: list[Path]) -> None:
    bind = ["mount", "--bind", str(folder), str(folder)]
    if shutil.which("mount") is None or subprocess.run(bind, capture_output=True).returncode:
        pytest.skip("no folder can be made read-only here")
    mounted.append(folder)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)


def files_of(project: Path) -> dict[Path, bytes]:
    """All files but locks, checkpoints that the search goes on from, and MLflow's store."""
    paths = [path for path in project.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {
        path: path.read_bytes() for path in paths if not {"checkpoints", "mlflow.db", "mlartifacts"} & {*path.parts}
    }


@pytest.mark.parametrize(
    ("folder", "command"), [*WRITERS, *(pytest.param(*writer, marks=pytest.mark.slow) for writer in MORE_WRITERS)]
)
def test_a_read_only_folder_is_one_sentence(
    project: Path,
    read_only: list[Path],
    folder: str,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("runs", ".dartsboard", "variants", "tests"):
        (project / name).mkdir(parents=True, exist_ok=True)
    if command.endswith(("report", "track", "sync")):
        Simulation(baselines=(), seeds=(0,), epochs=1).write(project / "results")
    before = files_of(project)
    make_read_only(project / folder, read_only)
    monkeypatch.chdir(project)  # into the mount
    program, *arguments = command.split()
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    with pytest.raises(SystemExit) as ended:
        main() if program == "dartsboard" else _stage(program, arguments)
    told = capsys.readouterr().err
    assert (ended.value.code, told.count("\n")) == (2, 1), told
    assert told.startswith("error: ") and "could not be written: " in told and "Read-only file system" in told
    monkeypatch.undo()
    assert files_of(project) == before
    assert not list(project.rglob("*.partial*"))


def _stage(module: str, arguments: list[str]) -> None:
    stage = importlib.import_module(module)
    given = {"pipelines.search": ("darts", 0), "pipelines.theory": (getattr(stage, "SMALL", None),)}
    stage.main(*given.get(module, ()))
