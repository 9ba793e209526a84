"""A Slurm of its own: munged, slurmctld and two slurmd on this machine, with all their files in one folder.

Nothing in /etc or /run is read or written and the ports are free ones: an installed Slurm is not disturbed. No root is
needed: the daemons and their jobs belong to the user who starts them.
"""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.base.errors import UserError, in_one_line

PACKAGES = "apt-get install slurm-wlm munge"
COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
NODES = ("one", "two")
SYSTEM_FOLDERS = ("/usr/sbin", "/sbin")
"""Daemons are there, which is not in everybody's path."""
START_SECONDS = 30.0
CREDENTIAL_SECONDS = 5
"""Slurm begins a job that was put back into the queue only after its old credential has expired, else two minutes."""
LOST_SECONDS = 10
"""After so long without an answer a node counts as lost, else five minutes."""
CONFIGURATION = """\
ClusterName=dartsboard
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire={credential}
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/spool-%n
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
SlurmdTimeout={lost}
KillWait=5
MessageTimeout=10
MinJobAge=86400
MailProg=/bin/true
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=brief Nodes=ALL MaxTime=1 State=UP
"""


def missing() -> list[str]:
    """Return what has to be done before a Slurm can be started here, in words; nothing if it can."""
    absent = [command for command in COMMANDS if _find(command) is None]
    return [f"{PACKAGES} (there is no {absent[0]})"] if absent else []


def version() -> str:
    """Return what Slurm says of its version: a daemon, for the commands do so only where a cluster is configured."""
    path = _find("slurmctld")
    assert path is not None
    told = subprocess.run([path, "-V"], capture_output=True, text=True, encoding="utf-8", check=True)
    return told.stdout.strip()


class OwnSlurm:
    """A cluster of two nodes with a core each, under way."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        """Under which Slurm's commands speak with it."""
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start all daemons and wait until both nodes are idle.

        Raises:
            UserError: one ends, or does not get so far.
        """
        self._configure()
        self._start_munge()
        self._start("slurmctld", "-D")
        for node in NODES:
            self.start_node(node)
        self._until("its nodes are not ready", lambda: set(self.ask("sinfo", "-h", "-o", "%T").split()) == {"idle"})

    def start_node(self, node: str) -> None:
        """Start the slurmd of a node, which may have had one before."""
        self._start("slurmd", "-D", "-N", node, name=f"slurmd-{node}")

    def kill_node(self, node: str) -> None:
        """Kill the slurmd of a node; its jobs go on, as with a node that has lost the network only."""
        self._daemons[f"slurmd-{node}"].kill()
        self._daemons.pop(f"slurmd-{node}").wait()

    def kill_controller(self) -> None:
        """Kill slurmctld."""
        self._daemons["slurmctld"].kill()
        self._daemons.pop("slurmctld").wait()

    def start_controller(self) -> None:
        """Start slurmctld again, from the state that it saved."""
        self._start("slurmctld", "-D")
        self._until("slurmctld does not answer", lambda: "UP" in self.ask("scontrol", "ping"))

    def ask(self, *command: str) -> str:
        """Return what a command of Slurm prints; nothing if it fails."""
        answer = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        return answer.stdout

    def jobs(self, state: str = "all") -> list[str]:
        """Return the ids of jobs in a state."""
        return self.ask("squeue", "-h", "--array", f"--states={state}", "--format=%i").split()

    def stop(self) -> None:
        """End all jobs and daemons."""
        if "slurmctld" in self._daemons:
            self.ask("scancel", f"--user={getpass.getuser()}")
            with suppress(UserError):
                self._until("", lambda: not self.jobs("running,completing"))
        for name in reversed(self._daemons):
            self._daemons[name].send_signal(signal.SIGTERM)
        for daemon in self._daemons.values():
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons.clear()

    def _configure(self) -> None:
        (self.folder / "state").mkdir(mode=0o700)
        for node in NODES:
            (self.folder / f"spool-{node}").mkdir(mode=0o700)
        host = socket.gethostname().partition(".")[0]
        controller, *ports = _free_ports(1 + len(NODES))
        nodes = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=4000"
            for node, port in zip(NODES, ports, strict=True)
        ]
        text = CONFIGURATION.format(
            host=host,
            port=controller,
            user=getpass.getuser(),
            folder=self.folder,
            credential=CREDENTIAL_SECONDS,
            lost=LOST_SECONDS,
            nodes="\n".join(nodes),
        )
        (self.folder / "slurm.conf").write_text(text)

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        files = {"socket": "munge.socket", "pid-file": "munge.pid", "log-file": "munge.log", "seed-file": "munge.seed"}
        options = [f"--{option}={self.folder / name}" for option, name in files.items()]
        self._start("munged", "--foreground", f"--key-file={key}", *options)
        self._until("munged does not answer", (self.folder / "munge.socket").exists)

    def _start(self, command: str, *arguments: str, name: str | None = None) -> None:
        path = _find(command)
        assert path is not None
        name = name or command
        with (self.folder / f"{name}.out").open("ab") as output:
            self._daemons[name] = subprocess.Popen(
                [path, *arguments], env=self.environment, stdout=output, stderr=output, start_new_session=True
            )

    def _until(self, complaint: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            for name, daemon in self._daemons.items():
                if daemon.poll() is not None:
                    raise UserError(f"{name} has ended: {self._last_words(name)}")
            if time.monotonic() > deadline:
                raise UserError(f"{complaint} after {START_SECONDS:.0f} s: {self._last_words('slurmctld')}")
            time.sleep(0.2)

    def _last_words(self, name: str) -> str:
        for path in (self.folder / f"{name}.out", self.folder / f"{name}.log"):
            lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
            if lines:
                return in_one_line(RuntimeError(lines[-1]))
        return "it said nothing"


@contextmanager
def own_slurm() -> Iterator[OwnSlurm]:
    """Give a Slurm whose files are in a temporary folder, and end it with all its jobs.

    Raises:
        UserError: it does not start.
    """
    with TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # munge's socket must be within everybody's reach
        slurm = OwnSlurm(folder)
        try:
            slurm.start()
            yield slurm
        finally:
            slurm.stop()


def _find(command: str) -> str | None:
    return shutil.which(command) or shutil.which(command, path=os.pathsep.join(SYSTEM_FOLDERS))


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
