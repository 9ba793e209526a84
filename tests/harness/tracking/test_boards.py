"""Boards that share an experiment: each keeps its own runs, and leaves those of the others alone."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.tracking.board_key import board_key
from harness.tracking.shown_run import BOARD_TAG, KEY_TAG
from harness.tracking.summary import SyncSummary
from tests.harness.tracking.runs import (
    Reader,
    board_of,
    counts,
    in_progress,
    reader_of,
    synced,
    truth_tables,
    write_one,
)


@pytest.fixture
def shared(tmp_path: Path, empty_store: Path) -> Iterator[str]:
    """The address of a store that belongs to no project, as a server's does."""
    (tmp_path / "shared.db").write_bytes(empty_store.read_bytes())
    yield f"sqlite:///{tmp_path}/shared.db"


def a_board(folder: Path, **changes: object) -> Path:
    write_one(folder, "darts", 0, **changes)
    write_one(folder, "darts", 1, fingerprint="the same")
    return folder


def sync_to(project: Path, uri: str) -> SyncSummary:
    summary = synced(project, board_of(uri))
    assert summary.message == ""
    return summary


def active(uri: str) -> list[tuple[str, str]]:
    client = Reader(uri).client
    experiment = client.get_experiment_by_name("board")
    runs = client.search_runs([experiment.experiment_id])
    return sorted((run.data.tags[KEY_TAG], run.data.tags["fingerprint"]) for run in runs)


def test_boards_of_one_experiment_leave_each_others_runs_alone(tmp_path: Path, shared: str) -> None:
    first, second = a_board(tmp_path / "a", fingerprint="of a"), a_board(tmp_path / "b", fingerprint="of b")
    assert counts(sync_to(first, shared)) == {"created": 2}
    assert counts(sync_to(second, shared)) == {"created": 1, "skipped": 1}  # what is the same stands there once
    both = [("darts/seed-0", "of a"), ("darts/seed-0", "of b"), ("darts/seed-1", "the same")]
    for project in (first, second, first, second):
        assert counts(sync_to(project, shared)) == {"skipped": 2}
        assert active(shared) == both
    write_one(second, "darts", 0, fingerprint="new")
    assert counts(sync_to(second, shared)) == {"replaced": 1, "skipped": 1}
    assert active(shared) == [("darts/seed-0", "new"), ("darts/seed-0", "of a"), ("darts/seed-1", "the same")]
    assert counts(sync_to(first, shared)) == {"skipped": 2}


def test_a_run_that_two_boards_shared_is_written_anew_when_its_owner_replaces_it(tmp_path: Path, shared: str) -> None:
    first, second = a_board(tmp_path / "a"), a_board(tmp_path / "b")
    sync_to(first, shared)
    assert counts(sync_to(second, shared)) == {"skipped": 2}
    write_one(first, "darts", 0, fingerprint="new")
    assert counts(sync_to(first, shared)) == {"replaced": 1, "skipped": 1}
    assert counts(sync_to(second, shared)) == {"created": 1, "skipped": 1}


def test_a_search_of_another_board_is_not_marked_as_dead(tmp_path: Path, shared: str) -> None:
    synced(tmp_path / "a", board_of(shared), in_progress=[in_progress(1, True)])
    synced(tmp_path / "b", board_of(shared))
    assert Reader(shared).runs["darts/seed-0"].info.status == "RUNNING"


def without_board_tags(uri: str) -> None:
    """Make the runs what they were before there were boards."""
    for run in Reader(uri).runs.values():
        Reader(uri).client.delete_tag(run.info.run_id, BOARD_TAG)


def test_runs_of_a_time_before_boards_are_taken_over(tmp_path: Path, shared: str) -> None:
    first, second = a_board(tmp_path / "a"), a_board(tmp_path / "b", fingerprint="of b")
    sync_to(first, shared)
    without_board_tags(shared)
    write_one(first, "darts", 1, fingerprint="changed meanwhile")
    assert counts(sync_to(first, shared)) == {"skipped": 1, "replaced": 1}
    assert {run.data.tags[BOARD_TAG] for run in Reader(shared).runs.values()} == {board_key(first)}
    sync_to(second, shared)
    assert counts(sync_to(first, shared)) == {"skipped": 2}


def test_in_the_projects_own_store_all_runs_are_its_own(project: Path) -> None:
    write_one(project, "darts", 0)
    synced(project)
    shutil.rmtree(project / ".dartsboard")
    write_one(project, "darts", 0, fingerprint="new")
    assert counts(synced(project)) == {"replaced": 1}
    assert len(reader_of(project).runs) == 1


# Which board it is


def test_a_board_stays_the_same_when_its_folder_is_moved_and_a_copy_is_another(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    key = board_key(tmp_path / "a")
    assert board_key(tmp_path / "a") == key
    (tmp_path / "a").rename(tmp_path / "b")
    assert board_key(tmp_path / "b") == key
    shutil.copytree(tmp_path / "b", tmp_path / "c")
    copied = board_key(tmp_path / "c")
    assert copied != key and board_key(tmp_path / "c") == copied
    assert board_key(tmp_path / "b") == key


@pytest.mark.parametrize("content", ["", "{", '{"key": "x"}'])
def test_a_damaged_file_gives_a_new_board(tmp_path: Path, content: str) -> None:
    (tmp_path / ".dartsboard").mkdir()
    (tmp_path / ".dartsboard/board.json").write_text(content)
    assert board_key(tmp_path) == board_key(tmp_path) != ""


# Truth that is not known


def test_what_mlflow_holds_of_the_truth_stays_where_nobody_knows_it(project: Path) -> None:
    write_one(project, "darts", 0)
    truth, final_truth = truth_tables()
    synced(project, truth_rows=truth, final_truth_rows=final_truth)
    before = reader_of(project).runs["darts/seed-0"]
    assert counts(synced(project)) == {"continued": 1}
    after = reader_of(project).runs["darts/seed-0"]
    assert (after.info.run_id, after.data.metrics) == (before.info.run_id, before.data.metrics)
    assert counts(synced(project, truth_rows=truth, final_truth_rows=final_truth)) == {"continued": 1}
    assert not reader_of(project).has_duplicates(after)
