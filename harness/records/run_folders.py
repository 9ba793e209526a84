"""Where the runs are; imports little, for commands that only look whether one is there."""

import re
from pathlib import Path

from harness.base.errors import UserError, quoted

RUNS = Path("runs")
LONGEST_NAME = 60
METHOD_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9-]{{0,{LONGEST_NAME - 1}}}")
"""What a variant or a baseline may be called: the name of a folder, and of nothing outside it."""


def run_folder(variant: str, seed: int, root: Path = RUNS) -> Path:
    """Return the folder of one run.

    Raises:
        UserError: the name could lead elsewhere.
    """
    if not METHOD_NAME.fullmatch(variant):
        raise UserError(f"{quoted(variant)} is no name of a method, expected letters, digits and hyphens")
    return root / variant / f"seed-{seed}"
