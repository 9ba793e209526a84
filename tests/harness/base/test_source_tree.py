"""Two copies of the project, and commands of the one called in the other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.base.source_tree import is_own_board
from tests.conftest import ROOT, copy_project

COMMAND = "from harness.cli import run; run()"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another copy, in which darts says something else of itself."""
    folder = tmp_path_factory.mktemp("copy")
    copy_project(folder)
    method = folder / "variants" / "darts.py"
    method.write_text(method.read_text().replace("none (the reference)", "edited here"))
    return folder


def called(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the installed code, this project's, in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_folder_is_a_copy_of_the_project_or_a_board_of_ones_own(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "variants").mkdir()
    for folder, own in ((ROOT, False), (copy, False), (tmp_path, True)):
        monkeypatch.chdir(folder)
        assert is_own_board() == own


@pytest.mark.parametrize("safe", ["", "1"])
def test_the_command_runs_the_code_of_the_folder_it_is_called_in(copy: Path, safe: str) -> None:
    # As an installed command: the current folder is not on the path.
    result = called(copy, "-P", "-c", COMMAND, "variants", PYTHONSAFEPATH=safe)
    assert result.returncode == 0, result.stderr
    assert "edited here" in result.stdout


def test_without_a_copy_here_the_installed_code_runs(tmp_path: Path) -> None:
    result = called(tmp_path, "-P", "-c", COMMAND, "variants")
    assert result.returncode == 0, result.stderr
    assert "none (the reference)" in result.stdout


def test_a_stage_with_the_code_of_another_copy_is_one_sentence(copy: Path) -> None:
    result = called(copy, "-m", "pipelines.code", PYTHONSAFEPATH="1")
    assert result.returncode == 2
    assert result.stderr.startswith("error: this folder has its own harness/, but the code that runs comes from ")
    assert result.stderr.count("\n") == 1
    assert not (copy / "data" / "code").exists()


def test_the_options_and_the_exit_status_are_those_of_the_command(copy: Path) -> None:
    result = called(copy, "-P", "-c", COMMAND, "cell", "no cell")
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert "Usage: dartsboard cell" in called(copy, "-P", "-c", COMMAND, "cell", "--help").stdout


def test_the_code_of_the_folder_bears_a_full_disk_behind_its_output_too(copy: Path) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        result = subprocess.run(
            [sys.executable, "-P", "-c", COMMAND, "cell", "5"],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert result.returncode == 2
    assert result.stderr == "error: the output could not be written: No space left on device\n"
