"""How long does the quick board take from nothing, by which command and at which revision? They take turns.

    python -m benchmarks.whole_board b68a8d4:sweep HEAD:sweep HEAD:repro

writes benchmarks/results/whole_board.md and .csv; --quick is a tiny board that shows that the benchmark works. Each
time is of a new clone. Methods that one of the revisions does not have on its board are left out of all.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import click
import pandas as pd
from ruamel.yaml import YAML

from benchmarks.page import markdown, page_options, write_page
from benchmarks.unchanged_pipeline import run
from harness.base.errors import UserError, did_you_mean

NAME = "whole_board"
ROOT = Path(__file__).resolve().parents[1]
COMMANDS = {
    "repro": (sys.executable, "-m", "dvc", "repro"),
    "sweep": (sys.executable, "-c", "from harness.cli import main; main()", "sweep"),
}
REPORT = Path("reports/generated/report.html")


class Way(NamedTuple):
    """What is timed."""

    revision: str
    """As git names it in few letters."""
    command: str


class Times(NamedTuple):
    """Wall seconds of one board."""

    whole: float
    searches: float
    """To the last record of a run; from there on results, MLflow and report are made."""


def way_of(text: str) -> Way:
    """Return the way that an argument names.

    Raises:
        UserError: there is no such revision or command.
    """
    revision, _, command = text.partition(":")
    if command not in COMMANDS:
        raise UserError(f"{text!r}: expected REVISION:COMMAND, {did_you_mean(command, COMMANDS)}")
    return Way(git("rev-parse", "--short", "--verify", f"{revision}^{{commit}}").strip(), command)


def git(*arguments: str) -> str:
    """Return what git says of this project.

    Raises:
        UserError: it fails.
    """
    result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    if result.returncode != 0:
        raise UserError(f"git {' '.join(arguments)} failed: {result.stderr.strip()}")
    return result.stdout


def boards(revisions: set[str], quick: bool) -> dict[str, dict[str, Any]]:
    """Return params.yaml of each revision, with the methods that all of them have on their boards."""
    found = {revision: YAML().load(git("show", f"{revision}:params.yaml")) for revision in sorted(revisions)}
    for section in ("variants", "baselines"):
        everywhere = set.intersection(*(set(params[section]) for params in found.values()))
        kept = sorted(everywhere)[:1] if quick else everywhere
        for params in found.values():
            params[section] = {name: settings for name, settings in params[section].items() if name in kept}
    for params in found.values():
        params["reference"] = next(iter(params["variants"]))
        params["seeds"] = params["seeds"][:1] if quick else params["seeds"]
    return found


def measure(way: Way, params: dict[str, Any]) -> Times:
    """Make the board in a new clone.

    Raises:
        UserError: a command failed.
    """
    folder = Path(tempfile.mkdtemp(prefix="board-"))
    try:
        git("clone", "--quiet", str(ROOT), str(folder))
        git("-C", str(folder), "checkout", "--quiet", way.revision)
        with (folder / "params.yaml").open("w", encoding="utf-8") as file:
            YAML().dump(params, file)
        before, started = time.time(), time.perf_counter()
        run(folder, *COMMANDS[way.command])
        whole = time.perf_counter() - started
        if not (folder / REPORT).is_file():
            raise UserError(f"{way.command} at {way.revision} made no report")
        last = max(path.stat().st_mtime for path in folder.glob("runs/*/seed-*/record.json"))
        return Times(whole, last - before)
    finally:
        shutil.rmtree(folder)


def summary(ways: list[Way], times: dict[Way, list[Times]]) -> pd.DataFrame:
    """Return a row a way, compared with the first."""
    rows = []
    for way in ways:
        of_way = pd.DataFrame(times[way])
        medians = of_way.median()
        rows.append(
            {
                "revision": way.revision,
                "command": f"{'dvc' if way.command == 'repro' else 'dartsboard'} {way.command}",
                "n": len(of_way),
                "seconds": medians["whole"],
                "fastest": of_way["whole"].min(),
                "slowest": of_way["whole"].max(),
                "to the last run": medians["searches"],
                "from there on": float((of_way["whole"] - of_way["searches"]).median()),
            }
        )
    table = pd.DataFrame(rows)
    table.insert(6, "times the first", table["seconds"] / table["seconds"].iloc[0])
    return table


def document(rounds: int, params: dict[str, Any], table: pd.DataFrame) -> str:
    """Return the page without its footer."""
    methods = [name for section in ("variants", "baselines") for name in params[section]]
    return f"""# The quick board from nothing

Wall seconds from a new clone to the report, installation aside: the methods that the boards of all revisions have
({", ".join(methods)}), {len(params["seeds"])} seeds each.
Medians of {rounds} rounds in which the ways take turns. *To the last run*: until the last has its record; from there on
come look-up, theory, MLflow and the report.

{markdown(table)}
"""


@click.command()
@click.argument("ways", nargs=-1, required=True)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1))
@page_options
def main(ways: tuple[str, ...], rounds: int, quick: bool, output: Path | None) -> None:
    """Time WAYS, each REVISION:COMMAND with the command sweep or repro, and write the table."""
    measured = [way_of(text) for text in dict.fromkeys(ways)]
    params = boards({way.revision for way in measured}, quick)
    rounds = 1 if quick else rounds
    times: dict[Way, list[Times]] = {way: [] for way in measured}
    for _ in range(rounds):
        for way in measured:
            times[way].append(measure(way, params[way.revision]))
            click.echo(f"{way.command} at {way.revision}: {times[way][-1].whole:.0f} s", err=True)
    table = summary(measured, times)
    text = document(rounds, params[measured[0].revision], table)
    write_page(NAME, text, table, quick=quick, output=output, packages=("torch", "dvc", "ruamel.yaml.clib"))


if __name__ == "__main__":
    main()
