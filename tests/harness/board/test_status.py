from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from harness.board.runner import run_method
from harness.board.status import board_status
from harness.records.checkpoint import unfinished
from harness.records.run_folders import run_folder
from harness.search.loop import Search
from harness.settings.protocol import load_board
from tests.conftest import tiny_params, write_params


def test_what_all_runs_read_is_read_once_for_all(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_params(project, tiny_params(seeds=[0, 1, 2], variants={"darts": {}}, baselines={"random-search": {}}))
    board = load_board()
    for name, seed in board.runs:
        run_method(board, name, seed)
    read: list[str] = []

    def noted(where: str) -> None:
        module, _, attribute = where.rpartition(".")
        original = getattr(__import__(module, fromlist=[attribute]), attribute)
        monkeypatch.setattr(where, lambda *args, **kwargs: read.append(attribute) or original(*args, **kwargs))

    noted("harness.board.identity.data_hash")
    noted("harness.truth.table._read")
    assert [run.state for run in board_status(board)] == ["done"] * 6
    assert sorted(read) == ["_read", "data_hash"]


def test_a_run_that_failed_is_told_as_failed_though_it_has_a_checkpoint(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.records.checkpoint.FRESH_SECONDS", 0.0)
    run_epoch = Search.run_epoch

    def run_until(end: BaseException, epoch: int) -> None:
        def ends(search: Search) -> dict[str, Any]:
            if search.epoch == epoch:
                raise end
            return run_epoch(search)

        with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
            patched.setattr(Search, "run_epoch", ends)
            run_method(load_board(), "darts", 0)

    run_until(RuntimeError("too late"), 1)
    assert list(unfinished())
    (found,) = board_status(load_board(), [("darts", 0)])
    assert (found.state, found.detail) == ("failed", "RuntimeError: too late")
    run_until(KeyboardInterrupt(), 2)  # tried again, and got further
    (found,) = board_status(load_board(), [("darts", 0)])
    assert found.state == "interrupted"
    (run_folder("darts", 0) / "record.json").write_text("{")
    (found,) = board_status(load_board(), [("darts", 0)])
    assert found.state == "interrupted"
    assert run_method(load_board(), "darts", 0).status == "done"
    (found,) = board_status(load_board(), [("darts", 0)])
    assert found.state == "done"
