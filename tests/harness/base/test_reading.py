"""Whatever stands in the place of one of the project's own files, nobody waits for ever, and one sentence says so."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.base.errors import UserError
from harness.base.files import (
    check_place_of_file,
    check_place_of_folder,
    file_checksum,
    open_file,
    read_file,
    read_text,
    whole_file,
    whole_folder,
)
from harness.board.calibration import read_calibration
from harness.board.compare import compare
from harness.board.run_lock import is_running, run_lock
from harness.board.runner import run_search
from harness.images.decoded import load_cached
from harness.records.checkpoint import CHECKPOINTS, Checkpoints, unfinished
from harness.records.record import read_whole_run
from harness.results.folder import load_results
from harness.settings.protocol import Board, load_board
from harness.settings.validation import read_yaml
from harness.tracking.tracked import TRACKED, read_tracked
from harness.truth.table import Truth
from tests.harness.tracking.runs import board_of

Make = Callable[[Path], object]


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(path.parent)  # its path must be short
        listener.bind(path.name)
        os.chdir(here)


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_nowhere(path: Path) -> None:
    path.symlink_to("nowhere")


MAKERS: list[Make] = [os.mkfifo, Path.mkdir, make_socket, link_to_itself, link_to_a_device, link_to_nowhere]


def put(make: Make, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)
    return path


@pytest.mark.parametrize("make", MAKERS)
def test_only_a_regular_file_is_opened(make: Make, tmp_path: Path) -> None:
    path = put(make, tmp_path / "it")
    for read in (open_file, read_file, read_text):
        with pytest.raises(OSError):
            read(path)
    with pytest.raises(UserError, match=r"it is missing, expected a file|it is a folder|it cannot be read: "):
        file_checksum(path)


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes("é\r\n".encode())
    (tmp_path / "link").symlink_to("file")
    assert read_text(tmp_path / "link") == "é\n"
    assert read_file(tmp_path / "link") == "é\r\n".encode()


@pytest.mark.parametrize("name", ["a" * 5000, "a/" * 3000, "nul\0", "\udcff"])
def test_a_name_that_no_file_can_have_is_one_short_sentence(name: str) -> None:
    with pytest.raises(UserError) as caught:
        file_checksum(Path(name))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("place", "read"),
    [
        ("params.yaml", lambda path: load_board()),
        ("params.yaml", read_yaml),
        ("data/truth.parquet", lambda path: Truth.read()),
        ("data/images/description.json", lambda path: load_cached()),
        ("runs/darts/seed-0/record.json", lambda path: read_whole_run(path.parent)),
        ("results/runs.parquet", lambda path: compare("a", "b")),
        ("results/truth.json", lambda path: load_results(path.parent)),
    ],
)
def test_what_is_no_file_is_one_sentence(
    make: Make, place: str, read: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put(make, Path(place))
    with pytest.raises(UserError, match=place) as caught:
        read(Path(place))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", MAKERS)
def test_what_may_be_missing_counts_as_missing(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put(make, CHECKPOINTS / "abc" / "run.json")
    assert unfinished() == []
    put(make, CHECKPOINTS / "abc" / f"epoch-000001.{'0' * 64}.pt")
    assert Checkpoints("darts", 0, "abc").newest() is None
    put(make, TRACKED)
    assert read_tracked().runs == {}
    assert read_tracked().message
    monkeypatch.setattr("harness.board.calibration._file", lambda protocol: put(make, Path("rate.json")))
    assert read_calibration(board_of().chosen) is None


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("ending", ["lock", "owner"])
def test_a_lock_waits_for_nobody(make: Make, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put(make, Path(f".dartsboard/locks/darts-seed-0.{ending}"))
    for use in (lambda: is_running("darts", 0), lambda: run_lock("darts", 0).__enter__()):
        try:
            use()
        except UserError as error:
            assert "darts-seed-0.lock" in str(error)


# ---- folders of runs


def test_a_folder_that_is_a_link_is_replaced_and_its_target_stays(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "thesis.txt").write_text("mine")
    for target in ("outside", "nowhere"):
        link = tmp_path / target / "run" if target == "nowhere" else tmp_path / "run"
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(tmp_path / target if target == "outside" else "gone")
        with whole_folder(link) as staging:
            (staging / "a").write_text("new")
        assert [path.name for path in link.parent.iterdir() if path.name.endswith(".partial")] == []
        assert (link / "a").read_text() == "new"
    assert (tmp_path / "outside" / "thesis.txt").read_text() == "mine"


def test_a_search_is_refused_before_it_begins_where_its_folder_cannot_stand(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.board.runner.start_search", lambda *arguments: pytest.fail("it began"))
    board: Board = load_board()
    for place in ("runs", "runs/darts", "runs/darts/seed-0"):
        for make in (os.mkfifo, Path.touch, make_socket, link_to_itself, link_to_a_device, link_to_nowhere):
            path = put(make, Path(place))
            with pytest.raises(UserError, match=f"{place} is (no folder|a link that leads nowhere), expected a folder"):
                run_search(board, "darts", 0)
            path.unlink()  # it was left alone
            while path.parent != Path():
                path = path.parent
                path.rmdir()


def test_a_folder_may_stand_where_nothing_or_a_folder_does(tmp_path: Path) -> None:
    check_place_of_folder(tmp_path / "new" / "er")
    (tmp_path / "link").symlink_to(tmp_path)
    check_place_of_folder(tmp_path / "link" / "new")


# ---- the place of a file


@pytest.mark.parametrize("name", [".", "..", "", "/", "folder", "file/below", "a" * 5000, "nul\0", "dangling/below"])
def test_a_place_where_no_file_can_stand_is_told_before_the_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").touch()
    Path("dangling").symlink_to("nowhere")
    with pytest.raises(UserError) as caught:
        check_place_of_file(Path(name))
    assert len(str(caught.value)) < 500
    check_place_of_file(Path("file"))
    check_place_of_file(Path("new/er"))


def test_a_file_without_a_name_is_one_sentence() -> None:
    with pytest.raises(UserError, match="names a folder, expected the name of a file"), whole_file(Path()):
        pass
