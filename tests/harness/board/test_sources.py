"""What a board is made from is told by its content, wherever it lies."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness.base.errors import UserError
from harness.base.known_hashes import KNOWN_HASHES, KnownHashes
from harness.board.sources import KEYS, SOURCES_FILE, Part, changed_sources, write_sources
from harness.cli import main
from harness.doctor import examine
from harness.settings.protocol import Board, load_board
from tests.conftest import tiny_params, write_params


def board_with(folder: Path, truth: str | None = None, split: str | None = None, images: Any = None) -> Board:
    content = tiny_params()
    data = content["protocols"]["tiny"]["data"]
    if truth is not None:
        columns = {"acc": {"data_set": "cifar10", "split": "test", "epochs": 200}}
        content["truth"] = {"source": "table", "path": truth, "cell_column": "cell", "columns": columns}
    if split is not None:
        data["split"] = {"kind": "file", "file": split}
    data |= images or {}
    write_params(folder, content)
    return load_board()


def written(part: Part) -> dict[str, str | None]:
    return dict(json.loads(SOURCES_FILE.read_text())[part])


def test_a_board_that_names_no_file_has_nothing_that_could_change(project: Path) -> None:
    board = load_board()
    assert changed_sources(board) == []
    write_sources(board)
    assert [written(part) for part in KEYS] == [{"path": None, "sha256": None}] * len(KEYS)
    assert not KNOWN_HASHES.exists()


@pytest.mark.parametrize("part", ["truth", "split"])
def test_a_file_is_told_by_its_content(project: Path, part: Part) -> None:
    Path("named.csv").write_text("one")
    board = board_with(project, **{part: "named.csv"})
    assert changed_sources(board) == [f"{KEYS[part]}: named.csv is not what `dvc repro` last worked with"]
    write_sources(board)
    before = SOURCES_FILE.read_bytes()
    os.utime("named.csv")
    assert changed_sources(board) == []
    Path("named.csv").write_text("two")
    assert len(changed_sources(board)) == 1
    assert changed_sources(board, "images") == []
    assert SOURCES_FILE.read_bytes() == before  # to look changes nothing
    write_sources(board)
    assert SOURCES_FILE.read_bytes() != before


@pytest.mark.parametrize("name", ["folder", "imagenet16-120"])
def test_images_are_told_by_their_names_and_contents(project: Path, name: str) -> None:
    files = ["pictures/train/a/1.png", "pictures/train/b/2.JPG"] if name == "folder" else ["pictures/val_data"]
    for file in files:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(file)
    board = board_with(project, images={"name": name, "path": "pictures"})
    write_sources(board)
    first = written("images")
    Path("pictures/README.txt").write_text("no picture")
    assert changed_sources(board) == []
    Path(files[0]).write_text("another")
    write_sources(board)
    second = written("images")
    if name == "folder":
        Path(files[0]).rename("pictures/train/a/3.png")
        assert len(changed_sources(board)) == 1
    assert first["path"] == second["path"] == "pictures"
    assert first["sha256"] != second["sha256"]


def test_files_that_have_to_be_as_published_are_not_read(project: Path) -> None:
    board = board_with(project, images={"name": "cifar10", "path": "cifar", "download": True})
    write_sources(board)
    assert written("images") == {"path": None, "sha256": None}


def test_a_file_that_is_not_at_hand_has_not_changed(project: Path) -> None:
    Path("table.csv").write_text("one")
    board = board_with(project, truth="table.csv")
    write_sources(board)
    before = SOURCES_FILE.read_bytes()
    Path("table.csv").unlink()
    assert changed_sources(board) == []
    write_sources(board)
    assert SOURCES_FILE.read_bytes() == before
    write_sources(board_with(project, truth="other.csv"))
    assert written("truth") == {"path": "other.csv", "sha256": None}


@pytest.mark.parametrize("content", ["", "[]", '{"truth": 5}', "{" * 100_000, '{"truth": {"path": 3}}'])
def test_a_damaged_note_is_written_anew(project: Path, content: str) -> None:
    Path("table.csv").write_text("one")
    board = board_with(project, truth="table.csv")
    SOURCES_FILE.write_text(content)
    write_sources(board)
    assert written("truth")["path"] == "table.csv"


def test_a_pipe_is_no_file_and_is_not_waited_for(project: Path) -> None:
    os.mkfifo("table.csv")
    assert KnownHashes().of(Path("table.csv")) is None
    write_sources(board_with(project, truth="table.csv"))
    assert written("truth")["sha256"] is None


def test_a_large_file_is_read_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("large").write_text("content")
    hashes = KnownHashes()
    first = hashes.of(Path("large"))
    hashes.keep()
    monkeypatch.setattr("hashlib.file_digest", lambda *args: pytest.fail("it was read again"))
    assert KnownHashes().of(Path("large")) == first


def test_what_cannot_be_read_is_one_sentence(project: Path) -> None:
    with pytest.raises(UserError, match=r"^\.\./a{300} cannot be read: File name too long$"):
        KnownHashes().of(Path("../" + "a" * 300))


def test_status_and_doctor_tell_of_a_changed_file(project: Path) -> None:
    Path("table.csv").write_text("one")
    write_sources(board_with(project, truth="table.csv"))
    Path("table.csv").write_text("two")
    sentence = "truth.path: table.csv is not what `dvc repro` last worked with: run `dvc repro`"
    assert sentence in CliRunner().invoke(main, ["status"]).stderr
    assert [finding.detail for finding in examine() if finding.subject == "truth"] == [sentence]
