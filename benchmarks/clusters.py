"""A sweep on a real Slurm and on a Ray of two hosts, disturbed in the middle of its searches; counts what was survived.

    python -m benchmarks.clusters

writes benchmarks/results/clusters.md and .csv. Both clusters are started on this machine and ended again: Debian's
Slurm with a configuration of its own (tests/clusters/own_slurm.py), Ray in two network namespaces, which need root
(tests/clusters/two_hosts.py). What is missing is told in a sentence, with exit status 2. `make clusters` runs it.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import pandas as pd

from benchmarks.page import markdown, write_page
from harness.base.errors import UserError
from tests.clusters import own_slurm, ray_scenarios, two_hosts
from tests.clusters.ray_scenarios import ray_of_two_hosts
from tests.clusters.scenarios import play, table
from tests.clusters.slurm_scenarios import Cluster

NAME = "clusters"
PARTS = ("slurm", "ray")
BAD = ("changed", "files left", "wrong")
HEAD = """\
# Sweeps on real clusters

Boards of `darts` and `random-search` on digits of 8x8, disturbed while a search is in its middle. Every record, table
of epochs and table of alpha is compared with that of an undisturbed sweep on this machine; *changed* counts those that
differ in any bit but their times. *Begun again* are tasks that came back from the queue, or in whose place another was
submitted. *Files left* were half written. *Wrong* are exit statuses, sentences and jobs left behind that should be
otherwise.

Slurm: munged, slurmctld and two slurmd with a core each on one machine, so neither a network nor a network file system
is between them. Ray: two hosts in network namespaces, joined by a cable, each with a clone of the project, and DVC's
remote (WebDAV) on the first. The head concludes sooner than a user's would (10 s instead of 90 s), and lost nodes are
noticed sooner than by default.
"""


def missing(parts: tuple[str, ...]) -> list[str]:
    """Return what has to be done before the parts can be measured here, in words."""
    found = own_slurm.missing() if "slurm" in parts else []
    return [*found, *two_hosts.missing(), *ray_scenarios.missing()] if "ray" in parts else found


def measure(parts: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Give the rows of the table."""
    for part in PARTS:
        if part in parts:
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="c-", ignore_cleanup_errors=True)))
                if part == "slurm":
                    cluster = Cluster(stack.enter_context(own_slurm.own_slurm()), folder)
                    yield from play(cluster.scenarios(), _say)
                else:
                    hosts = stack.enter_context(ray_of_two_hosts(folder))
                    yield from play(hosts.scenarios(), _say)


@click.command()
@click.option("--only", type=click.Choice(PARTS), help="One of the two clusters; prints and writes no page.")
def main(only: str | None) -> None:
    """Disturb sweeps on both clusters, then write what was counted."""
    parts = (only,) if only else PARTS
    try:
        if lacking := missing(parts):
            raise UserError(f"real clusters need more on this machine: {'; '.join(lacking)}")
        counts = table(measure(parts))
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    if only:
        click.echo(markdown(counts))
    else:
        _write(counts)
    sys.exit(1 if counts[list(BAD)].to_numpy().any() else 0)


def _write(counts: pd.DataFrame) -> None:
    remarks = [f"Slurm: {own_slurm.version()}"]
    packages = ("torch", "submitit", "ray", "dvc", "dvc-webdav")
    write_page(
        NAME, f"{HEAD}\n{markdown(counts)}", counts, quick=False, output=None, packages=packages, remarks=remarks
    )


def _say(line: str) -> None:
    click.echo(line, err=True)


if __name__ == "__main__":
    main()
