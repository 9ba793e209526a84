"""The command `dartsboard`. Everything heavy is imported inside the command that needs it."""

import click

from harness.base.commands import Commands
from harness.base.source_tree import run_the_tree_here
from harness.cli import cells, project, published, runs, tracking


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dartsboard")
def main() -> None:
    """Compare differentiable architecture search methods on NAS-Bench-201.

    `dvc repro` runs the whole board of params.yaml and builds the report; these commands look at it and run parts.
    """


for command in (
    *(project.init, project.use, project.variants, project.new_variant, project.doctor, project.prune),
    *(cells.cell, cells.truth),
    *(runs.search, runs.sweep, runs.status, runs.plan, runs.compare),
    *(published.publish, published.report, published.compare_boards),
    *(tracking.sync, tracking.ui),
):
    main.add_command(command)


def run() -> None:
    """Begin the command as the shell does: with the code of the folder it is called in, where there is a copy of it."""
    run_the_tree_here()
    main()
