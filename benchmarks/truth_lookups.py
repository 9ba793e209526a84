"""How fast are the true accuracies there? Reading the table, single look-ups, and all cells at once.

    python -m benchmarks.truth_lookups

writes benchmarks/results/truth_lookups.md and .csv; --quick looks up fewer cells, once.
"""

import statistics
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.page import markdown, page_options, write_page
from benchmarks.timing import median_seconds
from harness.settings.tables import TruthSettings
from harness.space.cell import CELL_COUNT, Cell, all_cells
from harness.truth.columns import TruthColumns
from harness.truth.sources import import_truth
from harness.truth.table import REPORT_COLUMNS, Provenance, Truth, write_truth

NAME = "truth_lookups"
EMBEDDED = "one column, means (embedded)"
FULL = "six columns, three training seeds (made up)"
SINGLE = 2000
"""Cells that are looked up one by one."""


def full_truth(seeds: int = 3) -> Truth:
    """Return made-up accuracies for all that the papers' tables show, a row for each training seed."""
    generator = np.random.default_rng(0)
    cells = np.arange(CELL_COUNT)
    parts = [
        pd.DataFrame({"cell": cells, "accuracy": generator.uniform(10, 95, CELL_COUNT)}).assign(
            data_set=data_set, split=split, training_seed=seed
        )
        for data_set, split in REPORT_COLUMNS.values()
        for seed in range(seeds)
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame = frame.assign(epochs=200, loss=1.0, seconds=1.0, parameters=1, flops=1, latency=1.0)
    about = Provenance(source="table", file="noise", sha256="0" * 64, importer_version=1, cells=CELL_COUNT)
    return Truth(frame, about)


def measure_table(path: Path, label: str, single: int, rounds: int) -> pd.DataFrame:
    """Return a row an action on the table at `path`: for how many cells, how long, how many a second."""
    truth = Truth.read(path)
    columns = TruthColumns(truth)
    data_set, split = "cifar10", "test"
    epochs = truth.final_epochs(data_set=data_set, split=split)
    some = np.random.default_rng(0).integers(CELL_COUNT, size=single)
    cells = [Cell.from_index(int(index)) for index in some]
    texts = [str(cell) for cell in cells]
    everything = pd.Series(np.arange(CELL_COUNT, dtype=float))  # as in the tables of results/, where NaN is no cell

    def accuracy(of: Iterable[Cell | int] | NDArray[np.integer], table: Truth = truth) -> NDArray[np.float64]:
        return table.accuracy(of, data_set=data_set, split=split, epochs=epochs)

    def first_look_up() -> float:
        fresh = Truth.read(path)
        return median_seconds(lambda: accuracy([0], fresh), rounds=1)

    actions: list[tuple[str, int, Callable[[], object]]] = [
        ("one by one, by cell string", single, lambda: [accuracy([Cell.from_string(text)]) for text in texts]),
        ("one by one, by Cell", single, lambda: [accuracy([cell]) for cell in cells]),
        ("all at once, one column", CELL_COUNT, lambda: accuracy(np.arange(CELL_COUNT))),
        ("all at once, every column", CELL_COUNT, lambda: columns.look_up(everything)),
        ("all at once, every column's percentile", CELL_COUNT, lambda: columns.percentiles(everything)),
    ]
    rows = [
        ("read the table", CELL_COUNT, median_seconds(lambda: Truth.read(path), rounds)),
        ("then the first look-up", 1, statistics.median(first_look_up() for _ in range(rounds))),
    ]
    for _, _, action in actions:
        action()  # builds what later look-ups share
    rows += [(what, count, median_seconds(action, rounds)) for what, count, action in actions]
    return _rate_table(label, rows)


def measure_cells(single: int, rounds: int) -> pd.DataFrame:
    """Return a row an action on cells alone."""
    texts = [str(cell) for cell in all_cells()[:single]]
    rows = [
        ("cell string to Cell and index", single, lambda: [Cell.from_string(text).index for text in texts]),
        ("canonical form", CELL_COUNT, lambda: [cell.canonical for cell in all_cells()]),
    ]
    return _rate_table("", [(what, count, median_seconds(action, rounds)) for what, count, action in rows])


def _rate_table(label: str, rows: list[tuple[str, int, float]]) -> pd.DataFrame:
    return pd.DataFrame(
        {"table": label, "what": what, "cells": count, "ms": 1000 * seconds, "cells a second": count / seconds}
        for what, count, seconds in rows
    )


def document(rounds: int, table: pd.DataFrame) -> str:
    """Return the page without its footer."""
    return f"""# Looking up true accuracies

Medians of {rounds} rounds, one thread, files in the system's cache. *Read* is `Truth.read`. The first look-up in a
column averages its training seeds for all {CELL_COUNT:,} cells; later ones find the averages. Look-ups all at once are
those of the stage `lookup` (`TruthColumns`), by official index, of a column that has NaN where there is no cell. The
canonical form is computed for every cell of the space in the same stage; look-ups do without it.

{markdown(table)}
"""


@click.command()
@click.option("--rounds", default=9, show_default=True, type=click.IntRange(min=1))
@page_options
def main(rounds: int, quick: bool, output: Path | None) -> None:
    """Measure on two tables and write the page."""
    single = SINGLE
    if quick:
        rounds, single = 1, 50
    with tempfile.TemporaryDirectory() as folder:
        embedded, full = Path(folder) / "embedded.parquet", Path(folder) / "full.parquet"
        import_truth(TruthSettings(source="analog-nasbench", path=None), embedded)
        write_truth(full_truth(), full)
        parts = [measure_table(path, label, single, rounds) for path, label in ((embedded, EMBEDDED), (full, FULL))]
    table = pd.concat([*parts, measure_cells(single, rounds)], ignore_index=True)
    packages = ("numpy", "pandas", "pyarrow")
    write_page(NAME, document(rounds, table), table, quick=quick, output=output, packages=packages)


if __name__ == "__main__":
    main()
