import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.base.errors import UserError
from harness.board.runner import run_method
from harness.fleet import dvc_stages
from harness.fleet.dvc_project import check_dvc, dvc_folder
from harness.settings.protocol import load_board
from tests.conftest import tiny_params, write_params
from tests.harness.fleet.sweeping import dvc, prepare_sweep

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


def test_what_the_cache_holds_is_told_of_the_inputs_as_they_are_now(finished: Path) -> None:
    assert dvc_stages.cached("one", "two") == ["one", "two"]
    Path("zero.txt").write_text("changed")
    assert dvc_stages.cached("one", "two") == ["two"]  # of `one` dvc.lock knows outputs, but those of other inputs
    Path("zero.txt").write_text("")
    assert dvc_stages.cached("one", "two") == ["one", "two"]
    Path("dvc.lock").unlink()
    assert dvc_stages.cached("one", "two") == ["one", "two"]


@pytest.mark.parametrize("part", [".dvc/cache", ".dvc/cache/runs", ".dvc/cache/files/md5"])
def test_a_cache_that_is_none_is_a_sentence_before_anything_is_done(
    finished: Path, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(part)
    Path(part).symlink_to("nowhere")
    sentence = f"DVC's cache {finished / part} is no folder: move it away, or set another (dvc config cache.dir)"
    for ask in (dvc_stages.stale, check_dvc):
        with pytest.raises(UserError) as told:
            ask()
        assert str(told.value) == sentence
    dvc_stages.commit("one")  # what was done stands
    assert capsys.readouterr().err == f"DVC could not be told, `dvc repro` would make it again: {sentence}\n"


def test_what_dvc_lets_through_is_a_sentence(finished: Path) -> None:
    Path(".dvc/tmp").rename(".dvc/before")
    Path(".dvc/tmp").touch()
    with pytest.raises(UserError, match=rf"^DVC: File exists: {finished}/.dvc/tmp$"):
        check_dvc()


@pytest.mark.parametrize("name", ["dvc.yaml", "dvc.lock"])
def test_a_pipe_in_place_of_a_file_is_told(finished: Path, name: str) -> None:
    Path(name).unlink()
    os.mkfifo(name)
    with pytest.raises(UserError, match=f"^{name} is no file: move it away$"):
        dvc_stages.stale()


def test_without_git_the_remedy_is_named_and_works(finished: Path) -> None:
    Path(".dvc/config").write_text("")
    with pytest.raises(UserError, match=r"is not a git repository: run `git init`, or `dvc config core.no_scm true`"):
        check_dvc()
    subprocess.run(["dvc", "config", "core.no_scm", "true"], check=True)
    check_dvc()


def test_a_project_of_dvc_in_a_folder_above_is_found_and_told(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = finished / "board"
    board.mkdir()
    shutil.copy("dvc.yaml", board)
    Path("one.txt").unlink()  # the other pipeline is stale
    monkeypatch.chdir(board)
    assert dvc_folder() == finished
    for name in ("zero.txt", "one.txt", "two.txt"):
        Path(name).write_text("made otherwise\n")
    check_dvc()
    assert dvc_stages.stale() == ["one", "two"]
    dvc_stages.commit("one", "two")
    assert dvc_stages.stale() == []
    assert Path("one.txt").read_text() == "made otherwise\n"


def test_where_there_is_no_project_of_dvc_it_is_said(finished: Path) -> None:
    Path("dvc.yaml").unlink()
    with pytest.raises(UserError, match=r"^dvc.yaml is missing: run dartsboard in the project's folder$"):
        check_dvc()
    shutil.rmtree(".dvc")
    with pytest.raises(UserError, match=r"^this folder is no DVC project: run `dvc init`"):
        check_dvc()
    dvc_stages.commit("one")


def test_whose_lock_it_is_and_no_advice_to_remove_it(finished: Path) -> None:
    entry = {"pid": os.getppid(), "cmd": "dvc repro"}
    Path(".dvc/tmp/rwlock").write_text(json.dumps({"write": {str(finished / "one.txt"): entry}, "read": {}}))
    sentence = rf"^DVC is at work in this project already \(process {os.getppid()}, dvc repro\): wait for its end$"
    with pytest.raises(UserError, match=sentence):
        dvc_stages.stale()


SHARED = """\
stages:
  one: {cmd: touch one.txt, params: [deep], outs: [one.txt]}
  two: {cmd: touch two.txt, params: [deep], outs: [two.txt]}
"""


def test_the_lock_file_has_no_anchors_and_stays_when_nothing_changed(finished: Path) -> None:
    Path("dvc.yaml").write_text(SHARED)
    Path("params.yaml").write_text("deep: {a: [1, 2], b: {c: 3}}\n")
    dvc_stages.commit("one", "two")
    assert "&" not in Path("dvc.lock").read_text()
    assert dvc_stages.stale() == []
    before = Path("dvc.lock").stat()
    dvc_stages.commit("one", "two")
    after = Path("dvc.lock").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_was_made_elsewhere_is_told_from_what_is_to_be_made(finished: Path) -> None:
    shutil.rmtree(".dvc/cache")
    assert dvc_stages.look().elsewhere == []  # the outputs are here
    for name in ("one.txt", "two.txt"):
        Path(name).unlink()
    assert dvc_stages.look().elsewhere == ["one", "two"]
    Path("zero.txt").write_text("changed")
    assert dvc_stages.look().elsewhere == ["two"]


def test_what_is_recorded_is_recorded_with_the_protocol_of_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    prepare_sweep(tmp_path, tiny_params(seeds=[0]))
    changed = tiny_params(seeds=[0])
    changed["protocols"]["tiny"]["weights"]["lr"] = 0.3
    write_params(tmp_path, changed)
    run_method(load_board(), "darts", 0)
    dvc_stages.commit("search@darts-0")
    assert "protocol" in dvc_stages.stale()
    dvc("repro", "protocol")
    assert "search@darts-0" not in dvc_stages.stale()
    write_params(tmp_path, tiny_params(seeds=[0]))
    dvc("repro", "protocol")
    assert "search@darts-0" in dvc_stages.stale()
