"""What the user may say to Slurm, and what a job is given."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from harness.base.errors import UserError, did_you_mean
from harness.fleet.engine import Resources

Cluster = Literal["slurm", "local"]

OWN = ("array", "error", "job_name", "nodes", "ntasks_per_node", "open_mode", "output", "requeue", "signal")
"""Options of sbatch that the engine sets itself."""
DEFAULT_TIME = "4:00:00"
SIGNAL_SECONDS = 60
"""Before its time limit a job is told to go back into the queue. It leaves at once: its checkpoint is written."""
LEAST_MINUTES = 2
"""With less, Slurm, which looks at limits every half minute, may warn a job while it still starts."""
MEMORY_MARGIN = 1.5
"""What a job asks for, times what its runs are expected to take."""


@dataclass(frozen=True)
class JobOptions:
    """The options of all jobs of a sweep."""

    cluster: Cluster
    """`local`: jobs of submitit's local executor on this machine, to rehearse without Slurm."""
    minutes: int
    """Time limit; a run that takes longer goes on in the next turn."""
    gpus: bool
    """Whether searches with `device: auto` get a GPU."""
    sbatch: dict[str, Any]
    """Further options of sbatch, True for one without a value."""

    def parameters(self, resources: Resources, name: str) -> dict[str, Any]:
        """Return submitit's parameters of jobs of one size; `name` is that of the jobs."""
        if self.cluster == "local":
            return {"timeout_min": self.minutes, "signal_delay_s": 0, "gpus_per_node": resources.gpus}
        sizes: dict[str, Any] = {"cpus_per_task": resources.cores}
        if resources.gpus and not any(key.startswith(("gres", "gpus")) for key in self.sbatch):
            sizes["gpus_per_node"] = resources.gpus
        if resources.memory_bytes and not any(key.startswith("mem") for key in self.sbatch):
            sizes["mem"] = f"{math.ceil(MEMORY_MARGIN * resources.memory_bytes / 2**20)}MB"
        return {
            "job_name": name,
            "time": self.minutes,
            "signal_delay_s": SIGNAL_SECONDS,
            "array_parallelism": 1_000_000,
            **sizes,
            "additional_parameters": {"requeue": True, **self.sbatch},
        }


def job_options(options: dict[str, str]) -> JobOptions:
    """Read the options `cluster`, `time` and `gpus`, and take every other one for sbatch's.

    Raises:
        UserError: one has a wrong value, or belongs to the engine.
    """
    left = {key.lstrip("-").replace("-", "_"): value for key, value in options.items()}
    cluster = left.pop("cluster", "slurm")
    if cluster not in ("slurm", "local"):
        raise UserError(f"cluster={cluster}: {did_you_mean(cluster, ('slurm', 'local'))}")
    minutes = _minutes(left.pop("time", DEFAULT_TIME))
    gpus = left.pop("gpus", "yes" if cluster == "slurm" else "no")
    if gpus not in ("yes", "no"):
        raise UserError(f"gpus={gpus}: expected yes or no, whether searches with device: auto get a GPU each")
    for key in left:
        if key in OWN:
            raise UserError(f"the option {key} of sbatch is set by the sweep itself: leave it out")
    sbatch = {key: True if value in ("", "true") else value for key, value in left.items()}
    return JobOptions("local" if cluster == "local" else "slurm", minutes, gpus == "yes", sbatch)


def _minutes(text: str) -> int:
    """Return a time limit in the forms of sbatch: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S."""
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdecimal() for part in ([days] if dash else []) + parts) or len(parts) > 3:
        raise UserError(f"time={text}: expected minutes, hours:minutes:seconds or days-hours, as sbatch takes them")
    numbers = [int(part) for part in parts]
    if dash or len(numbers) == 3:
        hours, minutes, seconds = [*numbers, 0, 0][:3]
    else:
        hours, (minutes, seconds) = 0, [*numbers, 0][:2]
    total = math.ceil((int(days or 0) * 24 + hours) * 60 + minutes + seconds / 60)
    if total < LEAST_MINUTES:
        raise UserError(
            f"time={text}: expected at least {LEAST_MINUTES} minutes, for a job is told a minute before its end"
        )
    return total
