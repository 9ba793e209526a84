"""Whatever happens to the tracking server, no search waits for it."""

import socket
import sys
from pathlib import Path

import pytest

from harness.protocol import load_board
from harness.runner import run_search
from tests.conftest import tiny_params, write_params


def test_a_search_opens_no_connection(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_params(project, tiny_params(tracking={"uri": "http://127.0.0.1:9", "experiment": "dartsboard"}))

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a search opened a connection")

    monkeypatch.setattr(socket, "socket", refuse)
    loaded = "mlflow" in sys.modules
    assert run_search(load_board(), "darts", 0).status == "done"
    assert ("mlflow" in sys.modules) == loaded
