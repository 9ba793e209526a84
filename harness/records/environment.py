"""Where a run is computed: versions, device, processor, revision of the project."""

import platform
import subprocess

from harness.base.processor import processor_name
from harness.records.record import Environment


def current_environment(device: str, deterministic: bool | None = None) -> Environment:
    """Return the environment of this process; `device` is torch's name of it, for the rest see `Environment`."""
    import numpy
    import torch

    name = torch.cuda.get_device_name() if device.startswith("cuda") else "cpu"
    return Environment(
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=numpy.__version__,
        device=name,
        processor=processor_name(),
        threads=torch.get_num_threads(),
        deterministic=deterministic,
        git_revision=git_revision(),
    )


OF_THE_BOARD = ("params.yaml", "sources.json", "dvc.lock")
"""What a board asks for, and what the pipeline writes of it: records and published boards tell that themselves."""


def git_revision() -> str | None:
    """Return the project's commit, with `+changes` when tracked files not of the board differ; None outside git."""
    others = [":(top)", *(f":(exclude){name}" for name in OF_THE_BOARD)]
    try:
        revision = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", *others)
    except (OSError, subprocess.CalledProcessError):
        return None
    return revision + ("+changes" if changed else "")


def _git(*arguments: str) -> str:
    result = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, encoding="utf-8")
    return result.stdout.strip()
