"""The command `dartsboard`. Everything heavy is imported inside the command that needs it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.base.commands import Commands
from harness.base.errors import UserError, quoted
from harness.base.source_tree import is_own_board, run_the_tree_here

if TYPE_CHECKING:
    from harness.fleet.engine import Store

HIGHEST_PRICE = 1e9
"""Of an hour. What a board costs in all shall be a number too, whatever the currency."""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dartsboard")
def main() -> None:
    """Compare differentiable architecture search methods on NAS-Bench-201.

    `dvc repro` runs the whole board of params.yaml and builds the report; these commands look at it and run parts.
    """


@main.command()
@click.argument("folder")
def init(folder: str) -> None:
    """Begin a board of your own in a new FOLDER: its settings, its stages, and a place for methods of your own."""
    from harness.new_board import new_board

    for line in new_board(folder):
        click.echo(line)


@main.command()
@click.argument("cell")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
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
        _print(content, as_json)
        return
    from harness.truth.cell_costs import costs_of

    measured = costs_of(costs, found)
    short = {cost["label"]: _with_unit(cost["value"], cost["unit"]) for cost in measured.values()}
    _print({**content, "costs": measured if as_json else short}, as_json)


def _with_unit(value: float | None, unit: str) -> str:
    return "not measured" if value is None else f"{value:.4g} {unit}"


@main.group()
def truth() -> None:
    """The table of true accuracies."""


@truth.command("import")
@click.argument("kind", type=click.Choice(["analog-nasbench", "nas-bench-201", "nats-bench", "table"]))
@click.argument("path", required=False)
@click.option("--cell-column", help="For `table`: the column that names the cell, by index or string.")
@click.option("--column", "columns", multiple=True, metavar="NAME=DATA_SET/SPLIT/EPOCHS", help="For `table`; repeat.")
@click.option("--trial-column", help="For `table`: the column that numbers trainings, where a row is one.")
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
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
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
    _print(content, as_json)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
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
    _print(content, as_json)


@main.command()
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


@main.command("new-variant")
@click.argument("name")
def new_variant(name: str) -> None:
    """Begin a search variant NAME: a file that runs as it is, its settings, its test and its page."""
    from harness.new_variant import new_variant as write_new_variant

    for path in write_new_variant(name):
        click.echo(f"wrote {path}")
    in_project = "docs/adding-a-variant.md says how to go on"
    click.echo("next: python -m pytest tests, then dvc repro" if is_own_board() else in_project)


@main.command()
@click.argument("variant")
@click.option("--seed", type=click.IntRange(min=0), help="One seed.")
@click.option("--seeds", metavar="LIST", help="Many at the same time, such as 0-9 or 0,2,5.")
@click.option("--workers", type=click.IntRange(min=1), help="How many at once; else as cores and memory allow.")
def search(variant: str, seed: int | None, seeds: str | None, workers: int | None) -> None:
    """Run VARIANT under the protocol of params.yaml, with one seed or many at the same time, or resume it."""
    if seed is not None and seeds is not None:
        raise UserError("--seed and --seeds say the same in two ways: give one of them")
    if seed is not None:
        _search_one(variant, seed)
    elif seeds is not None:
        _search_many(variant, seeds, workers)
    else:
        raise click.UsageError("Missing option '--seed' or '--seeds'.")


def _search_one(variant: str, seed: int) -> None:
    from harness.base.interruption import clean_end
    from harness.base.progress import show_progress
    from harness.board import runner
    from harness.fleet import dvc_stages
    from harness.settings.protocol import LARGEST_SEED, load_board

    if seed > LARGEST_SEED:
        raise UserError(f"--seed {quoted(seed)}: expected at most {LARGEST_SEED}")
    board = load_board()
    with clean_end(), show_progress(f"{variant} seed {seed}") as on_epoch:
        record = runner.run_method(board, variant, seed, on_epoch)
    dvc_stages.commit(*board.stages([(variant, seed)]))
    click.echo(f"{record.status}: {record.reason or record.cell} ({record.seconds:.1f} s)")
    sys.exit(1 if record.status in ("failed", "diverged") else 0)


def _search_many(variant: str, seeds: str, workers: int | None) -> None:
    from harness.fleet.group import Run, parse_seeds, run_and_record
    from harness.settings.protocol import load_board

    runs = [Run(variant, seed) for seed in parse_seeds(seeds)]
    sys.exit(run_and_record(load_board(), runs, workers))


@main.command()
@click.option("--engine", default="local", show_default=True, help="Where runs go: local, ray or slurm.")
@click.option("--option", "-o", "options", multiple=True, metavar="KEY=VALUE", help="Of the engine; repeat.")
@click.option("--folder", type=click.Path(path_type=Path), help="The project's on the workers, if not this path.")
@click.option(
    "--store",
    type=click.Choice(["shared", "dvc"]),
    default="shared",
    show_default=True,
    help="Where workers find data and leave records: in this folder, or through DVC's remote.",
)
@click.option("--together", type=click.IntRange(min=1), help="Seeds on one GPU, at most; else as in search --seeds.")
@click.option("--dry-run", is_flag=True, help="Only say what would be run.")
def sweep(
    engine: str, options: tuple[str, ...], folder: Path | None, store: "Store", together: int | None, dry_run: bool
) -> None:
    """Bring the whole board up to date: what is stale, many runs at once, then the report; or go on with it."""
    from harness.fleet.sweep import Placement
    from harness.fleet.sweep import sweep as run_sweep

    pairs = []
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise UserError(f"--option {quoted(option)}: expected KEY=VALUE")
        pairs.append((key, value))
    sys.exit(run_sweep(Placement(engine, tuple(pairs), folder, store, together), dry_run))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Say which runs of the board are done, stale, failed, running or missing."""
    from collections import Counter
    from dataclasses import asdict

    from harness.board.sources import changed_sources
    from harness.board.status import board_status
    from harness.settings.protocol import load_board

    board = load_board()
    runs = board_status(board)
    for sentence in changed_sources(board):
        click.echo(f"{sentence}: run `dvc repro`", err=True)
    if as_json:
        _print([asdict(run) for run in runs], as_json)
        return
    width = max(len(run.variant) for run in runs)
    for run in runs:
        click.echo(f"{run.variant:{width}}  seed {run.seed:<3}  {run.state:<11}  {run.detail}")
    counts = Counter(run.state for run in runs)
    click.echo(", ".join(f"{count} {state}" for state, count in counts.items()))


