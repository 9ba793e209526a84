"""What an imported table must satisfy before it counts."""

from pathlib import Path

import pandas as pd

from harness.base.errors import UserError
from harness.space.cell import CELL_COUNT, EDGES, NONE, Cell
from harness.truth.table import NETWORKS, SCHEMA_VERSION, Provenance, Truth
from harness.truth.trials import ROW, Row

IMPORTER_VERSION = 1
"""Raised when the same source would give another table."""


def build_truth(frame: pd.DataFrame, source: str, path: Path, checksum: str, *, allow_partial: bool = False) -> Truth:
    """Check rows without cost columns, add those, and return the table.

    Raises:
        UserError: a cell is missing, a row stands twice, or an accuracy cannot be true.
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
    return truth


def trials_frame(rows: list[Row]) -> pd.DataFrame:
    """Return the rows of single trainings as `build_truth` takes them."""
    return pd.DataFrame(rows, columns=list(ROW))


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
    repeated = truth.frame[truth.frame.duplicated(["cell", "data_set", "split", "epochs", "training_seed"])]
    if len(repeated):
        row = repeated.iloc[0]
        raise UserError(f"{path}: cell {row['cell']} stands twice with the same {row['data_set']} {row['split']}")
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
        if truth.provenance.cells == CELL_COUNT and truth.accuracy(range(CELL_COUNT), **column._asdict()).max() <= 1:
            raise UserError(f"{path}: {column} looks like fractions, expected percent")
