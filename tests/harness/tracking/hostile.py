"""Tracking servers that do as they please, on this machine: each is one function from a connection to what it does."""

import gzip
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress

import numpy as np

Behaviour = Callable[[socket.socket, str], None]
"""What is done with a connection on which a request for a path has come in."""

DRIP_SECONDS = 0.2


class HostileServer:
    """Answers each request on a connection of its own, as the behaviour says."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.paths: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with closing(connection), suppress(OSError, ValueError):
            connection.settimeout(60)
            request = connection.recv(1 << 16)
            while b"\r\n\r\n" not in request:
                request += connection.recv(1 << 16)
            path = request.split(b" ", 2)[1].decode("latin-1")
            self.paths.append(path)
            self.behaviour(connection, path)


@contextmanager
def hostile(behaviour: Behaviour) -> Iterator[HostileServer]:
    server = HostileServer(behaviour)
    try:
        yield server
    finally:
        server.close()


def head(status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def says(content: object, status: str = "200 OK") -> Behaviour:
    """Answer with JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda connection, path: connection.sendall(head(status, f"Content-Length: {len(body)}") + body)


def drip(connection: socket.socket, content: bytes) -> None:
    for place in range(len(content)):
        connection.sendall(content[place : place + 1])
        time.sleep(DRIP_SECONDS)


# From the first byte on


def never_answers(connection: socket.socket, path: str) -> None:
    time.sleep(120)


def closes_at_once(connection: socket.socket, path: str) -> None:
    pass


def half_closes(connection: socket.socket, path: str) -> None:
    connection.shutdown(socket.SHUT_WR)
    time.sleep(120)


def drips_headers(connection: socket.socket, path: str) -> None:
    drip(connection, head("200 OK", "X-Long: " + "x" * 10_000))


def drips_body(connection: socket.socket, path: str) -> None:
    connection.sendall(head("200 OK", "Content-Length: 100000"))
    drip(connection, b" " * 100_000)


def drips_chunks(connection: socket.socket, path: str) -> None:
    connection.sendall(head("200 OK", "Transfer-Encoding: chunked"))
    drip(connection, b"1\r\n \r\n" * 10_000)


