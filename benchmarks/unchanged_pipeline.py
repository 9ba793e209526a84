"""How long does the pipeline take to find that it has nothing to do, and the report? On boards of made-up runs.

    python -m benchmarks.unchanged_pipeline

writes benchmarks/results/unchanged_pipeline.md and .csv; --quick is a tiny board that shows that the benchmark works.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import chdir
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import pandas as pd

from benchmarks.page import markdown, page_options, write_page
from harness.base.errors import UserError
from harness.board.lookup import look_up
from harness.board.protocol_file import write_protocol
from harness.board.runner import fingerprint, method_code_hash, run_search
from harness.images.decoded import IMAGES, decode, write_cached
from harness.records.record import read_table, run_folder, write_run
from harness.results.columns import RESULTS
from harness.search import registry
from harness.search.baseline import Baseline
from harness.settings.protocol import Board, load_board
from harness.tracking.summary import SyncSummary
from harness.tracking.tracked import write_tracked
from harness.truth.sources import import_truth
from pipelines.code import CODE
from tests.conftest import copy_project, tiny_params, write_params
from variants.darts import Darts

NAME = "unchanged_pipeline"
COMMANDS = {
    "dvc repro": ("dvc", "repro"),
    "dvc status": ("dvc", "status"),
    "dartsboard sweep": (sys.executable, "-c", "from harness.cli import main; main()", "sweep"),
    "dartsboard status": (sys.executable, "-c", "from harness.cli import main; main()", "status"),
}
STAGES = re.compile(r"Running stage '(.+)'|^(\S+):$", re.MULTILINE)
"""What each of them says of a stage that has something to do."""
ALWAYS = {"sources"}
"""The stage that runs each time."""
STAND_INS = ("data/theory/made-up.txt", "reports/generated/report.html")


REPORT = """
import resource
from pathlib import Path
from harness.base.processes import usable_cores
from harness.results.columns import RESULTS
from harness.settings.protocol import load_board
from reports.page import build_report
build_report(RESULTS, load_board(), Path("page"), processes=usable_cores())
usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(*(usage.ru_maxrss * 1024 for usage in usages))
"""
"""The report without theory; prints the most bytes of its process, and of any process that draws."""


class Extent(NamedTuple):
    """How large a board is."""

    variants: int
    seeds: int

    @property
    def names(self) -> list[str]:
        """The names of its variants: searches that there are, for `dartsboard status` asks for their code."""
        searches = [name for name, method in registry.methods().items() if not issubclass(method, Baseline)]
        return searches[: self.variants]


EXTENTS: tuple[Extent, ...] = (Extent(15, 10), Extent(30, 20), Extent(25, 40))
LARGE, EPOCHS = Extent(38, 12), 100
"""Of which the report is made."""


def build(folder: Path, extent: Extent, epochs: int | None = None) -> None:
    """Make a copy of the project whose board is finished; with `epochs` None also for all that DVC can tell.

    One search is real. Its record stands for all others, so that every file is of the size and kind that it is in a
    real project; with `epochs`, its tables are repeated with noise until they have so many.

    Raises:
        UserError: DVC failed.
    """
    copy_project(folder)
    variants: dict[str, dict[str, object]] = {name: {} for name in extent.names}
    seeds = list(range(extent.seeds))
    write_params(folder, tiny_params(variants=variants, baselines={}, seeds=seeds, reference=extent.names[0]))
    with chdir(folder):
        board = load_board()
        write_cached(IMAGES, decode(board.chosen.data))
        write_protocol(board)
        truth = import_truth(board.truth)
        write_runs(board, extent, epochs)
        look_up(board, truth, RESULTS)
        for stand_in in map(Path, STAND_INS):
            stand_in.parent.mkdir(parents=True)
            stand_in.write_text("made up\n", encoding="utf-8")
        write_tracked(SyncSummary(uri="made up"))
    if epochs is None:
        run(folder, "dvc", "commit", "--force", "--quiet")


def write_runs(board: Board, extent: Extent, length: int | None) -> None:
    """Search once in the current folder; write the record under the name of every run, each with times of its own."""
    record = run_search(board, Darts.name, seed=0)
    found = run_folder(Darts.name, 0)
    epochs, alpha = read_table(found, "epochs"), read_table(found, "alpha")
    shutil.rmtree(found.parent)
    generator = np.random.default_rng(0)
    CODE.mkdir()
    for name in extent.names:
        (CODE / f"{name}.json").write_text(json.dumps({"code": method_code_hash(name)}) + "\n", encoding="utf-8")
        for seed in range(extent.seeds):
            identity = fingerprint(board, name, seed)
            other = record.model_copy(update={"variant": name, "seed": seed, "fingerprint": identity})
            seconds = generator.uniform(size=len(epochs))
            tables = epochs.assign(seconds=seconds), alpha
            if length is not None:
                other = other.model_copy(update={"epochs": length})
                tables = lengthened(epochs, alpha, length, generator)
            write_run(run_folder(name, seed), other, *tables)


def lengthened(
    epochs: pd.DataFrame, alpha: pd.DataFrame, length: int, generator: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of a search of so many epochs: those of a shorter one again and again, with noise."""
    again = [position % len(epochs) for position in range(length)]
    longer = epochs.iloc[again].assign(epoch=range(1, length + 1))
    for column in ("train_loss", "valid_loss", "entropy", "margin", "skip_mass", "seconds"):
        longer[column] *= generator.uniform(0.7, 1.0, size=length)
    last = alpha[alpha["epoch"] == alpha["epoch"].max()]
    rows = pd.concat([last.assign(epoch=epoch) for epoch in range(1, length + 1)], ignore_index=True)
    rows["alpha"] += generator.normal(scale=0.3, size=len(rows))
    weights = np.exp(rows["alpha"])
    return longer, rows.assign(
        weight=weights / weights.groupby([rows["epoch"], rows["cells"], rows["edge"]]).transform("sum")
    )


