"""Stores and servers that are missing, damaged, slow or shared."""

import json
import multiprocessing
import re
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.base.errors import UserError
from harness.base.masking import masked
from harness.records.record import run_folder
from harness.settings.protocol import Board
from harness.settings.validation import canonical_json
from harness.tracking.page import find_page
from tests.harness.tracking.runs import (
    Reader,
    board_of,
    counts,
    reader_of,
    synced,
    write_all,
    write_one,
)
from tests.harness.tracking.server import Server, free_port

# Faults


def test_a_damaged_record_is_counted_and_the_others_are_mirrored(project: Path) -> None:
    write_all(project)
    (run_folder("darts", 0, project / "runs") / "record.json").write_text("{")
    (run_folder("darts", 1, project / "runs") / "epochs.parquet").write_bytes(b"PAR1")
    summary = synced(project)
    assert counts(summary) == {"created": 4, "failed": 2}
    assert "record.json is damaged" in summary.message and "(and 1 more)" in summary.message


def test_a_store_on_a_full_disk_or_under_a_limit_is_not_to_be_moved_away(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert synced(project).message == ""

    def full(name: str) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR | (3 << 8)  # while it wrote
        raise RuntimeError(f"wrapped: {error}") from error

    client = type("Client", (), {"get_experiment_by_name": staticmethod(full)})
    monkeypatch.setattr("harness.tracking.store.open_client", lambda store: client())
    message = synced(project).message
    assert "mlflow.db cannot be used (RuntimeError: wrapped: disk I/O error): it may be whole; make room" in message
    assert "move it away" not in message


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


def _truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _with_flipped_bits(content: bytes) -> bytes:
    pages = bytearray(content)
    for place in range(4096, len(pages), 4096):  # in the header of every page but the first
        pages[place] ^= 0x10
    return bytes(pages)


@pytest.mark.parametrize(
    "damaged",
    [
        _with_flipped_bits,
        pytest.param(_truncated, marks=pytest.mark.slow),
        pytest.param(lambda content: bytes(len(content)), marks=pytest.mark.slow, id="zeros"),
        pytest.param(lambda content: b"no database, but long enough" * 99, marks=pytest.mark.slow, id="garbage"),
    ],
)
def test_a_corrupt_store_is_reported_put_aside_and_built_anew(
    project: Path, damaged: Callable[[bytes], bytes], empty_store: Path
) -> None:
    write_one(project, "darts", 0)
    database = project / "mlflow.db"
    content = damaged(empty_store.read_bytes())
    database.write_bytes(content)
    for name in ("mlflow.db-journal", "mlflow.db-wal", "mlflow.db-damaged-1"):
        (project / name).write_bytes(b"left from something else")
    with pytest.raises(UserError, match=r"is damaged .*: dartsboard sync puts it aside and builds it anew"):
        find_page(board_of(), port=free_port(), project=project)
    assert database.read_bytes() == content
    summary = synced(project)
    assert (counts(summary), summary.message) == ({"created": 1}, "")
    assert summary.note.startswith(f"{database} was damaged (") and "\n" not in summary.note
    assert summary.note.endswith("and is now mlflow.db-damaged-2; it was built anew")
    assert summary.note in str(summary)
    assert (project / "mlflow.db-damaged-2").read_bytes() == content
    assert not (project / "mlflow.db-wal").exists() and not (project / "mlflow.db-journal").exists()
    assert set(reader_of(project).runs) == {"darts/seed-0"}
    assert counts(synced(project)) == {"skipped": 1}


def test_a_store_that_cannot_be_put_aside_is_named_in_one_sentence(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "mlflow.db").write_bytes(b"garbage" * 1000)

    def refuse(*arguments: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "rename", refuse)
    summary = synced(project)
    assert summary.message.endswith("and cannot be renamed: Read-only file system")


@pytest.mark.slow
def test_a_process_that_dies_while_it_makes_the_store_leaves_none(tmp_path: Path) -> None:
    write_one(tmp_path, "darts", 0)
    process = multiprocessing.get_context("spawn").Process(target=_sync_in_process, args=(tmp_path,))
    process.start()
    while not list(tmp_path.glob(".mlflow.db.*.partial")):
        time.sleep(0.001)
        assert process.is_alive()
    process.kill()
    process.join()
    assert not (tmp_path / "mlflow.db").exists()
    assert counts(synced(tmp_path)) == {"created": 1}
    assert not list(tmp_path.glob(".*.partial*"))


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
        ("postgresql+psycopg2://a:b@h/db?password=c&x=1", "postgresql+psycopg2://***@h/db?***"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
    ],
)
def test_passwords_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


def _sync_in_process(project: Path) -> dict[str, int]:
    summary = synced(project)
    return counts(summary) | ({"message": 1} if summary.message else {})


@pytest.mark.parametrize("processes", [2, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_many_processes_may_make_and_fill_a_missing_store_at_once(tmp_path: Path, processes: int) -> None:
    write_all(tmp_path)
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        results = pool.map(_sync_in_process, [tmp_path] * processes, chunksize=1)
    assert sorted(results, key=canonical_json) == [{"created": 6}, *[{"skipped": 6}] * (processes - 1)]
    runs = reader_of(tmp_path).runs
    assert len(runs) == 6 and not any(reader_of(tmp_path).has_duplicates(run) for run in runs.values())
    assert counts(synced(tmp_path)) == {"skipped": 6}


# Servers


def test_the_ui_serves_the_store_to_this_machine_alone_and_a_server_can_be_synced(project: Path) -> None:
    write_all(project)
    synced(project)
    server = Server(project)
    assert server.page.command[server.page.command.index("--host") + 1] == "127.0.0.1"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match="cannot be used"):
            find_page(board_of(), port=taken.getsockname()[1], project=project)
    try:
        server.start()
        _sync_to(server, project)
    finally:
        server.kill()


def _sync_to(server: Server, project: Path) -> None:
    assert set(Reader(server.address).runs) == set(reader_of(project).runs)
    with socket.socket() as probe, pytest.raises(OSError):
        probe.connect(("127.0.0.2", server.port))  # another address of this machine, where it must not listen

    run_id = reader_of(project).runs["darts/seed-0"].info.run_id
    record = urllib.request.urlopen(f"{server.address}/get-artifact?path=record.json&run_uuid={run_id}", timeout=10)
    assert json.loads(record.read())["variant"] == "darts"

    board = Board.model_validate(
        board_of(server.address).model_dump() | {"tracking": {"uri": server.address, "experiment": "remote"}}
    )
    with pytest.raises(UserError, match=re.escape(f"is a server already: open {server.address}")):
        find_page(board, port=free_port(), project=project)
    elsewhere = project / "elsewhere"
    write_all(elsewhere)
    summary = synced(elsewhere, board)
    assert (counts(summary), summary.message) == ({"created": 6}, "")
    assert counts(synced(elsewhere, board)) == {"skipped": 6}
    assert not (elsewhere / "mlflow.db").exists()


def test_mlflow_is_imported_only_when_needed() -> None:
    code = (
        "import sys, harness.tracking.mirror; sys.exit(any(name in sys.modules for name in ('mlflow', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
