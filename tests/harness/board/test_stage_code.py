"""The versions of stages in a board outside the project: they change with what they name, and with nothing else."""

import json
import shutil
from pathlib import Path

import pytest

from harness.base.errors import UserError
from harness.base.source_tree import TEMPLATE
from harness.board import stage_code as module
from harness.board.sources import SOURCES_FILE, changed_sources, write_sources
from harness.board.stage_code import code_version, other_stages, stage_code, stage_version
from harness.settings.protocol import load_board
from tests.conftest import ROOT, tiny_params, write_params


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A board, and beside it a copy of what is installed."""
    installed, folder = tmp_path / "installed", tmp_path / "board"
    for part in ("harness", "variants", "pipelines", "reports"):
        shutil.copytree(ROOT / part, installed / part, ignore=shutil.ignore_patterns("__pycache__", "generated"))
    monkeypatch.setattr(module, "RUNNING", installed)
    (folder / "variants").mkdir(parents=True)
    shutil.copy(TEMPLATE / "stages.yaml", folder / "dvc.yaml")
    write_params(folder, tiny_params())
    monkeypatch.chdir(folder)
    return folder


def versions() -> dict[str, str]:
    return {name: stage_version(parts) for name, parts in stage_code().items()}


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("harness/truth/nats_bench.py", {"truth"}),
        ("harness/truth/columns.py", {"truth", "lookup", "report"}),
        ("harness/images/split.py", {"data"}),
        ("harness/untrusted/limited_reading.py", {"data", "truth"}),
        ("harness/tracking/mirror.py", {"track"}),
        ("reports/templates/page.html.jinja", {"report"}),
        ("harness/board/published.csv", {"report"}),
        ("variants/darts.py", {"report"}),
        ("pipelines/theory.py", {"theory"}),
        ("harness/search/loop.py", set()),
        ("harness/cli/runs.py", set()),
    ],
)
def test_a_release_changes_the_versions_of_what_it_changed(board: Path, file: str, changed: set[str]) -> None:
    before, whole = versions(), code_version()
    assert set(before) == {"protocol", "data", "truth", "lookup", "theory", "report", "track"}
    with (board.parent / "installed" / file).open("a") as handle:
        handle.write("\n# changed\n")
    assert {name for name, version in versions().items() if version != before[name]} == changed
    assert code_version() != whole  # so that the stage `code` runs


def test_what_python_and_editors_leave_behind_is_no_code(board: Path) -> None:
    before = versions(), code_version()
    for name in (".mine.py.swp", "#mine.py#", "mine.py~", ".#mine.py"):
        Path("variants", name).write_text("half of a line")
    cache = board.parent / "installed" / "harness" / "truth" / "__pycache__"
    cache.mkdir()
    (cache / "table.pyc").write_bytes(b"compiled")
    assert (versions(), code_version()) == before


def test_a_method_of_the_board_counts_as_the_installed_ones_do(board: Path) -> None:
    before, whole = versions(), code_version()
    Path("variants/mine.py").write_text("")
    assert {name for name, version in versions().items() if version != before[name]} == {"report"}
    assert code_version() != whole


def test_the_place_of_the_board_and_of_what_is_installed_does_not_matter(
    board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("variants/mine.py").write_text("")
    before = versions(), code_version()
    board.parent.rename(board.parent.with_name("moved"))
    monkeypatch.setattr(module, "RUNNING", board.parent.with_name("moved") / "installed")
    monkeypatch.chdir(board.parent.with_name("moved") / "board")
    assert (versions(), code_version()) == before


def test_the_sources_tell_of_another_release_and_of_nothing_before_the_first_run(board: Path) -> None:
    assert changed_sources(load_board()) == []
    write_sources(load_board())
    assert json.loads(SOURCES_FILE.read_text())["code"] == {"path": None, "sha256": code_version()}
    assert changed_sources(load_board()) == []
    (board.parent / "installed" / "harness" / "api.py").write_text("")
    (sentence,) = changed_sources(load_board())
    assert sentence.startswith(
        "the installed Dartsboard, or a method in variants/, is not what `dvc repro` last worked"
    )
    assert changed_sources(load_board(), "truth") == []
    write_sources(load_board())
    assert changed_sources(load_board()) == []


def test_in_the_project_dvc_watches_the_code_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert stage_code() == {}
    assert code_version() is None
    assert other_stages() == []


def test_stages_of_another_release_are_named(board: Path) -> None:
    text = Path("dvc.yaml").read_text()
    assert other_stages() == []
    Path("dvc.yaml").write_text(
        text.replace("stages:\n", "stages:\n  own:\n    cmd: ls\n")
    )  # a stage of the user's own is nobody's business
    assert other_stages() == []
    Path("dvc.yaml").write_text(text.replace("      - results/space.parquet\n", ""))
    assert other_stages() == ["lookup"]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("[harness/gone]", "the installed Dartsboard has no 'harness/gone': take dvc.yaml from a board that it makes"),
        ("harness/truth", "expected a list of files and folders of Dartsboard, not 'harness/truth'"),
        ("[3]", r"expected a list of files and folders of Dartsboard, not \[3\]"),
    ],
)
def test_code_that_is_not_there_is_one_sentence(board: Path, code: str, sentence: str) -> None:
    Path("dvc.yaml").write_text(f"stages:\n  truth:\n    cmd: ls\n    meta: {{code: {code}}}\n")
    with pytest.raises(UserError, match=rf"^dvc.yaml, stages.truth.meta.code: {sentence}"):
        code_version()


@pytest.mark.parametrize("text", ["", "[]", "stages: 3", "stages: {a: 3}", "stages: {a: {meta: 3}}"])
def test_stages_that_name_no_code_have_none(board: Path, text: str) -> None:
    Path("dvc.yaml").write_text(text)
    assert code_version() is None
