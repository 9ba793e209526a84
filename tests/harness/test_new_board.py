import resource
import subprocess
from pathlib import Path

import pytest

from harness.board.stage_code import code_version, other_stages
from harness.fleet.dvc_project import check_dvc, dvc_folder
from harness.search import registry
from harness.settings.protocol import load_board
from tests.commands import fails, succeeds
from tests.conftest import ROOT

FILES = {
    *("params.yaml", "dvc.yaml", "README.md", ".gitignore", ".dvcignore"),
    *("plots/over_epochs.json", "plots/a_run_a_mark.json"),
    *("variants/.gitkeep", "tests/.gitkeep", ".dvc/config", ".dvc/.gitignore"),
}


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_new_board_is_whole(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert succeeds("init", "my-board").splitlines() == [
        "wrote my-board; DVC is set up in it, to do without git",
        "next: cd my-board && dvc repro",
    ]
    assert files(here) == {f"my-board/{name}" for name in FILES}
    assert (here / "my-board" / "README.md").read_text().startswith("# my-board\n")
    monkeypatch.chdir("my-board")
    registry.check_board(load_board())
    check_dvc()
    assert other_stages() == []
    assert code_version() is not None


def test_an_empty_folder_and_folders_above_may_be_there_or_not(here: Path) -> None:
    (here / "empty").mkdir()
    succeeds("init", "empty")
    succeeds("init", "new/er/board one")
    assert files(here / "empty") == files(here / "new/er/board one") == FILES


class TestSurroundings:
    def test_in_a_git_repository_dvc_knows_it(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        subprocess.run(["git", "init", "--quiet"], check=True)
        assert "; DVC is set up in it\n" in succeeds("init", "boards/first")
        monkeypatch.chdir("boards/first")
        check_dvc()
        assert dvc_folder() == here / "boards" / "first"
        assert "no_scm" not in Path(".dvc/config").read_text()

    def test_several_boards_are_part_of_a_project_of_dvc_with_stages_of_its_own(
        self, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from dvc.repo import Repo

        subprocess.run(["git", "init", "--quiet"], check=True)
        subprocess.run(["dvc", "init", "--quiet"], check=True)
        Path("dvc.yaml").write_text(
            "stages:\n  own:\n    cmd: echo ${size} > out\n    params: [size]\n    outs: [out]\n"
        )
        Path("params.yaml").write_text("size: 3\n")
        for name in ("first", "second"):
            assert f"; it is part of the DVC project {here}\n" in succeeds("init", name)
            assert files(here / name) == FILES - {".dvc/config", ".dvc/.gitignore"}
        with Repo() as repo:
            names = [stage.addressing for stage in repo.index.stages]
        assert {"own", "first/dvc.yaml:search@darts-0", "second/dvc.yaml:report"} <= set(names)
        monkeypatch.chdir("second")
        check_dvc()

    def test_a_project_of_dvc_outside_the_repository_is_not_meant(self, here: Path) -> None:
        (here / ".dvc").mkdir()
        subprocess.run(["git", "init", "--quiet", "repository"], check=True)
        assert "; DVC is set up in it\n" in succeeds("init", "repository/board")


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        *(
            (name, "is no name for a board")
            for name in ("", ".", "..", "/", "a/..", ".hidden", "--", "a\nb", "x" * 101)
        ),
        ("full", "full is not empty, expected the name of a new folder"),
        ("file", "file is no folder, expected a folder or nothing: move it away"),
        ("file/board", "file is no folder, expected a folder or nothing: move it away"),
        ("link", "link is a link, expected the name of a new folder"),
        ("dangling", "dangling is a link that leads nowhere, expected a folder or nothing: move it away"),
        ("board/variants/inner", "board/variants/inner would lie in another board, {here}/board: make it beside that"),
        ("way/inner", "way/inner would lie in another board, {here}/board: make it beside that"),
        (f"{'x/' * 2100}y", "is no name of a file: File name too long"),
    ],
)
def test_a_place_that_will_not_do_is_one_sentence_and_changes_nothing(here: Path, place: str, sentence: str) -> None:
    succeeds("init", "board")
    (here / "full").mkdir()
    (here / "full" / "a").touch()
    (here / "file").touch()
    (here / "empty").mkdir()
    (here / "link").symlink_to("empty")
    (here / "dangling").symlink_to("nothing")
    (here / "way").symlink_to("board/variants")
    before = sorted(here.rglob("*"))
    assert sentence.format(here=here) in fails("init", "--", place)
    assert sorted(here.rglob("*")) == before


def test_inside_the_project_it_would_be_inside_a_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert f"would lie in another board, {ROOT}" in fails("init", "my-board")


def test_a_full_disk_leaves_nothing(here: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))  # params.yaml is larger
    try:
        assert fails("init", "my-board") == "my-board could not be written: File too large"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(here.iterdir()) == []


def test_a_variant_of_ones_own_has_its_test_and_no_page(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    succeeds("init", "my-board")
    monkeypatch.chdir("my-board")
    assert succeeds("new-variant", "my-variant").splitlines() == [
        "wrote variants/my_variant.py",
        "wrote tests/test_my_variant.py",
        "wrote params.yaml",
        "next: python -m pytest tests, then dvc repro",
    ]
    assert 'package="variants.my_variant"' in Path("tests/test_my_variant.py").read_text()
    assert load_board().variants["my-variant"] == {"temperature": 2.0}