@main.command()
@click.option("--slots", default=1, show_default=True, type=click.IntRange(min=1), help="Runs at once.")
@click.option("--price", type=click.FloatRange(min=0), help="Of a slot (a GPU, or a core) for an hour.")
@click.option("--measure", is_flag=True, help="Take a few steps on this device where no search was measured.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(slots: int, price: float | None, measure: bool, as_json: bool) -> None:
    """Say what the board will take before it runs: runs, hours, memory, money, and where each figure comes from."""
    from rich.console import Console

    from harness.board import plan as planning
    from harness.settings.protocol import load_board

    if price is not None and not price <= HIGHEST_PRICE:
        raise UserError(f"--price: expected a number up to {HIGHEST_PRICE:g}")
    plans = planning.plan_boards(load_board(), slots, price, measure)
    if as_json:
        _print([entry.as_json() for entry in plans], as_json)
    else:
        planning.show(plans, Console(highlight=False))


@main.command()
@click.argument("first")
@click.argument("second")
@click.option("--board", type=click.Path(path_type=Path), help="The folder of a published board, instead of this one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(first: str, second: str, board: Path | None, as_json: bool) -> None:
    """Say whether the board can tell FIRST and SECOND, two variants or baselines, apart: paired by seed."""
    from rich.console import Console

    from harness.board import compare as comparing
    from harness.settings.validation import PARAMS_FILE, check_project_here

    if board is None:
        check_project_here(PARAMS_FILE)
        found = comparing.compare(first, second)
    else:
        from harness.publishing.folder import compare_methods

        found = compare_methods(board, first, second)
    if as_json:
        _print(comparing.as_json(found), as_json)
    else:
        comparing.show(found, Console(highlight=False))


@main.command("compare-boards")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare_boards(first: Path, second: Path, as_json: bool) -> None:
    """Say what changed between two published boards, FIRST and SECOND, and to which methods it matters."""
    from rich.console import Console

    from harness.publishing import side_by_side

    found = side_by_side.compare_boards(first, second)
    if as_json:
        _print(side_by_side.as_json(found), as_json)
    else:
        side_by_side.show(found, Console(highlight=False))


@main.command()
@click.argument("name")
@click.option("--output", type=click.Path(path_type=Path), help="The folder to publish in, if not boards/.")
@click.option("--replace", is_flag=True, help="Replace a published board of this name.")
def publish(name: str, output: Path | None, replace: bool) -> None:
    """Publish the finished board as the folder boards/NAME: its tables, where they come from, and a page on it."""
    from harness.settings.validation import PARAMS_FILE, check_project_here
    from reports.publish import PUBLISHED
    from reports.publish import publish as publish_board

    check_project_here(PARAMS_FILE)
    folder = publish_board(name, PUBLISHED if output is None else output, replace=replace)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    click.echo(f"published {folder}, {size / 1e6:.1f} MB: its page is {folder / 'README.md'}")


@main.command()
@click.option("--board", required=True, type=click.Path(path_type=Path), help="The folder of a published board.")
@click.option("--output", type=click.Path(path_type=Path), help="The folder to write, if not reports/published/NAME.")
def report(board: Path, output: Path | None) -> None:
    """Make the report of a published board from its folder alone; that of the board here is made by `dvc repro`."""
    from reports.publish import report_of

    click.echo(str(report_of(board, output)))


@main.command()
def sync() -> None:
    """Bring MLflow to the state of the run records, without duplicates; also while searches run."""
    from harness.settings.protocol import load_board
    from harness.tracking.apart import mirror_project
    from harness.tracking.tracked import write_tracked

    summary = mirror_project(load_board())
    write_tracked(summary)
    click.echo(str(summary))
    sys.exit(1 if summary.message else 0)


@main.command()
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


@main.command()
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


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Say what works on this machine, what is missing, and how to get it."""
    from dataclasses import asdict

    from harness.doctor import examine

    findings = examine()
    if as_json:
        _print([asdict(finding) for finding in findings], as_json)
    else:
        for finding in findings:
            click.echo(f"{'ok' if finding.works else 'MISSING':<8} {finding.subject:<16} {finding.detail}")
    sys.exit(0 if all(finding.works for finding in findings) else 1)


def run() -> None:
    """Begin the command as the shell does: with the code of the folder it is called in, where there is a copy of it."""
    run_the_tree_here()
    main()


def _print(content: Any, as_json: bool, indent: str = "") -> None:
    if as_json:
        click.echo(json.dumps(content, indent=2))
        return
    for key, value in content.items():
        if isinstance(value, dict):
            click.echo(f"{indent}{key}:")
            _print(value, False, indent + "  ")
        elif isinstance(value, list):
            click.echo(f"{indent}{key}:")
            for entry in value:
                click.echo(f"{indent}  " + ", ".join(f"{name} {_short(item)}" for name, item in entry.items()))
        else:
            click.echo(f"{indent}{key}: {_short(value)}")


def _short(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_short, value)) or "none"
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
