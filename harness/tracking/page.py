"""MLflow's page on the board: where it listens, whom it answers, and that it ends with the command that serves it."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from multiprocessing import get_context, parent_process
from pathlib import Path
from types import FrameType
from typing import NoReturn

from harness.base.errors import UserError, quoted
from harness.settings.protocol import Board
from harness.tracking.saved_views import links
from harness.tracking.store import MLFLOW_SETTINGS, check_usable, find_store

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

ALLOWED_HOSTS = "MLFLOW_SERVER_ALLOWED_HOSTS"
"""MLflow's own variable: names under which a browser may ask, with commas between."""

FREE_SECONDS = 2
"""How long the port of a server that was ended is waited for."""


@dataclass(frozen=True)
class Page:
    """A light MLflow server on a board's store, not yet started."""

    command: list[str]
    environment: dict[str, str]
    folder: Path
    """Where it runs."""
    address: str
    """The address that it listens on, as a number."""
    port: int
    told: tuple[str, ...]
    """What whoever starts it should read."""
    links: dict[str, str]
    """The address of each saved view, by its name."""


def find_page(board: Board, host: str = "127.0.0.1", port: int = 5000, project: Path = Path()) -> Page:
    """Return the server of the board's page.

    Raises:
        UserError: the store is a server already, or cannot be used, or nobody can listen there.
    """
    store = find_store(board, project)
    if store.is_server:
        raise UserError(f"tracking.uri is a server already: open {store.shown} in a browser")
    address = _listening_address(host, port)  # before a store is made
    experiment = check_usable(store, board.tracking.experiment)
    command = [sys.executable, "-m", "mlflow", "server", "--host", address, "--port", str(port), "--workers", "1"]
    environment = {
        **os.environ,
        **MLFLOW_SETTINGS,
        # Not on the command line, which every user of the machine can read: it may hold a password.
        "MLFLOW_BACKEND_STORE_URI": store.uri_in_its_folder,
        "MLFLOW_ARTIFACTS_DESTINATION": store.artifacts.as_uri(),
        # Ten processes fewer: they serve features that a board has no use for.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        ALLOWED_HOSTS: ",".join(_allowed_hosts(host, address, port)),
    }
    folder = store.database.parent if store.database else store.project
    views = links(f"http://{_in_address(host)}:{port}", experiment) if experiment else {}
    return Page(command, environment, folder, address, port, _told(host, address, port), views)


def _listening_address(host: str, port: int) -> str:
    """Return the number of the address that a host's name stands for, after a look whether one can listen there."""
    try:
        # Some systems take `*` for an address as well; to the server's list of names it means everybody.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM) if re.fullmatch(r"[\w.:%-]+", host) else []
    except (OSError, ValueError, TypeError):  # the last two for what is no name of a host at all
        found = []
    if not found:
        raise UserError(f"--host {quoted(host)} is no host, expected a name or an address such as 127.0.0.1 or 0.0.0.0")
    reason = ""
    for family, kind, protocol, _, place in found:
        try:
            with closing(socket.socket(family, kind, protocol)) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
            return str(place[0])
        except OSError as error:
            reason = reason or str(error.strerror)
    raise UserError(f"{host}:{port} cannot be used ({reason}): choose another with --port or --host")


def _allowed_hosts(host: str, address: str, port: int) -> list[str]:
    """Return whom the server answers; MLflow would answer every name that begins like a private address."""
    names = [host, _in_address(address)]
    if ip_address(address.partition("%")[0]).is_unspecified:
        names += [socket.gethostname(), *map(_in_address, _own_addresses())]
    # Any port of this machine's own names: it may be forwarded from another.
    local = ["localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*", "[::1]", f"[::1]:{port}"]
    named = [text for name in names for text in (name, f"{name}:{port}")]
    users = [name for name in os.environ.get(ALLOWED_HOSTS, "").split(",") if name.strip()]
    return list(dict.fromkeys([*local, *named, *users]))


def _own_addresses() -> list[str]:
    addresses = []
    with suppress(OSError):
        addresses += [str(found[4][0]) for found in socket.getaddrinfo(socket.gethostname(), None)]
    with suppress(OSError), closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as outward:
        outward.connect(("192.0.2.1", 9))  # an address of nobody: nothing is sent, but the way there is chosen
        addresses.append(str(outward.getsockname()[0]))
    return addresses


def _in_address(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _told(host: str, address: str, port: int) -> tuple[str, ...]:
    where = f"http://{_in_address(host)}:{port}"
    number = ip_address(address.partition("%")[0])
    if number.is_loopback:
        return (where,)
    places = "every address of this machine" if number.is_unspecified else address
    return (
        f"{where} (listens on {places}: whoever reaches it sees all runs, and may change them)",
        f"names that it does not know it refuses: {ALLOWED_HOSTS}=NAME:{port} lets it answer to NAME",
    )


# Serving


def serve(page: Page) -> int:
    """Serve it until the server or this process ends, however that happens; nothing of it is left then.

    Returns:
        The status to exit with.
    """
    before = {number: signal.signal(number, _end) for number in ENDING}
    process = get_context("spawn").Process(target=_serve, args=(page,))
    try:
        process.start()
        process.join()
        return abs(process.exitcode or 0)
    finally:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        if process.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.join()
            _wait_until_free(page)
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _serve(page: Page) -> None:
    # MLflow starts processes of its own, so all of them get a group, which ends with the command.
    os.setsid()
    threading.Thread(target=_end_group_with_parent, daemon=True).start()
    sys.exit(subprocess.run(page.command, env=page.environment, cwd=page.folder).returncode)


def _end_group_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.killpg(0, signal.SIGKILL)


def _wait_until_free(page: Page) -> None:
    until = time.monotonic() + FREE_SECONDS
    while time.monotonic() < until:
        with suppress(UserError):
            _listening_address(page.address, page.port)
            return
        time.sleep(0.02)
