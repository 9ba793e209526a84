"""A real MLflow server on this machine, and a way to it that can be made bad."""

import http.client
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

from harness.tracking.page import find_page
from tests.harness.tracking.runs import board_of


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`dartsboard ui` on a folder's store: it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.page = find_page(board_of(), port=self.port, project=folder)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Server":
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(
            self.page.command, env=self.page.environment, cwd=self.page.folder, start_new_session=True, **quiet
        )
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.address}/health", timeout=1).close()
                return self
            except OSError:
                assert self.process.poll() is None, "the server ended"
                time.sleep(0.1)
        raise AssertionError("the server does not start")

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


Fault = Literal["", "cut before", "cut after", "cut inside", "full"]
"""What happens to a call: the connection ends before the server has seen it, after the server has done it, or in the
middle of the answer; or the server has no space left."""


class Proxy(ThreadingHTTPServer):
    """Hands calls on to a server, each after `delay` seconds and with a fault: fault(number of the call, path)."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.to = port
        self.calls = 0
        self.delay = 0.0
        self.fault: Callable[[int, str], Fault] = lambda number, path: ""
        self._count = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def next_fault(self, path: str) -> Fault:
        with self._count:
            self.calls += 1
            number = self.calls
        return self.fault(number, path)

    def mend(self) -> None:
        self.delay = 0.0
        self.fault = lambda number, path: ""

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # connections end in many ways here


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.next_fault(self.path)
        time.sleep(self.server.delay)
        if fault == "full":
            self._answer(507, [], b"no space left")
        elif fault != "cut before":
            self._ask_server(body, fault)
        self.close_connection = self.close_connection or fault.startswith("cut")

    def _ask_server(self, body: bytes, fault: Fault) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.to)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):  # the server is dead
            self.close_connection = True
            return
        finally:
            connection.close()
        if fault != "cut after":
            self._answer(answer.status, answer.getheaders(), content, whole=fault != "cut inside")

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, whole: bool = True) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if whole else content[: len(content) // 2])

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        pass