def floods_headers(connection: socket.socket, path: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in itertools.count():
        connection.sendall(b"X-%d: y\r\n" % number)


def floods_one_header(connection: socket.socket, path: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(b"x" * (1 << 16))


def floods_body(connection: socket.socket, path: str) -> None:
    connection.sendall(head())
    while True:
        connection.sendall(b" " * (1 << 20))


def floods_an_error(connection: socket.socket, path: str) -> None:
    connection.sendall(head("503 Service Unavailable"))
    while True:
        connection.sendall(b" " * (1 << 20))


BOMB = gzip.compress(b" " * (1 << 24), 9) * 100
"""1.6 GB, packed."""


def sends_a_bomb(connection: socket.socket, path: str) -> None:
    connection.sendall(head("200 OK", "Content-Encoding: gzip") + BOMB)


def continues_for_ever(connection: socket.socket, path: str) -> None:
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def redirects_to_itself(connection: socket.socket, path: str) -> None:
    connection.sendall(head("307 Temporary Redirect", f"Location: {path}", "Content-Length: 0"))


def asks_to_wait(connection: socket.socket, path: str) -> None:
    connection.sendall(head("503 Service Unavailable", "Retry-After: 3600", "Content-Length: 0"))


def speaks_odd_headers(connection: socket.socket, path: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nno colon\r\n\x80\xff: \r\n: \r\nContent-Length: -5\r\n\r\n<html>")


def speaks_no_http(connection: socket.socket, path: str) -> None:
    connection.sendall(b"\x00\xff" * 1000)


# Like MLflow, but for one thing

EXPERIMENT = {
    "experiment_id": "7",
    "name": "board",
    "artifact_location": "mlflow-artifacts:/7",
    "lifecycle_stage": "active",
}


def run_of(run_id: object = "r" * 32, artifact_uri: str = "mlflow-artifacts:/7/r/artifacts", **tags: str) -> object:
    info = {"run_id": run_id, "run_uuid": run_id, "experiment_id": "7", "status": "FINISHED", "start_time": 1}
    info |= {"artifact_uri": artifact_uri, "lifecycle_stage": "active"}
    return {"info": info, "data": {"tags": [{"key": key, "value": value} for key, value in tags.items()]}}


USUAL: dict[str, Behaviour] = {
    "health": says(b"OK"),
    "get_by_name": says({"experiment": EXPERIMENT}),
    "search": says({"runs": []}),
    "create": says({"run": run_of()}),
}


def like_mlflow(**others: Behaviour) -> Behaviour:
    """Answer as MLflow does, but for the calls whose names (the end of a path, `-` as `_`) are among the others."""

    def behave(connection: socket.socket, path: str) -> None:
        name = path.partition("?")[0].rpartition("/")[2].replace("-", "_")
        (USUAL | others).get(name, says({}))(connection, path)

    return behave


def endless_pages() -> Behaviour:
    """Answer each search with a page of runs and the promise of another."""
    numbers = itertools.count()

    def answer(connection: socket.socket, path: str) -> None:
        number = next(numbers)
        runs = [run_of(f"{number}-{place}", **{"dartsboard.key": f"x/{number}"}) for place in range(20)]
        says({"runs": runs, "next_page_token": f"t{number}"})(connection, path)

    return answer


HOSTILE_FROM_THE_START: dict[str, Behaviour] = {
    behaviour.__name__: behaviour
    for behaviour in (
        never_answers,
        closes_at_once,
        half_closes,
        drips_headers,
        drips_body,
        drips_chunks,
        floods_headers,
        floods_one_header,
        floods_body,
        floods_an_error,
        sends_a_bomb,
        continues_for_ever,
        redirects_to_itself,
        asks_to_wait,
        speaks_odd_headers,
        speaks_no_http,
    )
}

CALLS = (
    "health",
    "get_by_name",
    "search",
    "create",
    "log_batch",
    "log_inputs",
    "set_tag",
    "update",
    "set_experiment_tag",
)


def at_random(random: np.random.Generator, junk: Sequence[object]) -> Behaviour:
    """Answer as MLflow does, but to one or two calls with what no server should say, now and then or each time."""

    def sometimes(usual: Behaviour, other: Behaviour, share: float) -> Behaviour:
        return lambda connection, path: (other if random.random() < share else usual)(connection, path)

    def odd() -> Behaviour:
        if random.random() < 0.5:
            behaviours = list(HOSTILE_FROM_THE_START.values())
            return behaviours[int(random.integers(len(behaviours)))]
        content = junk[int(random.integers(len(junk)))]
        name = str(random.choice(["experiment", "runs", "run", "next_page_token", "info"]))
        status = str(random.choice(["200 OK", "400 Bad Request", "500 Internal Server Error", "204 No Content"]))
        return says(json.dumps({name: content}, default=str).encode(), status)

    names = random.choice(CALLS, size=int(random.integers(1, 3)), replace=False)
    share = float(random.choice([0.3, 1.0]))
    return like_mlflow(**{str(name): sometimes(USUAL.get(str(name), says({})), odd(), share) for name in names})


WRONG_ANSWERS: dict[str, Behaviour] = {
    "endless pages": like_mlflow(search=endless_pages()),
    "the same page for ever": like_mlflow(search=says({"runs": [], "next_page_token": "again"})),
    "an experiment without an id": like_mlflow(get_by_name=says({"experiment": {"name": "board"}})),
    "an id that leads elsewhere": like_mlflow(
        get_by_name=says({"experiment": EXPERIMENT | {"experiment_id": '../"><script>'}})
    ),
    "an id of a megabyte": like_mlflow(get_by_name=says({"experiment": EXPERIMENT | {"experiment_id": "1" * 10**6}})),
    "a list": like_mlflow(get_by_name=says([1])),
    "a number": like_mlflow(search=says(5)),
    "runs of numbers": like_mlflow(search=says({"runs": [1, None, "x"]})),
    "runs in a word": like_mlflow(search=says({"runs": "x"})),
    "a run without anything": like_mlflow(create=says({"run": {}})),
    "a run whose id is a list": like_mlflow(create=says({"run": run_of([1])})),
    "a run whose id leads elsewhere": like_mlflow(create=says({"run": run_of("../../x")})),
    "deep lists": like_mlflow(search=says(b"[" * 400_000)),
    "half a letter and colours": like_mlflow(
        search=says({"error_code": "X", "message": "\ud800 \x1b[31m\n\0" * 5000}, "400 Bad Request")
    ),
    "an answer that drips": like_mlflow(log_batch=drips_body),
    "a last answer that never comes": like_mlflow(set_tag=never_answers),
    "a page that floods": like_mlflow(search=floods_body),
    "data sets that are refused": like_mlflow(
        log_inputs=says({"error_code": "INVALID_STATE", "message": "no"}, "400 Bad Request")
    ),
    "a view that drips": like_mlflow(set_experiment_tag=drips_body),
    "html": like_mlflow(search=says(b"<html>" * 1000)),
}
