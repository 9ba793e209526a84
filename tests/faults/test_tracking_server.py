"""Whatever happens to the tracking server: no search notices, a sync ends in a sentence, the next one makes up for it.

The server is a real one, behind a proxy that slows it down, cuts connections, and says that the disk is full.
"""

import multiprocessing
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from harness.board.runner import run_search
from harness.board.status import searches_in_progress
from harness.records.record import read_record, run_folder
from harness.settings.protocol import Board, load_board
from harness.tracking.shown_run import KEY_TAG, Surroundings, mirror_of_record
from harness.tracking.summary import SyncSummary, run_key
from tests.conftest import ROOT, tiny_params, write_params
from tests.faults.searching import assert_same, finish, kill_after, prepare, result, start
from tests.harness.tracking.runs import Reader, board_of, counts, quiet_mlflow, synced, write_all
from tests.harness.tracking.server import Fault, Proxy, Server

SLOW_SECONDS = 5.0
"""A call of a slow server."""


@pytest.fixture(autouse=True, scope="module")
def mlflow_settings() -> Iterator[None]:
    with quiet_mlflow():
        yield


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server")).start()
    yield running
    running.kill()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    way = Proxy(server.port)
    yield way
    way.close()


@pytest.fixture
def records(tmp_path: Path) -> Path:
    write_all(tmp_path)
    return tmp_path


def board_at(proxy: Proxy, experiment: str, address: str | None = None) -> Board:
    content = board_of().model_dump()
    return Board.model_validate(content | {"tracking": {"uri": address or proxy.address, "experiment": experiment}})


def held(server: Server, experiment: str) -> dict[str, list[str]]:
    """What the server's database holds of an experiment: the ids of its runs by their keys."""
    query = (
        "SELECT tags.value, runs.run_uuid FROM runs JOIN tags USING (run_uuid) JOIN experiments USING (experiment_id) "
        "WHERE tags.key = ? AND experiments.name = ? AND runs.lifecycle_stage = 'active'"
    )
    found: dict[str, list[str]] = {}
    with closing(sqlite3.connect(server.folder / "mlflow.db", timeout=30)) as connection:
        for key, run in connection.execute(query, (KEY_TAG, experiment)):
            found.setdefault(key, []).append(run)
    return found


def points_of(server: Server, run: str) -> Counter[tuple[str, int, float]]:
    with closing(sqlite3.connect(server.folder / "mlflow.db", timeout=30)) as connection:
        rows = connection.execute("SELECT key, step, value FROM metrics WHERE run_uuid = ?", (run,))
        return Counter((str(key), int(step), float(value)) for key, step, value in rows)


def assert_complete(server: Server, experiment: str, project: Path) -> int:
    """Check every point of every record against the database, and every artifact; return how many points there are."""
    runs, lost, twice, points = held(server, experiment), 0, 0, 0
    for variant, seed in board_of().runs:
        folder = run_folder(variant, seed, project / "runs")
        (run,) = runs.pop(run_key(variant, seed))
        wanted = mirror_of_record(folder, read_record(folder), Surroundings(), "")
        expected = {(point.name, point.step, point.value) for point in wanted.points}
        found = points_of(server, run)
        lost += len(expected - found.keys())
        twice += found.total() - len(expected & found.keys())
        points += len(expected)
        artifacts = next((server.folder / "mlartifacts").rglob(f"{run}/artifacts"))
        for path in folder.iterdir():
            assert (artifacts / path.name).read_bytes() == path.read_bytes()
    assert (lost, twice, runs) == (0, 0, {})
    return points


def stops_with(summary: SyncSummary, *parts: str) -> None:
    assert summary.message and "\n" not in summary.message
    assert any(part in summary.message for part in parts), summary.message


# Searches


