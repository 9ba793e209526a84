from pathlib import Path

import pytest

from harness.board.runner import run_method
from harness.board.status import board_status
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
