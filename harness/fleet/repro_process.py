"""The process in which the runs of a `dvc repro` are made.

    python -m harness.fleet.repro_process DVC METHOD SEED

where DVC is a `CallingDvc` as JSON.
"""

import json
import sys

from harness.base.errors import UserError
from harness.fleet.calling_dvc import CallingDvc
from harness.fleet.forks import warm_up


def main(dvc: str, method: str, seed: str) -> int:
    """Make the runs; return the exit status."""
    warm_up()  # the workers' imports take as long as this process's own, which follow
    from harness.fleet.repro_group import make_all

    try:
        make_all(CallingDvc(**json.loads(dvc)), method, int(seed))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
