"""Two hosts on one machine: network namespaces joined by a cable, and each sees its own files where the project is.

A host has an address, a loopback of its own and nothing else: what is sent to the other goes over the cable, which can
be pulled. Needs root.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from harness.base.errors import UserError, in_one_line

HOSTS = ("first", "second")
NETWORK = "10.77.0"
END_SECONDS = 10.0


def missing() -> list[str]:
    """Return what has to be done before hosts can be made here, in words; nothing if they can."""
    absent = [command for command in ("ip", "unshare", "mount") if shutil.which(command) is None]
    packages = [f"apt-get install iproute2 util-linux mount (there is no {absent[0]})"] if absent else []
    return packages if os.geteuid() == 0 else [*packages, "be root (for network namespaces), or leave Ray out"]


@dataclass
class Host:
    """A network namespace, and folders that are others than outside of it."""

    name: str
    address: str
    folders: dict[Path, Path] = field(default_factory=dict)
    """What is seen where: a folder by the path that it is seen at; both must be there when a command starts."""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        """The name of its namespace, which no other process of this module has."""
        return f"dartsboard-{os.getpid()}-{self.name}"

    def command(self, *words: str) -> list[str]:
        """Return the command that runs another one on this host."""
        binds = "".join(f'mount --bind "{own}" "{seen}" && ' for seen, own in self.folders.items())
        script = f'{binds}exec "$@"'
        return ["ip", "netns", "exec", self.namespace, "unshare", "--mount", "sh", "-c", script, "sh", *words]

    def start(self, *words: str, log: Path, environment: dict[str, str] | None = None) -> None:
        """Start a command that goes on until the host is ended."""
        with log.open("ab") as output:
            self.processes.append(
                subprocess.Popen(
                    self.command(*words), env=environment, stdout=output, stderr=output, start_new_session=True
                )
            )

    def end(self) -> None:
        """End all processes of this host."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in _run("ip", "netns", "pids", self.namespace).split():
                with suppress(ProcessLookupError):
                    os.kill(int(process), number)
            for started in self.processes:
                with suppress(subprocess.TimeoutExpired):
                    started.wait(END_SECONDS)
        self.processes.clear()

    def pull_cable(self) -> None:
        """Cut this host off from the other."""
        _run("ip", "-n", self.namespace, "link", "set", "cable", "down")

    def plug_in_cable(self) -> None:
        """Undo it."""
        _run("ip", "-n", self.namespace, "link", "set", "cable", "up")


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Give two hosts, and end them with all their processes.

    Raises:
        UserError: this machine does not let us.
    """
    hosts = [Host(name, f"{NETWORK}.{number}") for number, name in enumerate(HOSTS, start=1)]
    try:
        for host in hosts:
            _run("ip", "netns", "add", host.namespace)
            _run("ip", "-n", host.namespace, "link", "set", "lo", "up")
        first, second = hosts
        ends = ("netns", first.namespace, "type", "veth", "peer", "name", "cable", "netns", second.namespace)
        _run("ip", "link", "add", "cable", *ends)
        for host in hosts:
            _run("ip", "-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "cable")
            _run("ip", "-n", host.namespace, "link", "set", "cable", "up")
        yield first, second
    finally:
        for host in hosts:
            with suppress(UserError):
                host.end()
            with suppress(UserError):
                _run("ip", "netns", "delete", host.namespace)


def _run(*command: str) -> str:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except subprocess.CalledProcessError as error:
        raise UserError(f"{' '.join(command)}: {in_one_line(RuntimeError(error.stderr.strip()))}") from None
    return answer.stdout
