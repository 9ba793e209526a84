"""What an imported table must satisfy before it counts."""

from pathlib import Path

import numpy as np
import pandas as pd

from harness.base.errors import UserError
from harness.space.cell import CELL_COUNT, EDGES, NONE, Cell
from harness.truth.columns import TruthColumns
from harness.truth.table import KEY, NETWORKS, SCHEMA_VERSION, Column, Provenance, Truth
from harness.truth.trials import ROW, Row
from harness.truth.which_table import which_table

IMPORTER_VERSION = 2
"""Raised when the same source would give another table."""


def build_truth(frame: pd.DataFrame, source: str, path: Path, checksum: str, *, allow_partial: bool = False) -> Truth:
    """Check rows without cost columns, add those, and return the table.

    Raises:
        UserError: a cell is missing, a row stands twice, an accuracy cannot be true, or cells are judged by none.
    """
    cells = set(frame["cell"])
    check_complete(cells, path, allow_partial)
    costs = pd.DataFrame(
        [
            (cell.index, data_set, cell.parameters(NETWORKS[data_set]), cell.flops(NETWORKS[data_set]))
            for data_set in frame["data_set"].unique()
            for cell in map(Cell.from_index, sorted(cells))
        ],
        columns=["cell", "data_set", "parameters", "flops"],
    )
    provenance = Provenance(
        schema_version=SCHEMA_VERSION,
        source=source,
        file=path.name,
        sha256=checksum,
        importer_version=IMPORTER_VERSION,
        cells=len(cells),
    )
    truth = Truth(frame.merge(costs, on=["cell", "data_set"]), provenance)
    _check_rows(truth, path)
    TruthColumns(truth)  # one without any would end every look-up
    truth.provenance = provenance.model_copy(update=which_table(truth)._asdict())
    return truth


def trials_frame(rows: list[Row]) -> pd.DataFrame:
    """Return the rows of single trainings as `build_truth` takes them."""
    return pd.DataFrame(rows, columns=list(ROW))


def accuracies_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows of accuracies, of which nothing else is known, as `build_truth` takes them.

    Without a column `trial` they are means over trainings.
    """
    of_trials = {} if "trial" in frame else {"trial": None, "training_seed": None}
    return frame.assign(**of_trials, loss=np.nan, seconds=np.nan, latency=np.nan)


def check_complete(cells: set[int], path: Path, allow_partial: bool) -> None:
    """Raise UserError if there is no cell or, without `allow_partial`, if one is missing."""
    if not cells:
        raise UserError(f"{path} holds no cell")
    missing = [index for index in range(CELL_COUNT) if index not in cells]
    if missing and not allow_partial:
        raise UserError(
            f"{path} lacks {len(missing):,} of the {CELL_COUNT:,} cells, the first is {missing[0]}: complete it, "
            "or accept that with truth.partial (`--partial`)"
        )


def _check_rows(truth: Truth, path: Path) -> None:
    repeated = truth.frame[truth.frame.duplicated(KEY)]
    if len(repeated):
        row = repeated.iloc[0]
        trial = "" if pd.isna(row["trial"]) else f" of its training {row['trial']}"
        raise UserError(
            f"{path}: cell {row['cell']} stands twice with the same {row['data_set']} {row['split']}{trial}"
        )
    wrong = truth.frame[~truth.frame["accuracy"].between(0, 100)]
    if len(wrong):
        row = wrong.iloc[0]
        raise UserError(f"{path}: cell {row['cell']} has the accuracy {row['accuracy']}, expected percent, 0 to 100")
    all_none = Cell((NONE,) * len(EDGES)).index
    for column in truth.columns():
        accuracy = truth.accuracy([all_none], **column._asdict())[0]
        chance = 100 / NETWORKS[column.data_set].classes
        if accuracy > 2 * chance:
            raise UserError(
                f"{path}: cell {all_none}, six times none, has {accuracy:.2f} percent on {column}, but can only guess "
                f"({chance:.2f}): the cells are numbered differently, or the column is another"
            )
        if _looks_like_fractions(truth, column):
            raise UserError(f"{path}: {column} looks like fractions, expected percent")


def _looks_like_fractions(truth: Truth, column: Column) -> bool:
    """Whether no accuracy exceeds 1, although some must: where guessing gives more, or of cells that can learn.

    Of NAS-Bench-201's cells with a path through them, one on one data set does no better. The benchmark's own files
    hold percent, and may be of cells that failed.
    """
    if truth.provenance.source != "table" and truth.provenance.cells < CELL_COUNT:
        return False
    accuracies = truth.accuracy(range(CELL_COUNT), **column._asdict())
    known = np.flatnonzero(~np.isnan(accuracies))
    if accuracies[known].max() > 1:
        return False
    guessing_gives_more = NETWORKS[column.data_set].classes < 100
    return guessing_gives_more or sum(Cell.from_index(int(index)).depth > 0 for index in known) > 1
