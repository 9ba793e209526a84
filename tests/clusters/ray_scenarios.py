"""A Ray of two hosts without a shared folder: what one makes reaches the other through DVC's remote, over a cable.

The remote is a WebDAV server on the first host, where Ray's head and the head of the sweep are too. Each host has a
clone of the project at the same path.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from harness.base.errors import UserError
from harness.records.checkpoint import CHECKPOINTS, unfinished
from harness.records.record import run_folder
from tests.clusters.projects import Project, finish, until
from tests.clusters.scenarios import Counts, Scenario
from tests.clusters.two_hosts import Host, two_hosts
from tests.conftest import ROOT

EPOCHS = 150
"""Of a search that can be met in its middle."""
PACKAGES = {"ray": "ray", "dvc_webdav": "dvc-webdav", "wsgidav": "wsgidav", "cheroot": "cheroot"}
"""Modules, and the packages that have them."""
RAY_PORT, REMOTE_PORT = 6379, 8080
SHORT_SECONDS = 4.0
"""A cable that is out no longer than that, Ray does not notice."""
LOST_SECONDS = 40.0
"""After so long a host counts as lost for certain."""
START_SECONDS = 60.0
HEALTH = {"RAY_health_check_timeout_ms": "2000", "RAY_health_check_failure_threshold": "4"}
"""A host is lost after about 20 s, else a minute."""


def missing() -> list[str]:
    """Return what has to be done before Ray and the remote can be started here, in words; nothing if they can."""
    absent = [package for module, package in PACKAGES.items() if find_spec(module) is None]
    return [f"pip install {' '.join(absent)}"] if absent else []


class TwoHosts:
    """A project on two hosts, with Ray and the remote under way."""

    def __init__(self, first: Host, second: Host, folder: Path):
        self.first = first
        self.second = second
        self._folder = folder
        self._ray = folder / "ray"
        self._seen = folder / "board"
        for path in (self._ray, self._seen, folder / "ray-second", folder / "remote"):
            path.mkdir()
        self.project = Project(folder / "head", seeds=2, epochs=EPOCHS)
        self._dvc("remote", "add", "--default", "board", f"webdav://{first.address}:{REMOTE_PORT}/")
        self._own = {host.name: folder / host.name for host in (first, second)}
        for host in (first, second):
            host.folders = {self._seen: self._own[host.name]}
        second.folders[self._ray] = folder / "ray-second"
        self._clone()

    def start(self) -> None:
        """Start the remote and Ray on both hosts.

        Raises:
            UserError: Ray does not start.
        """
        words = (sys.executable, "-m", "wsgidav.server.server_cli", "--no-config", "--auth", "anonymous")
        where = ("--host", self.first.address, "--port", str(REMOTE_PORT), "--root", str(self._folder / "remote"))
        self.first.start(*words, *where, log=self._folder / "remote.log")
        address = f"{self.first.address}:{RAY_PORT}"
        more = ("--include-dashboard=false", f"--temp-dir={self._ray}")
        self._start_ray(self.first, "--head", f"--port={RAY_PORT}", *more)
        self._until_reached(RAY_PORT)
        self._until_reached(REMOTE_PORT)
        self._start_ray(self.second, f"--address={address}")
        self._until_nodes(2)

    def scenarios(self) -> Iterator[Scenario]:
        """Give all, one after another."""
        yield Scenario("Ray: a board on two hosts, through DVC's remote", lambda: self._sweep(lambda head: 0))
        yield Scenario(f"Ray: cable out for {SHORT_SECONDS:.0f} s", lambda: self._sweep(self._short))
        yield Scenario("Ray: one host cut off until it is lost, and back", lambda: self._sweep(self._cut_off))
        yield Scenario("Ray: one host cut off for good", lambda: self._sweep(self._cut_off_for_good))
        yield Scenario("Ray: head killed and started again", lambda: self._sweep(self._kill_head))

    # What is done to a sweep; each returns how often it was done

    def _short(self, head: subprocess.Popen[str]) -> int:
        self._until_middle_on_second(head)
        self.second.pull_cable()
        time.sleep(SHORT_SECONDS)
        self.second.plug_in_cable()
        return 1

    def _cut_off(self, head: subprocess.Popen[str]) -> int:
        self._until_middle_on_second(head)
        self.second.pull_cable()
        time.sleep(LOST_SECONDS)
        self.second.plug_in_cable()
        return 1

    def _cut_off_for_good(self, head: subprocess.Popen[str]) -> int:
        self._until_middle_on_second(head)
        self.second.pull_cable()
        return 1

    def _kill_head(self, head: subprocess.Popen[str]) -> int:
        self._until_middle_on_second(head)
        head.kill()
        return 1

    # Scenarios

    def _sweep(self, disturb: Callable[[subprocess.Popen[str]], int]) -> Counts:
        counts = Counts()
        head = self._start_head()
        counts.disturbed = disturb(head)
        _, told = finish(head)
        if head.returncode == -signal.SIGKILL:
            head = self._start_head()
            _, told = finish(head)
        if head.returncode or "Traceback" in told:
            print(told)
            counts.wrong += 1
        counts.again = sum(len(self._begun(host)) for host in self._own.values()) - len(self.project.runs)
        counts.tasks = len(self.project.runs) + counts.again
        counts.take_in(self.project.compare())
        self._again()
        return counts

    def _again(self) -> None:
        """Make both hosts and the remote as new, for the next scenario."""
        self.second.end()
        self.second.plug_in_cable()
        self._until_nodes(1)
        shutil.rmtree(self._folder / "remote" / "runs", ignore_errors=True)  # DVC believes that the rest stays
        for part in self._own.values():
            for path in part.iterdir():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        self._clone()
        self._start_ray(self.second, f"--address={self.first.address}:{RAY_PORT}")
        self._until_nodes(2)

    # What they need

    def _start_head(self) -> subprocess.Popen[str]:
        options = ("--engine", "ray", "--option", f"address={self.first.address}:{RAY_PORT}")
        return self.project.start_head(
            *options, "--store", "dvc", "--folder", str(self._seen), through=self.first.command
        )

    def _until_middle_on_second(self, head: subprocess.Popen[str]) -> None:
        root = self._own[self.second.name] / CHECKPOINTS
        until(lambda: self.project.in_the_middle(root), head, "the middle of a search on the second host")

    def _begun(self, clone: Path) -> set[tuple[str, int]]:
        """Return the runs that have left a trace in a clone."""
        left = {(found.variant, found.seed) for found in unfinished(clone / CHECKPOINTS)}
        return left | {run for run in self.project.runs if (clone / run_folder(*run)).exists()}

    def _clone(self) -> None:
        made = shutil.ignore_patterns("runs", "data", "cache", ".dartsboard", "found.txt", "theory.txt", "tmp")
        for clone in self._own.values():
            shutil.copytree(self.project.folder, clone, ignore=made, dirs_exist_ok=True, symlinks=True)

    def _start_ray(self, host: Host, *options: str) -> None:
        words = (sys.executable, "-m", "ray.scripts.scripts", "start", f"--node-ip-address={host.address}")
        sizes = ("--num-cpus=1", "--num-gpus=0", "--object-store-memory=100000000", "--disable-usage-stats", "--block")
        own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled"}
        log = self._folder / f"ray-{host.name}.log"
        host.start(*words, *options, *sizes, log=log, environment={**os.environ, **own, **HEALTH})

    def _until_reached(self, port: int) -> None:
        probe = f"import socket; socket.create_connection(('{self.first.address}', {port}), 2)"
        self._until(f"nothing answers on port {port}", lambda: self._works("-c", probe))

    def _until_nodes(self, count: int) -> None:
        address = f"{self.first.address}:{RAY_PORT}"
        probe = (
            f"import ray; ray.init('{address}', logging_level='ERROR'); "
            f"assert sum(node['Alive'] for node in ray.nodes()) == {count}"
        )
        self._until(f"Ray does not come to {count} hosts", lambda: self._works("-c", probe))

    def _works(self, *words: str) -> bool:
        command = self.first.command(sys.executable, *words)
        environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
        return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60).returncode == 0

    def _until(self, complaint: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise UserError(f"{complaint} within {START_SECONDS:.0f} s; what was said is in {self._folder}")
            time.sleep(0.5)

    def _dvc(self, *arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "dvc", *arguments], cwd=self.project.folder, check=True, capture_output=True
        )


@contextmanager
def ray_of_two_hosts(folder: Path) -> Iterator[TwoHosts]:
    """Give a Ray of two hosts whose files are in a folder, and end it.

    Raises:
        UserError: it does not start.
    """
    with two_hosts() as (first, second):
        hosts = TwoHosts(first, second, folder)
        hosts.start()
        yield hosts
