"""Stores and servers that are missing, damaged, slow or shared."""

import json
import multiprocessing
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.protocol import Board, canonical_json
from harness.record import run_folder
from harness.tracking import SyncSummary, ui_command
from harness.tracking_store import masked
from tests.harness.tracking.runs import (
    Reader,
    board_of,
    counts,
    reader_of,
    synced,
    write_all,
    write_one,
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def serve() -> Iterator[Callable[[list[str], dict[str, str], int], subprocess.Popen[bytes]]]:
    servers = []

    def start(command: list[str], environment: dict[str, str], port: int) -> subprocess.Popen[bytes]:
        server = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        servers.append(server)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                return server
            except OSError:
                assert server.poll() is None, "the server ended"
                time.sleep(0.1)
        raise AssertionError("the server does not start")

    yield start
    for server in servers:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


# Faults


def test_a_damaged_record_is_counted_and_the_others_are_mirrored(project: Path) -> None:
    write_all(project)
    (run_folder("darts", 0, project / "runs") / "record.json").write_text("{")
    (run_folder("darts", 1, project / "runs") / "epochs.parquet").write_bytes(b"PAR1")
    summary = synced(project)
    assert counts(summary) == {"created": 4, "failed": 2}
    assert "record.json is damaged" in summary.message and "(and 1 more)" in summary.message


def test_a_server_that_does_not_answer_costs_seconds_and_a_sentence(tmp_path: Path) -> None:
    write_one(tmp_path, "darts", 0)
    start = time.monotonic()
    summary = synced(tmp_path, board_of(f"http://user:secret@127.0.0.1:{free_port()}"))
    assert time.monotonic() - start < 5
    assert counts(summary) == {} and "could not be reached (it does not answer)" in summary.message
    assert "secret" not in summary.message + summary.uri

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        summary = synced(tmp_path, board_of(f"http://127.0.0.1:{silent.getsockname()[1]}"))
        assert time.monotonic() - start < 6
        assert "could not be reached (no answer in time)" in summary.message
    assert not (tmp_path / "mlflow.db").exists()


def test_a_corrupt_store_is_named_in_one_sentence(tmp_path: Path) -> None:
    write_one(tmp_path, "darts", 0)
    database = tmp_path / "mlflow.db"
    database.write_bytes(b"no database at all, but long enough to be looked at as one" * 20)
    start = time.monotonic()
    summary = synced(tmp_path)
    assert time.monotonic() - start < 5
    assert summary.message == (
        f"{database} cannot be used (file is not a database): "
        "move it away and run dartsboard sync, which builds it anew"
    )
    with pytest.raises(UserError, match="move it away"):
        ui_command(board_of(), port=free_port(), project=tmp_path)


def test_a_store_that_was_half_made_is_named_in_one_sentence(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE metrics (key TEXT)")
        connection.execute("CREATE TABLE _alembic_tmp_latest_metrics (key TEXT)")
    connection.close()
    summary = synced(tmp_path)
    assert summary.message.startswith(f"{database} cannot be used (") and "\n" not in summary.message


def test_a_project_that_was_moved_is_told_so(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    write_one(project, "darts", 0)
    synced(project)
    moved = tmp_path_factory.mktemp("new") / "place"
    project.rename(moved)
    summary = synced(moved)
    assert "move it away" in summary.message and str(project) in summary.message


@pytest.mark.parametrize("uri", ["file:///runs", "./mlruns", "ftp://host", "http://", "databricks"])
def test_a_store_that_mlflow_does_not_have_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UserError, match=r"params\.yaml: tracking\.uri: .* is no store of MLflow"):
        synced(tmp_path, board_of(uri))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://host:5000", "http://host:5000"),
        ("https://user:p@ss/w:rd@host/x failed", "https://***@host/x failed"),
        ("https://token@host", "https://***@host"),
        ("postgresql+psycopg2://a:b@h/db?password=c&x=1", "postgresql+psycopg2://***@h/db?password=***&x=1"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
    ],
)
def test_passwords_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


def _sync_in_process(project: Path) -> dict[str, int]:
    summary = synced(project)
    return counts(summary) | ({"message": 1} if summary.message else {})


def test_four_processes_may_make_a_missing_store_at_once(tmp_path: Path) -> None:
    write_all(tmp_path)
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        results = pool.map(_sync_in_process, [tmp_path] * 4, chunksize=1)
    assert sorted(results, key=canonical_json) == [{"created": 6}, *[{"skipped": 6}] * 3]
    assert len(reader_of(tmp_path).runs) == 6
    assert counts(synced(tmp_path)) == {"skipped": 6}


# Servers


def test_the_ui_serves_the_store_and_a_server_can_be_synced_and_die(
    project: Path, serve: Callable[[list[str], dict[str, str], int], subprocess.Popen[bytes]]
) -> None:
    write_all(project)
    synced(project)
    port = free_port()
    command, environment = ui_command(board_of(), port=port, project=project)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match="cannot be used"):
            ui_command(board_of(), port=taken.getsockname()[1], project=project)
    server = serve(command, environment, port)
    address = f"http://127.0.0.1:{port}"
    assert set(Reader(address).runs) == set(reader_of(project).runs)

    run_id = reader_of(project).runs["darts/seed-0"].info.run_id
    picture = urllib.request.urlopen(f"{address}/get-artifact?path=record.json&run_uuid={run_id}", timeout=10)
    assert json.loads(picture.read())["variant"] == "darts"

    board = Board.model_validate(
        board_of(address).model_dump() | {"tracking": {"uri": address, "experiment": "remote"}}
    )
    with pytest.raises(UserError, match=re.escape(f"is a server already: open {address}")):
        ui_command(board, port=free_port(), project=project)
    elsewhere = project / "elsewhere"
    write_all(elsewhere)
    summary = synced(elsewhere, board)
    assert (counts(summary), summary.message) == ({"created": 6}, "")
    assert counts(synced(elsewhere, board)) == {"skipped": 6}
    assert not (elsewhere / "mlflow.db").exists()

    # It dies in the middle of a sync.
    write_one(elsewhere, "darts", 0, fingerprint="another")
    reply = _sync_while_dying(elsewhere, board, server)
    assert "stopped" in reply.message or "could not be reached" in reply.message


def _sync_while_dying(project: Path, board: Board, server: subprocess.Popen[bytes]) -> SyncSummary:
    import mlflow

    original = mlflow.MlflowClient.log_artifacts

    def kill_first(*arguments: Any, **options: Any) -> Any:
        os.killpg(server.pid, signal.SIGKILL)
        return original(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "log_artifacts", kill_first)
        start = time.monotonic()
        summary = synced(project, board)
        assert time.monotonic() - start < 15
    return summary


def test_mlflow_is_imported_only_when_needed() -> None:
    code = "import sys, harness.tracking; sys.exit(any(name in sys.modules for name in ('mlflow', 'matplotlib')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
