"""The page that `dartsboard ui` serves: where it listens, whom it answers, and that nothing of it is left."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from harness.base.errors import UserError
from harness.tracking.page import find_page
from tests.conftest import ROOT, tiny_params, write_params
from tests.harness.tracking.runs import board_of
from tests.harness.tracking.server import free_port

SECONDS = 60


@pytest.mark.parametrize(
    "host", ["", " ", "é" * 70, "\udcff", "a\0b", "x" * 5000, "a..b", "no.such.host.invalid", "127.0.0.1:5000", "*"]
)
def test_a_host_that_is_none_is_one_sentence_and_makes_no_store(tmp_path: Path, host: str) -> None:
    with pytest.raises(UserError, match=r"^--host .* is no host, expected") as caught:
        find_page(board_of(), host, free_port(), tmp_path)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 200
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_makes_no_store(tmp_path: Path) -> None:
    refused = pytest.raises(UserError, match=r"cannot be used \(.*\): choose another")
    with socket.create_server(("127.0.0.1", 0)) as taken, refused:
        find_page(board_of(), port=taken.getsockname()[1], project=tmp_path)
    with pytest.raises(UserError, match="cannot be used"):
        find_page(board_of(), "192.0.2.1", free_port(), tmp_path)  # an address of nobody
    assert list(tmp_path.iterdir()) == []


def test_the_server_is_told_whom_to_answer(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_SERVER_ALLOWED_HOSTS", raising=False)
    port = free_port()
    page = find_page(board_of(), port=port, project=project)
    hosts = page.environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert {"localhost", f"127.0.0.1:{port}"} <= set(hosts)
    assert not any(host.startswith(("10.", "192.168.", "*")) for host in hosts)
    assert page.told == (f"http://127.0.0.1:{port}",)

    monkeypatch.setenv("MLFLOW_SERVER_ALLOWED_HOSTS", "board.example:5000")
    page = find_page(board_of(), "0.0.0.0", port, project)
    hosts = page.environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert {"board.example:5000", f"{socket.gethostname()}:{port}"} <= set(hosts)
    assert "listens on every address of this machine" in page.told[0]
    assert f"MLFLOW_SERVER_ALLOWED_HOSTS=NAME:{port}" in page.told[1]


def test_an_address_is_what_is_bound_and_not_what_it_looks_like(project: Path) -> None:
    assert find_page(board_of(), "0", free_port(), project).address == "0.0.0.0"


class Ui:
    """`dartsboard ui` in a process."""

    def __init__(self, project: Path) -> None:
        write_params(project, tiny_params())
        self.port = free_port()
        code = ["-c", "from harness.cli import main; main()", "ui", "--port", str(self.port)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([sys.executable, *code], cwd=project, env=environment, **quiet)
        until = time.monotonic() + SECONDS
        while self.status() != 200:
            assert time.monotonic() < until and self.process.poll() is None
            time.sleep(0.1)

    def status(self, path: str = "/health", host: str = "localhost") -> int:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers={"Host": host})
        try:
            return int(urllib.request.urlopen(request, timeout=10).status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGHUP, signal.SIGINT))],
)
def test_the_server_ends_with_the_command_and_frees_the_port(project: Path, number: signal.Signals) -> None:
    ui = Ui(project)
    assert ui.status("/", "localhost:5000") == ui.status("/", f"127.0.0.1:{ui.port}") == 200
    assert ui.status("/", "10.evil.example") == ui.status("/", f"192.168.evil.example:{ui.port}") == 403
    ui.process.send_signal(number)
    assert ui.process.wait(SECONDS) == 128 + number
    socket.create_server(("127.0.0.1", ui.port)).close()


@pytest.mark.slow
def test_the_server_ends_with_a_command_that_is_killed(project: Path) -> None:
    ui = Ui(project)
    ui.process.kill()
    ui.process.wait()
    until = time.monotonic() + SECONDS
    while ui.status():
        assert time.monotonic() < until
        time.sleep(0.05)
