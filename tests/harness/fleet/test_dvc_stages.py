import subprocess
from pathlib import Path

import pytest

from harness.fleet import dvc_stages

STAGES = """\
stages:
  one:
    cmd: echo one >> ran.txt; echo one > one.txt
    deps: [zero.txt]
    outs: [one.txt]
  two:
    cmd: echo two >> ran.txt; cat one.txt > two.txt
    deps: [one.txt]
    outs: [two.txt]
"""


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two stages that have run."""
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(STAGES)
    Path("zero.txt").touch()
    for command in (["init", "--no-scm", "--quiet"], ["repro", "--quiet"]):
        subprocess.run(["dvc", *command], check=True)
    assert dvc_stages.stale() == []
    return tmp_path


@pytest.mark.parametrize("left", ["", "schema: '2", "schema: '2.0'\nstages:\n  one:\n    cmd", "\0"])
def test_a_lock_file_that_a_killed_dvc_left_is_put_aside_and_nothing_runs_again(
    finished: Path, left: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(left)
    assert dvc_stages.stale() == ["one", "two"]
    assert capsys.readouterr().err.startswith("dvc.lock was damaged and is now dvc.lock-damaged;")
    assert Path("dvc.lock-damaged").read_text() == left
    assert dvc_stages.restore("one", "two") == []
    assert dvc_stages.stale() == []
    assert Path("dvc.lock").read_text() == whole
    assert Path("ran.txt").read_text() == "one\ntwo\n"


def test_a_missing_lock_file_is_no_damage(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("dvc.lock").unlink()
    assert dvc_stages.stale() == ["one", "two"]
    assert capsys.readouterr().err == ""
