"""Commands that write and examine a project: boards, methods, what the machine has."""

import sys
from pathlib import Path

import click

from harness.base.errors import UserError
from harness.base.source_tree import is_own_board
from harness.cli.printing import json_option, print_content


@click.command()
@click.argument("folder")
def init(folder: str) -> None:
    """Begin a board of your own in a new FOLDER: its settings, its stages, and a place for methods of your own."""
    from harness.new_board import new_board

    for line in new_board(folder):
        click.echo(line)


@click.command()
@json_option
def variants(as_json: bool) -> None:
    """List the registered methods by family: what they change, what they cost, whether papers have their numbers."""
    from harness.board import listing

    if not as_json:
        click.echo("\n".join(listing.lines()))
        return
    content = {
        entry.name: {
            "family": entry.family,
            "axis": entry.axis,
            "passes a step": entry.passes_per_step,
            "times DARTS": entry.cost,
            "published": entry.published,
            "citation": entry.citation,
        }
        for members in listing.by_family().values()
        for entry in members
    }
    print_content(content, as_json)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def use(file: Path) -> None:
    """Let params.yaml say what FILE says, such as boards/all-methods.yaml; its other keys stay as they are."""
    from harness.base.files import check_name
    from harness.search import registry
    from harness.settings import project
    from harness.settings.protocol import Board
    from harness.settings.validation import PARAMS_FILE, read_yaml, validate

    present = read_yaml(PARAMS_FILE)
    check_name(file)
    if not file.exists():
        raise UserError(
            f"{file} is missing, expected a file with keys of {PARAMS_FILE}, such as boards/all-methods.yaml"
        )
    changes = read_yaml(file)
    if not isinstance(present, dict):
        raise UserError(f"{PARAMS_FILE} is empty or no mapping")
    if not isinstance(changes, dict) or not changes:
        raise UserError(f"{file} is empty or no mapping, expected keys of {PARAMS_FILE}, such as variants")
    board = validate(Board, {**present, **changes}, where=f"{PARAMS_FILE} with {file}")
    registry.check_board(board)
    project.set_params(changes, innermost_in_a_line=True)
    click.echo(f"{PARAMS_FILE} has {', '.join(changes)} of {file}")
    click.echo(f"{len(board.variants)} searches and {len(board.baselines)} baselines, {len(board.runs)} runs")


@click.command("new-variant")
@click.argument("name")
def new_variant(name: str) -> None:
    """Begin a search variant NAME: a file that runs as it is, its settings, its test and, in the project, its page."""
    from harness.new_variant import new_variant as write_new_variant

    for path in write_new_variant(name):
        click.echo(f"wrote {path}")
    in_project = "docs/adding-a-variant.md says how to go on"
    click.echo("next: python -m pytest tests, then dvc repro" if is_own_board() else in_project)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def prune(dry_run: bool) -> None:
    """Remove runs that params.yaml no longer names, and what no run can resume from or take."""
    from harness.board.status import remove, unwanted
    from harness.settings.protocol import load_board

    paths = unwanted(load_board())
    for path in paths:
        click.echo(f"{'would remove' if dry_run else 'removed'} {path}")
    if not dry_run:
        remove(paths)
    if not paths:
        click.echo("nothing to remove")


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say what works on this machine, what is missing, and how to get it."""
    from dataclasses import asdict

    from harness.doctor import examine

    findings = examine()
    if as_json:
        print_content([asdict(finding) for finding in findings], as_json)
    else:
        for finding in findings:
            click.echo(f"{'ok' if finding.works else 'MISSING':<8} {finding.subject:<16} {finding.detail}")
    sys.exit(0 if all(finding.works for finding in findings) else 1)
