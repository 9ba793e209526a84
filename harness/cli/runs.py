"""Commands that run methods, and say how runs stand and compare."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.base.errors import UserError, quoted
from harness.cli.printing import json_option, print_content

if TYPE_CHECKING:
    from harness.fleet.engine import Store

HIGHEST_PRICE = 1e9
"""Of an hour. What a board costs in all shall be a number too, whatever the currency."""


@click.command()
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


@click.command()
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
@click.option("--together", type=click.IntRange(min=1), help="Seeds on one GPU, at most; else 4.")
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


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Say which runs of the board are done, stale, failed, running or missing."""
    from collections import Counter
    from dataclasses import asdict

    from harness.board.known_methods import known_methods
    from harness.board.sources import changed_sources
    from harness.board.status import board_status
    from harness.settings.protocol import load_board

    board = load_board()
    runs = board_status(board, methods=known_methods(board))
    for sentence in changed_sources(board):
        click.echo(f"{sentence}: run `dvc repro`", err=True)
    if as_json:
        print_content([asdict(run) for run in runs], as_json)
        return
    width = max(len(run.variant) for run in runs)
    for run in runs:
        click.echo(f"{run.variant:{width}}  seed {run.seed:<3}  {run.state:<11}  {run.detail}")
    counts = Counter(run.state for run in runs)
    click.echo(", ".join(f"{count} {state}" for state, count in counts.items()))


@click.command()
@click.option("--slots", default=1, show_default=True, type=click.IntRange(min=1), help="Runs at once.")
@click.option("--price", type=click.FloatRange(min=0), help="Of a slot (a GPU, or a core) for an hour.")
@click.option("--measure", is_flag=True, help="Take a few steps on this device where no search was measured.")
@json_option
def plan(slots: int, price: float | None, measure: bool, as_json: bool) -> None:
    """Say what the board will take before it runs: runs, hours, memory, money, and where each figure comes from."""
    from rich.console import Console

    from harness.board import plan as planning
    from harness.settings.protocol import load_board

    if price is not None and not price <= HIGHEST_PRICE:
        raise UserError(f"--price: expected a number up to {HIGHEST_PRICE:g}")
    plans = planning.plan_boards(load_board(), slots, price, measure)
    if as_json:
        print_content([entry.as_json() for entry in plans], as_json)
    else:
        planning.show(plans, Console(highlight=False))


@click.command()
@click.argument("first")
@click.argument("second")
@click.option("--board", type=click.Path(path_type=Path), help="The folder of a published board, instead of this one.")
@json_option
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
        print_content(comparing.as_json(found), as_json)
    else:
        comparing.show(found, Console(highlight=False))