def test_a_search_opens_no_connection(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_params(project, tiny_params(tracking={"uri": "http://127.0.0.1:9", "experiment": "dartsboard"}))

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a search opened a connection")

    monkeypatch.setattr(socket, "socket", refuse)
    loaded = "mlflow" in sys.modules
    assert run_search(load_board(), "darts", 0).status == "done"
    assert ("mlflow" in sys.modules) == loaded


@pytest.mark.slow
def test_a_search_that_died_is_marked_and_its_end_follows(server: Server, proxy: Proxy, project: Path) -> None:
    board = board_at(proxy, "died")
    prepare(epochs=8)

    def state() -> tuple[str, str]:
        assert synced(project, board, in_progress=searches_in_progress()).message == ""
        (run,) = held(server, "died")["darts/seed-0"]
        found = Reader(proxy.address).client.get_run(run)
        return found.info.status, found.data.tags["status"]

    def started() -> BaseProcess:
        """A search with a checkpoint that is held in the middle, so that it lives as long as we look."""
        process = start(project)
        while not any(search.alive for search in searches_in_progress()):
            time.sleep(0.01)
        os.kill(process.pid or 0, signal.SIGSTOP)
        return process

    process = started()
    assert state() == ("RUNNING", "running")
    kill_after(process, 0)
    assert state() == ("KILLED", "interrupted")
    process = started()
    assert state() == ("RUNNING", "running")
    kill_after(process, 0)
    shutil.rmtree(".dartsboard/checkpoints")  # as after `dartsboard prune`
    assert state() == ("KILLED", "interrupted")
    finish(project)
    assert state() == ("FINISHED", "done")


# Syncs


@pytest.mark.slow
def test_connections_that_are_cut_lose_nothing_and_double_nothing(
    server: Server, proxy: Proxy, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.tracking.runs.METRICS_PER_CALL", 20)  # many calls, so that there is a middle to cut
    board, random = board_at(proxy, "cut"), np.random.default_rng(0)
    faults: list[Fault] = ["", "cut before", "cut after", "cut inside"]
    proxy.fault = lambda number, path: faults[random.choice(4, p=[0.82, 0.06, 0.06, 0.06])]
    messages = []
    while proxy.calls < 100:
        messages.append(synced(records, board).message)
    assert len([message for message in messages if message]) > 2
    assert not any("\n" in message for message in messages)
    proxy.mend()
    assert synced(records, board).message == ""
    assert_complete(server, "cut", records)
    assert counts(synced(records, board)) == {"skipped": 6}


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["cut before", "cut after", "cut inside"])
def test_a_connection_that_is_cut_at_any_call(server: Server, proxy: Proxy, records: Path, fault: Fault) -> None:
    points = cuts = 0
    for at_call in range(1, 37, 3):  # the calls of a run, and of the next
        experiment = f"{fault} {at_call}"
        proxy.calls = 0
        # Two in a row: MLflow tries a call once more.
        proxy.fault = lambda number, path, at_call=at_call: fault if number - at_call in (0, 1) else ""
        cuts += synced(records, board_at(proxy, experiment)).message != ""
        proxy.mend()
        assert synced(records, board_at(proxy, experiment)).message == ""
        points += assert_complete(server, experiment, records)
    assert cuts > 4
    print(f"connections {fault}: {cuts}, points compared: {points}, lost: 0, twice: 0")


@pytest.mark.slow
def test_a_server_without_space_is_one_sentence_and_the_next_sync_completes(
    server: Server, proxy: Proxy, records: Path
) -> None:
    board = board_at(proxy, "full")
    proxy.fault = lambda number, path: "full" if "mlflow-artifacts" in path else ""
    begun = time.monotonic()
    stops_with(synced(records, board), "stopped (")
    assert time.monotonic() - begun < 20
    proxy.fault = lambda number, path: "full" if "log-batch" in path and number % 3 == 0 else ""
    stops_with(synced(records, board), "stopped (")
    proxy.mend()
    assert synced(records, board).message == ""
    assert_complete(server, "full", records)


@pytest.mark.slow
def test_a_server_that_gets_slow_ends_the_sync(server: Server, proxy: Proxy, records: Path) -> None:
    board = board_at(proxy, "slow")
    write_params(records, tiny_params(tracking={"uri": proxy.address, "experiment": "slow"}))
    proxy.delay = SLOW_SECONDS
    begun = time.monotonic()
    answer = dartsboard_sync(records)
    assert (answer.returncode, answer.stderr) == (1, "")
    assert answer.stdout.count("\n") == 1 and "could not be reached (no answer in time)" in answer.stdout
    assert time.monotonic() - begun < 30
    proxy.delay = 0.0

    def slow_after_one_run(number: int, path: str) -> Fault:
        if "set-tag" in path:  # the last call for a run
            proxy.delay = SLOW_SECONDS
        return ""

    proxy.fault = slow_after_one_run
    begun = time.monotonic()
    summary = synced(records, board)
    stops_with(summary, "could not be reached (no answer in time)")
    assert counts(summary) == {"created": 1}
    assert time.monotonic() - begun < 30
    proxy.mend()
    assert synced(records, board).message == ""
    assert_complete(server, "slow", records)


def dartsboard_sync(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from harness.cli import main; main()", "sync"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("at_call", [4, 9, 14, 30])
def test_a_server_that_is_killed_and_started_again(server: Server, proxy: Proxy, records: Path, at_call: int) -> None:
    experiment = f"server {at_call}"
    board = board_at(proxy, experiment)

    def kill_server(number: int, path: str) -> Fault:
        if number == at_call:
            server.kill()
        return ""

    proxy.fault = kill_server
    begun = time.monotonic()
    stops_with(synced(records, board), "stopped (", "could not be reached", "cannot be used")
    assert time.monotonic() - begun < 30
    stops_with(synced(records, board), "could not be reached")
    server.start()
    assert synced(records, board).message == ""
    assert_complete(server, experiment, records)
    assert counts(synced(records, board)) == {"skipped": 6}


def _sync(project: Path, board: Board) -> None:
    synced(project, board)


@pytest.mark.slow
@pytest.mark.parametrize("at_call", [3, 5, 8, 11, 17, 40])
def test_a_sync_that_is_killed(server: Server, proxy: Proxy, records: Path, at_call: int) -> None:
    experiment = f"sync {at_call}"
    board = board_at(proxy, experiment)
    process = multiprocessing.get_context("spawn").Process(target=_sync, args=(records, board))

    def kill_sync(number: int, path: str) -> Fault:
        if number == at_call:
            process.kill()
        return ""

    proxy.fault = kill_sync
    process.start()
    process.join()
    assert process.exitcode == -9
    proxy.mend()
    assert synced(records, board).message == ""
    assert_complete(server, experiment, records)
    assert counts(synced(records, board)) == {"skipped": 6}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, whose size can be changed."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


@pytest.mark.slow
def test_a_server_whose_disk_fills_up_and_gets_room_again(disk: Path, tmp_path: Path) -> None:
    write_all(tmp_path)
    server = Server(disk).start()
    proxy = Proxy(server.port)
    try:
        board = board_at(proxy, "disk")
        resize(disk, shutil.disk_usage(disk).used + 100_000)
        stops_with(synced(tmp_path, board), "stopped (", "cannot be used (")
        resize(disk, 64 << 20)
        assert synced(tmp_path, board).message == ""
        assert_complete(server, "disk", tmp_path)
    finally:
        proxy.close()
        server.kill()


@pytest.mark.slow
def test_searches_beside_a_bad_server_end_with_the_same_records(
    server: Server, proxy: Proxy, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    prepare(epochs=8)
    finish(project)
    undisturbed = result()
    shutil.rmtree("runs")
    content = tiny_params(tracking={"uri": proxy.address, "experiment": "beside"})
    content["protocols"]["tiny"]["epochs"] = 8
    write_params(project, content)
    faults: list[Callable[[], None]] = [
        lambda: setattr(proxy, "delay", SLOW_SECONDS),
        lambda: setattr(proxy, "fault", lambda number, path: "cut after"),
        lambda: setattr(proxy, "fault", lambda number, path: "full"),
        server.kill,
    ]
    for begin_fault in faults:
        proxy.mend()
        before = proxy.calls
        begin_fault()
        finish(project)
        assert proxy.calls == before
        assert_same(result(), undisturbed)
        shutil.rmtree("runs")
    server.start()
