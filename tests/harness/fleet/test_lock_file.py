import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from dvc.dvcfile import Lockfile

from harness.fleet import dvc_stages, lock_file
from harness.fleet.dvc_project import dvc_project

STAGES = """\
stages:
  many:
    matrix: {name: [a, b-c, d.e, "1.5"]}
    cmd: echo ${item.name} > ${item.name}.txt
    params: [deep]
    outs: ["${item.name}.txt"]
  long:
    cmd: "echo 'a line: that DVC breaks, for it is longer than others, and it goes on and on and on and on': # x
      "
    deps: [b-c.txt]
    outs: [long.txt: {cache: false}]
  folder: {cmd: "true", deps: [in], params: [text], outs: [out]}
"""
PARAMS = """\
deep: {a: [1, 2.5, null, "on", "1e3", é], b: {c: "1: 2", d: "# no remark", e: []}}
text: "two\\n\\nlines "
"""
NAMES = ("many@a", "many@b-c", "many@d.e", "many@1.5", "long", "folder")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of stages that were made, and of which DVC was told."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["dvc", "init", "--no-scm", "--quiet"], check=True)
    Path("dvc.yaml").write_text(STAGES)
    Path("params.yaml").write_text(PARAMS)
    for name in ("a", "b-c", "d.e", "1.5", "long"):
        Path(f"{name}.txt").write_text(name)
    for name in ("in", "out"):
        Path(name).mkdir()
        Path(name, "file").write_text(name)
    dvc_stages.commit(*NAMES[:-1])
    return tmp_path


def written_by_dvc(stages: list[Any]) -> str:
    shutil.copy("dvc.lock", "by-dvc.lock")
    Lockfile(stages[0].repo, "by-dvc.lock").dump_stages(stages)
    return Path("by-dvc.lock").read_text()


def record(*names: str) -> str:
    """Record stages, and return what DVC would have made of dvc.lock."""
    with dvc_project() as repo:
        stages = [stage for stage in repo.index.stages if stage.name in names]
        for stage in stages:
            stage.save()
            stage.commit()
        expected = written_by_dvc(stages)
        lock_file.write_stages(stages, Path("dvc.lock"))
    return expected


def test_the_file_is_what_dvc_would_write_and_dvc_parses_none_of_the_others(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("d.e.txt").write_text("another")
    Path("params.yaml").write_text(PARAMS.replace("2.5", "3.5"))
    original = Lockfile.dump_stages
    names: list[str] = []

    def noted(self: Lockfile, stages: list[Any], **kwargs: Any) -> None:
        names.append(Path(self.path).name)
        if names[-1] != "by-dvc.lock":
            assert not Path(self.path).exists()
        original(self, stages, **kwargs)

    monkeypatch.setattr(Lockfile, "dump_stages", noted)
    before = Path("dvc.lock").read_text()
    Path("dvc.lock").chmod(0o664)
    assert record("many@d.e", "folder", "many@a") == Path("dvc.lock").read_text() != before
    assert len(names) == 2
    assert Path("dvc.lock").stat().st_mode & 0o777 == 0o664
    assert dvc_stages.stale() == ["many@b-c", "many@1.5"]  # they have another setting by now
    dvc_stages.commit(*NAMES)
    assert dvc_stages.stale() == []


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "# a remark\n" + text,
        lambda text: text.replace("  long:\n", "  # a remark\n  long:\n"),
        lambda text: text.replace("  long:\n", '  "long":\n'),
        lambda text: text.replace("    hash: md5\n", "    hash: &id001 md5\n", 1),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("schema: '2.0'\n", "") + "schema: '2.0'\n",
        lambda text: text.rstrip("\n"),
        lambda text: "\ufeff" + text,
    ],
)
def test_a_file_of_another_layout_is_left_to_dvc(project: Path, change: Any) -> None:
    Path("dvc.lock").write_bytes(change(Path("dvc.lock").read_text()).encode())
    Path("long.txt").write_text("another")
    assert record("long", "folder") == Path("dvc.lock").read_text()
    assert dvc_stages.stale() == []


def test_without_a_file_there_is_one(project: Path) -> None:
    before = Path("dvc.lock").read_text()
    Path("dvc.lock").unlink()
    dvc_stages.commit(*NAMES[:-1])
    assert Path("dvc.lock").read_text() == before


def test_the_file_is_not_read_once_a_stage(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Lockfile._load
    reads: list[str] = []
    monkeypatch.setattr(Lockfile, "_load", lambda self, **kwargs: reads.append(self.path) or original(self, **kwargs))

    def reads_of(*names: str) -> int:
        reads.clear()
        dvc_stages.record(*names)
        return len(reads)

    assert reads_of("long") == reads_of(*NAMES[:-1])
