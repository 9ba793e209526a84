"""sbatch, srun, squeue, scancel and scontrol in small, by the name that this file is called by: no Slurm is needed.

Jobs are processes of this machine, arrays included, and begin at once. What they do is real, the queue is not Slurm's:
it has no priorities and no nodes; a file `hold`, `refuse` or `silent`
makes jobs wait, sbatch refuse them or squeue fail; a `hold` may say why.
"""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

STATE = Path(os.environ["SMALL_SLURM"])


def sbatch(file: str) -> None:
    if "SLURM_JOB_ID" in os.environ:
        sys.exit("sbatch: error: the job inherits the size of the one that submits it")
    if (STATE / "refuse").exists():
        sys.exit("sbatch: error: Batch job submission failed: Job violates accounting/QOS policy")
    text = Path(file).read_text()
    number = 100 + len(list(STATE.glob("submitted-*")))
    script = STATE / f"submitted-{number}.sh"
    script.write_text(text)
    array = re.search(r"^#SBATCH --array=0-(\d+)", text, re.MULTILINE)
    name = re.search(r"^#SBATCH --job-name=(.*)$", text, re.MULTILINE)
    ids = [f"{number}_{index}" for index in range(int(array[1]) + 1)] if array else [str(number)]
    for job in ids:
        command = [sys.executable, __file__, "node", str(script), job]
        node = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (STATE / f"job-{job}").write_text(f"{name[1] if name else ''} {node.pid}")
    print(f"Submitted batch job {number}")


def node(script: str, job: str) -> None:
    number, _, index = job.partition("_")
    identity = {"SLURM_JOB_ID": number, "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    if index:
        identity |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": index}
    wait_while_held()
    (STATE / f"begun-{job}").touch()  # what squeue calls running no later hold stops
    while True:
        subprocess.run(["bash", script], env={**os.environ, **identity})
        again = STATE / f"requeue-{job}"
        if not again.exists():
            break
        again.unlink()
    wait_while_held()  # for the queue it has not begun again
    (STATE / f"job-{job}").unlink(missing_ok=True)


def wait_while_held() -> None:
    while (STATE / "hold").exists():
        time.sleep(0.05)


def srun(*words: str) -> None:
    for position, word in enumerate(words):
        if word in ("--output", "--error"):
            path = words[position + 1].replace("%A", os.environ.get("SLURM_ARRAY_JOB_ID", ""))
            path = path.replace("%a", os.environ.get("SLURM_ARRAY_TASK_ID", "")).replace("%t", "0")
            path = path.replace("%j", os.environ["SLURM_JOB_ID"])
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.dup2(file, 1 if word == "--output" else 2)
    command = words[words.index(sys.executable) :]
    os.execv(command[0], command)


def squeue(*words: str) -> None:
    if (STATE / "silent").exists():
        sys.exit("slurm_load_jobs error: Unable to contact slurm controller")
    wanted = next(word.partition("=")[2] for word in words if word.startswith("--name="))
    for path in sorted(STATE.glob("job-*")):
        if path.read_text().split()[0] == wanted:
            job = path.name.removeprefix("job-")
            hold = STATE / "hold"
            if hold.exists():
                print(f"{job}|PENDING||{hold.read_text()}")
            else:
                print(f"{job}|RUNNING|node1|None" if (STATE / f"begun-{job}").exists() else f"{job}|PENDING||None")


def scancel(*jobs: str) -> None:
    for job in jobs:
        path = STATE / f"job-{job}"
        if path.exists():
            with suppress(ProcessLookupError):
                os.killpg(int(path.read_text().split()[1]), signal.SIGKILL)
            path.unlink()


def scontrol(_: str, job: str) -> None:
    (STATE / f"requeue-{job}").touch()


if __name__ == "__main__":
    if sys.argv[1:2] == ["node"]:
        node(*sys.argv[2:])
    elif "SLURM_CONF" not in os.environ:
        sys.exit("error: Could not establish a configuration source")
    else:
        globals()[Path(sys.argv[0]).name](*sys.argv[1:])