def run(folder: Path, *command: str) -> str:
    """Run a command in the copy of the project and return what it prints.

    Raises:
        UserError: it failed.
    """
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8")
    output = result.stdout + result.stderr
    if result.returncode != 0:
        raise UserError(f"{' '.join(command)} failed: {output.strip()}")
    return output


def measure(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Return the wall seconds of each command, which take turns.

    Raises:
        UserError: a command failed, or found something to do.
    """
    seconds: dict[str, list[float]] = {label: [] for label in COMMANDS}
    for _ in range(rounds):
        for label, command in COMMANDS.items():
            started = time.perf_counter()
            output = run(folder, *command)
            seconds[label].append(time.perf_counter() - started)
            if {run or changed for run, changed in STAGES.findall(output)} - ALWAYS:
                raise UserError(f"{label} found something to do: {output.strip()}")
    return seconds


def measure_board(extent: Extent, rounds: int) -> pd.DataFrame:
    """Return a row a command on a board of this extent."""
    folder = Path(tempfile.mkdtemp(prefix="board-"))
    try:
        build(folder, extent)
        return pd.DataFrame(
            {
                "variants": extent.variants,
                "seeds": extent.seeds,
                "runs": extent.variants * extent.seeds,
                "command": label,
                "seconds": statistics.median(values),
                "fastest": min(values),
                "slowest": max(values),
                "ms a run": 1000 * statistics.median(values) / (extent.variants * extent.seeds),
            }
            for label, values in measure(folder, rounds).items()
        )
    finally:
        shutil.rmtree(folder)


def measure_report(extent: Extent, epochs: int, rounds: int) -> pd.DataFrame:
    """Return a row about the report of a board of this extent."""
    folder = Path(tempfile.mkdtemp(prefix="board-"))
    try:
        build(folder, extent, epochs)
        seconds, peaks = [], []
        for _ in range(rounds):
            started = time.perf_counter()
            output = run(folder, sys.executable, "-c", REPORT)
            seconds.append(time.perf_counter() - started)
            peaks.append([int(word) / 2**20 for word in output.split()[-2:]])
        own, drawing = np.max(peaks, axis=0)
        return pd.DataFrame(
            {
                "variants": extent.variants,
                "seeds": extent.seeds,
                "runs": extent.variants * extent.seeds,
                "epochs": epochs,
                "seconds": statistics.median(seconds),
                "fastest": min(seconds),
                "slowest": max(seconds),
                "memory, MiB": own,
                "of a process that draws, MiB": drawing,
            },
            index=[0],
        )
    finally:
        shutil.rmtree(folder)


def document(rounds: int, table: pd.DataFrame, report: pd.DataFrame) -> str:
    """Return the page without its footer."""
    return f"""# A pipeline that has nothing to do

Wall time of each command on a board on which nothing has changed, in a copy of the project with its real dvc.yaml:
medians of {rounds} rounds in which the commands take turns. The runs are copies of one short
search under other names, taken in by `dvc commit`. Report, theory and MLflow's mirror are stand-ins of one file each.

{markdown(table)}

The report of such a board, whose tables are made as long as those of real searches and differ by noise, without theory;
memory is the most that a process had:

{markdown(report)}
"""


@click.command()
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1))
@page_options
def main(rounds: int, quick: bool, output: Path | None) -> None:
    """Build the boards, measure the commands on each and write the table."""
    extents, large, epochs = EXTENTS, LARGE, EPOCHS
    if quick:
        rounds, extents, large, epochs = 1, (Extent(2, 2),), Extent(2, 2), 5
    table = pd.concat([measure_board(extent, rounds) for extent in extents], ignore_index=True)
    report = measure_report(large, epochs, rounds)
    packages = ("dvc", "pandas", "ruamel.yaml.clib")
    both = pd.concat([table, report.assign(command="report")], ignore_index=True)
    write_page(NAME, document(rounds, table, report), both, quick=quick, output=output, packages=packages)


if __name__ == "__main__":
    main()
