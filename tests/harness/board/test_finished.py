import json
from pathlib import Path

import pytest

from harness.base.errors import UserError
from harness.board import finished
from harness.board.runner import run_method
from harness.board.status import remove, unwanted
from harness.records.record import RUNS, read_whole_run, run_folder
from harness.settings.protocol import load_board
from tests.conftest import tiny_params, write_params


@pytest.fixture
def noted(project: Path) -> Path:
    """A project whose stage `code` has run."""
    finished.CODE.mkdir(parents=True)
    for name in ("darts", "random-search"):
        (finished.CODE / f"{name}.json").write_text('{"code": "1"}')
    return project


def request(seed: int = 0, name: str = "darts") -> str:
    return finished.request(load_board(), name, seed)


def changed(project: Path, **content: object) -> str:
    write_params(project, tiny_params(**content))
    return request()


def test_a_request_changes_with_all_that_the_run_depends_on(noted: Path) -> None:
    first = request()
    other = tiny_params()["protocols"]
    other["tiny"]["weights"]["lr"] = 0.5
    split = tiny_params()["protocols"]
    split["tiny"]["data"]["split"]["kind"] = "same"
    found = [first, request(seed=1), changed(noted, protocols=other), changed(noted, protocols=split)]
    write_params(noted, tiny_params())
    (finished.CODE / "darts.json").write_text('{"code": "2"}')
    found.append(request())
    assert len(set(found)) == 5
    (finished.CODE / "darts.json").write_text('{"code": "1"}')
    # What it does not depend on.
    assert first == changed(noted, seeds=[0, 5], variants={"darts": {}}, baselines={})


def test_a_request_of_a_baseline_changes_with_the_truth(noted: Path) -> None:
    first = request(name="random-search")
    truth = Path("data/truth.parquet")
    truth.write_bytes(truth.read_bytes() + b" ")
    assert request(name="random-search") != first


def test_without_the_version_of_the_code_there_is_no_request(noted: Path) -> None:
    (finished.CODE / "darts.json").write_text("[]")
    with pytest.raises(UserError, match=r"data/code/darts\.json is missing or damaged: make it with `dvc repro code`"):
        request()


def test_a_run_waits_and_is_taken_more_than_once(noted: Path) -> None:
    board, key, folder = load_board(), request(), run_folder("darts", 0)
    assert finished.take(key, folder, failed=True) is None
    made = run_method(board, "darts", 0, root=finished.root_of(key))
    assert not RUNS.exists()
    for _ in range(2):
        assert finished.take(key, folder, failed=False) == "done"
        assert read_whole_run(folder) == made
    finished.discard_taken(RUNS)
    assert finished.waiting(key, folder) is None
    finished.keep(key, folder)
    assert finished.waiting(key, folder) == "done"


def test_what_is_not_taken_waits_on(noted: Path) -> None:
    key = request()
    run_method(load_board(), "darts", 0, root=finished.root_of(key))
    finished.discard_taken(RUNS)
    assert finished.waiting(key, run_folder("darts", 0)) == "done"


@pytest.mark.parametrize("file", ["record.json", "epochs.parquet", "alpha.parquet", "checksums.json"])
@pytest.mark.parametrize("how", ["truncated", "removed", "nonsense"])
def test_a_damaged_run_does_not_wait(noted: Path, file: str, how: str) -> None:
    key, folder = request(), run_folder("darts", 0)
    run_method(load_board(), "darts", 0, root=finished.root_of(key))
    path = finished.root_of(key) / "darts" / "seed-0" / file
    content = path.read_bytes()
    path.unlink()
    if how != "removed":
        path.write_bytes(content[:-9] if how == "truncated" else b"[1]")
    assert finished.take(key, folder, failed=True) is None
    assert not folder.exists()


def test_a_failed_run_is_taken_only_where_that_is_asked_for(noted: Path) -> None:
    key, folder = request(), run_folder("darts", 0)
    run_method(load_board(), "darts", 0, root=finished.root_of(key))
    place = finished.root_of(key) / "darts" / "seed-0"
    record = json.loads((place / "record.json").read_text()) | {"status": "failed"}
    sums = json.loads((place / "checksums.json").read_text())
    (place / "record.json").write_text(json.dumps(record))
    sums["record.json"] = finished.file_checksum(place / "record.json")
    (place / "checksums.json").write_text(json.dumps(sums))
    assert finished.take(key, folder, failed=False) is None
    assert finished.take(key, folder, failed=True) == "failed"


def test_what_waits_for_no_run_of_the_board_is_unwanted(noted: Path) -> None:
    (finished.CODE / "darts-2nd.json").write_text('{"code": "1"}')
    assert unwanted(load_board()) == []
    key = request()
    run_method(load_board(), "darts", 0, root=finished.root_of(key))
    (finished.FINISHED / "something else").mkdir()
    assert unwanted(load_board()) == []
    (finished.CODE / "darts.json").write_text('{"code": "2"}')
    assert unwanted(load_board()) == [finished.root_of(key)]
    remove(unwanted(load_board()))
    assert unwanted(load_board()) == []
