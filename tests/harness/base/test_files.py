"""Files that appear whole or not at all, and what is left of those who died on the way."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from harness.base import files
from harness.base.errors import UserError
from harness.base.files import whole_file, whole_folder


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def left_by(target: Path, owner: object, node: str = platform.node()) -> Path:
    return target.with_name(f".{target.name}.{node}-{owner}.partial")


def test_what_a_dead_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    target, folder = tmp_path / "file", tmp_path / "folder"
    left_by(target, dead_process()).write_text("half")
    left_by(folder, dead_process()).mkdir()
    left_by(folder, f"{dead_process()}.old").mkdir()
    others = [
        left_by(target, os.getppid()),  # at work
        left_by(target, dead_process(), "another-machine"),  # nobody knows
        left_by(target, "x"),
        left_by(tmp_path / "another", dead_process()),
    ]
    for other in others:
        other.write_text("half")
    with whole_file(target) as staging:
        staging.write_text("whole")
    with whole_folder(folder) as staging:
        (staging / "a").write_text("whole")
    assert sorted(tmp_path.iterdir()) == sorted([*others, target, folder])


@pytest.mark.parametrize("whole", [whole_file, whole_folder])
def test_an_error_leaves_the_old_and_nothing_else(tmp_path: Path, whole) -> None:
    target = tmp_path / "target"
    with whole(target) as staging:
        (staging / "a" if whole is whole_folder else staging).write_text("old")
    with pytest.raises(UserError, match="target could not be written: No space left on device"), whole(target):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == [target]
    assert (target / "a" if whole is whole_folder else target).read_text() == "old"


def test_nobody_meets_half_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while the old folder is removed, a writer leaves the new one whole."""
    folder = tmp_path / "folder"
    for content in ("old", "new"):
        with whole_folder(folder) as staging:
            (staging / "a").write_text(content)
            (staging / "b").write_text(content)
            if content == "new":
                monkeypatch.setattr(files.shutil, "rmtree", lambda *arguments, **options: None)  # comes to nothing
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"a": "new", "b": "new"}
