"""Commands about cells and their true accuracies."""

from pathlib import Path

import click

from harness.cli.printing import json_option, print_content


@click.command()
@click.argument("cell")
@json_option
def cell(cell: str, as_json: bool) -> None:
    """Describe a cell, given by its official index or its string; with its costs, where params.yaml names a table."""
    from harness.settings.tables import load_costs
    from harness.settings.validation import PARAMS_FILE
    from harness.space.cell import Cell, Shape

    found = Cell.parse(cell)
    shape = Shape()
    content = {
        "index": found.index,
        "string": str(found),
        "canonical": found.canonical,
        "counts": found.counts,
        "depth": found.depth,
        "width": found.width,
        "parameters": found.parameters(shape),
        "flops": found.flops(shape),
    }
    costs = load_costs() if PARAMS_FILE.is_file() else None
    if costs is None:
        print_content(content, as_json)
        return
    from harness.truth.cell_costs import costs_of

    measured = costs_of(costs, found)
    short = {cost["label"]: _with_unit(cost["value"], cost["unit"]) for cost in measured.values()}
    print_content({**content, "costs": measured if as_json else short}, as_json)


def _with_unit(value: float | None, unit: str) -> str:
    return "not measured" if value is None else f"{value:.4g} {unit}"


@click.group()
def truth() -> None:
    """The table of true accuracies."""


@truth.command("import")
@click.argument("kind", type=click.Choice(["analog-nasbench", "nas-bench-201", "nats-bench", "table"]))
@click.argument("path", required=False)
@click.option("--cell-column", help="For `table`: the column that names the cell, by index or string.")
@click.option("--column", "columns", multiple=True, metavar="NAME=DATA_SET/SPLIT/EPOCHS", help="For `table`; repeat.")
@click.option(
    "--trial-column", help="For `table`: the column that numbers trainings, where a row is one; empty: a mean."
)
@click.option("--seed-column", help="For such a table: the column of their seeds.")
@click.option("--partial", is_flag=True, help="Accept a source that lacks cells.")
@click.option("--output", type=click.Path(path_type=Path), help="Write only this file, and leave the project alone.")
def import_truth(
    kind: str, path: str | None, columns: tuple[str, ...], output: Path | None, **described: str | bool | None
) -> None:
    """Import true accuracies from KIND at PATH, and make params.yaml name them."""
    from harness.fleet import dvc_stages
    from harness.settings import project
    from harness.settings.tables import TruthSettings
    from harness.settings.validation import PARAMS_FILE, read_yaml, validate
    from harness.truth.sources import import_truth as import_source
    from harness.truth.sources import parse_columns
    from harness.truth.table import TRUTH_FILE

    content = {"source": kind, "path": path, "columns": parse_columns(columns), **described}
    settings = validate(TruthSettings, content, where="truth import")
    if output is None:
        read_yaml(PARAMS_FILE)  # it shall name the source afterwards
    imported = import_source(settings, output or TRUTH_FILE)
    if output is None:
        project.set_params({"truth": settings.model_dump(mode="json", exclude_defaults=True) | {"path": settings.path}})
        dvc_stages.commit("truth")
    for column in imported.columns():
        click.echo(f"{column}")
    click.echo(f"{imported.provenance.cells:,} cells in {output or TRUTH_FILE}")
    name, told_by = imported.provenance.table, imported.provenance.told_by
    click.echo(f"the table is {name}, told by {told_by}" if name else f"which table it is, is not known: {told_by}")


@truth.command("show")
@click.argument("cell")
@click.argument("other", required=False)
@json_option
def show_truth(cell: str, other: str | None, as_json: bool) -> None:
    """Print the true accuracies of a cell, given by its official index or its string, and how far it is above OTHER."""
    from harness.settings.validation import PARAMS_FILE, check_project_here
    from harness.space.cell import Cell
    from harness.truth.table import TRUTH_FILE, Truth, describe_cell
    from harness.truth.two_cells import describe_difference

    check_project_here(PARAMS_FILE)
    table, found = Truth.read(TRUTH_FILE), Cell.parse(cell)
    content = describe_cell(table, found)
    if other is not None:
        second = Cell.parse(other)
        content |= {"other": describe_cell(table, second), "above_other": describe_difference(table, found, second)}
    print_content(content, as_json)
