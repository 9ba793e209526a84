"""Commands about MLflow."""

import sys

import click


@click.command()
def sync() -> None:
    """Bring MLflow to the state of the run records, without duplicates; also while searches run."""
    from harness.settings.protocol import load_board
    from harness.tracking.apart import mirror_project
    from harness.tracking.tracked import write_tracked

    summary = mirror_project(load_board())
    write_tracked(summary)
    click.echo(str(summary))
    sys.exit(1 if summary.message else 0)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5000, show_default=True, type=click.IntRange(1, 65535))
def ui(host: str, port: int) -> None:
    """Open MLflow on the board, and print a link to each comparison."""
    from harness.settings.protocol import load_board
    from harness.tracking.page import find_page, serve

    page = find_page(load_board(), host, port)
    for line in page.told:
        click.echo(line)
    for name, link in page.links.items():
        click.echo(f"  {name:<22} {link}")
    if not page.links:
        click.echo("dartsboard sync makes the views of this board, whose links then stand here")
    sys.exit(serve(page))
