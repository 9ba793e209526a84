"""The commit that a record names, and whether the code was that of the commit."""

import subprocess
from pathlib import Path

import pytest

from harness.records.environment import git_revision


def git(*arguments: str) -> str:
    name = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(["git", *name, *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A repository with a file of code, and a board in its folder `board`, which is the working directory."""
    (tmp_path / "board").mkdir()
    monkeypatch.chdir(tmp_path / "board")
    for name in ("../code.py", "params.yaml", "sources.json", "dvc.lock"):
        Path(name).touch()
    git("init", "--quiet", "..")
    git("add", "..")
    git("commit", "--quiet", "-m", "all")
    return git("rev-parse", "HEAD")


def test_another_board_is_no_change_of_the_code(commit: str) -> None:
    Path("params.yaml").write_text("seeds: [1]\n")
    Path("sources.json").write_text("{}")
    Path("dvc.lock").unlink()
    Path("notes.txt").touch()
    assert git_revision() == commit


def test_changed_code_is_told_wherever_it_lies(commit: str) -> None:
    Path("../code.py").write_text("pass\n")
    assert git_revision() == f"{commit}+changes"
    git("add", "..")
    assert git_revision() == f"{commit}+changes"


def test_outside_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_revision() is None
