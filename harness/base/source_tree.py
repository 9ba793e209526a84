"""Which copy of the project runs: the one that stands in the current folder, whatever is installed where.

DVC runs its stages with the code of the current folder. A command of another installation would search with one code
and record the hash of the other.
"""

import os
import sys
from pathlib import Path

from harness.base.errors import UserError

RUNNING = Path(__file__).resolve().parents[2]
"""The folder whose `harness` this process has imported."""
TEMPLATE = RUNNING / "harness" / "board_template"
"""What `dartsboard init` makes a board of."""
ENTRY_POINT_GROUP = "dartsboard.variants"
"""Under it other packages name their modules with methods."""


def tree_here() -> Path | None:
    """Return the current folder where it is a copy of the project, else None."""
    here = Path.cwd()
    return here.resolve() if (here / "harness" / "__init__.py").is_file() and (here / "variants").is_dir() else None


def is_own_board() -> bool:
    """Whether the current folder is a board of one's own, away from the project, and no copy of that."""
    return tree_here() is None


def check_tree() -> None:
    """Check that this process runs the code of the current folder.

    Raises:
        UserError: the folder is a copy of the project, and the code comes from another one.
    """
    here = tree_here()
    if here not in (None, RUNNING):
        raise UserError(
            f"this folder has its own harness/, but the code that runs comes from {RUNNING}: unset PYTHONSAFEPATH and "
            f"PYTHONPATH, or install this folder (pip install -e .)"
        )


def run_the_tree_here() -> None:
    """Replace this process by the same command with the code of the current folder, where that is another copy."""
    here = tree_here()
    if here in (None, RUNNING):
        return
    # In the environment, so that workers and the stages of DVC take it too.
    paths = [str(here), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    command = "from harness.cli import main; main(prog_name='dartsboard')"
    os.execv(sys.executable, [sys.executable, "-c", command, *sys.argv[1:]])
