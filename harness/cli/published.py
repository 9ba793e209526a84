"""Commands about published boards."""

from pathlib import Path

import click

from harness.cli.printing import json_option, print_content


@click.command()
@click.argument("name")
@click.option("--output", type=click.Path(path_type=Path), help="The folder to publish in, if not boards/.")
@click.option("--replace", is_flag=True, help="Replace a published board of this name.")
@click.option("--runs", is_flag=True, help="With the runs themselves, so that other boards can go on from them.")
def publish(name: str, output: Path | None, replace: bool, runs: bool) -> None:
    """Publish the finished board as the folder boards/NAME: its tables, where they come from, and a page on it."""
    from harness.settings.validation import PARAMS_FILE, check_project_here
    from reports.publish import PUBLISHED
    from reports.publish import publish as publish_board

    check_project_here(PARAMS_FILE)
    folder = publish_board(name, PUBLISHED if output is None else output, replace=replace, with_runs=runs)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    click.echo(f"published {folder}, {size / 1e6:.1f} MB: its page is {folder / 'README.md'}")


@click.command()
@click.option("--board", required=True, type=click.Path(path_type=Path), help="The folder of a published board.")
@click.option("--output", type=click.Path(path_type=Path), help="The folder to write, if not reports/published/NAME.")
def report(board: Path, output: Path | None) -> None:
    """Make the report of a published board from its folder alone; that of the board here is made by `dvc repro`."""
    from reports.publish import report_of

    click.echo(str(report_of(board, output)))


@click.command("compare-boards")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@json_option
def compare_boards(first: Path, second: Path, as_json: bool) -> None:
    """Say what changed between two published boards, FIRST and SECOND, and to which methods it matters."""
    from rich.console import Console

    from harness.publishing import side_by_side

    found = side_by_side.compare_boards(first, second)
    if as_json:
        print_content(side_by_side.as_json(found), as_json)
    else:
        side_by_side.show(found, Console(highlight=False))
