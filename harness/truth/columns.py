"""The truth table as columns `truth/<data set>/<split>` beside the cells of any other table."""

from collections.abc import Collection
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.base.errors import UserError
from harness.space.cell import CELL_COUNT, OPERATIONS, Cell, all_cells
from harness.statistics.training_noise import errors_of_means
from harness.truth.table import REPORT_COLUMNS, Column, Truth

NOISE_FLOOR = {"truth/cifar10/test": 0.18, "truth/cifar100/test": 0.39, "truth/ImageNet16-120/test": 0.53}
"""Standard deviation, in points, of the true accuracies of cells that compute the same function.

Measured on NAS-Bench-201 (200 epochs, mean over the training seeds) among cells that share a canonical form.
"""


SPREADS = ("trainings", "training_sd", "training_error", "training_freedom")
"""What is known of the trainings of a cell, as columns such as `training_sd/cifar10/test`: how many single ones the
table has, their sd (ddof 1, points), the standard error of the cell's mean (points), and its degrees of freedom."""


def spread_key(name: str, column: str) -> str:
    """Return the column that holds one of `SPREADS` for a truth column, `truth/<data set>/<split>`."""
    return f"{name}/{column.removeprefix('truth/')}"


def cells_with_errors(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return what `training_noise` asks of runs: cell, error and freedom; NaN in tables of an earlier version."""
    wanted = ["cell_index", *(spread_key(name, column) for name in ("training_error", "training_freedom"))]
    return table.reindex(columns=wanted).set_axis(["cell", "error", "freedom"], axis=1).astype(float)


def rank(column: str) -> tuple[bool, bool]:
    """Return a sort key of truth columns: CIFAR-10 test first, by which search methods rank by custom, then tests."""
    return column != "truth/cifar10/test", not column.endswith("/test")


class TruthColumns:
    """The columns of the papers' tables that a truth table has, each at its longest training.

    Percentiles, means and best cells are those of the space with the given operations.

    Raises:
        UserError: it has none of them.
    """

    def __init__(self, truth: Truth, operations: Collection[str] = OPERATIONS):
        self.truth = truth
        self.space = np.array([cell.index for cell in all_cells(operations)])
        """Official indices of the space."""
        self.present = {label: key for label, key in REPORT_COLUMNS.items() if truth.report_columns()[label]}
        self.missing = [label for label in REPORT_COLUMNS if label not in self.present]
        self._known_spreads: dict[Column, NDArray[np.float64]] = {}
        if not self.present:
            held = ", ".join(map(str, truth.columns()))
            raise UserError(
                f"the true accuracies of {truth.provenance.file} ({held}) have none of those that cells are judged by, "
                f"expected one of {', '.join(' '.join(key) for key in REPORT_COLUMNS.values())}"
            )

    @property
    def known_cells(self) -> int:
        """How many cells of the space have an accuracy in some column."""
        return int(self.look_up(pd.Series(self.space)).notna().any(axis=1).sum())

    def names(self) -> dict[str, str]:
        """Return the column name `truth/<data set>/<split>` of each label."""
        return {label: f"truth/{data_set}/{split}" for label, (data_set, split) in self.present.items()}

    @property
    def main(self) -> str:
        """The column name that reports rank by."""
        return min(self.names().values(), key=rank)

    def look_up(self, cells: pd.Series) -> pd.DataFrame:
        """Return the true accuracies (percent) of official indices; NaN where there is no cell."""
        return self._columns(cells, "truth", self.truth.accuracy)

    def spreads(self, cells: pd.Series) -> pd.DataFrame:
        """Return `SPREADS` of each column for official indices; NaN where there is no cell, or only a mean."""
        parts = [
            self._columns(cells, name, partial(self._spread_of, number=number)) for number, name in enumerate(SPREADS)
        ]
        return pd.concat(parts, axis=1)

    def _spread_of(self, cells: NDArray[np.int64], *, number: int, **key: Any) -> NDArray[np.float64]:
        return self._spreads(Column(**key))[number][cells]

    def _spreads(self, column: Column) -> NDArray[np.float64]:
        """Return `SPREADS` of all cells, [4, 15625]."""
        if column not in self._known_spreads:
            counted, sds = self.truth.spread(**column._asdict())
            means = self.truth.accuracy(np.arange(CELL_COUNT), **column._asdict())
            self._known_spreads[column] = np.stack([counted, sds, *errors_of_means(means, sds, counted)])
        return self._known_spreads[column]

    def trainings(self, cells: pd.Series) -> pd.DataFrame:
        """Return every single training of official indices: column, cell_index, trial, training_seed, accuracy."""
        found = []
        indices = np.unique(cells.dropna().to_numpy(dtype=np.int64))
        for data_set, split in self.present.values():
            epochs = self.truth.final_epochs(data_set=data_set, split=split)
            rows = self.truth.trials(indices, data_set=data_set, split=split, epochs=epochs).dropna(subset="trial")
            rows = rows.rename(columns={"cell": "cell_index"})[["cell_index", "trial", "training_seed", "accuracy"]]
            found.append(rows.assign(column=f"truth/{data_set}/{split}"))
        return pd.concat(found, ignore_index=True)[["column", "cell_index", "trial", "training_seed", "accuracy"]]

    def percentiles(self, cells: pd.Series) -> pd.DataFrame:
        """Return the share (percent) of the space's cells that are worse; NaN where there is no cell."""
        return self._columns(cells, "percentile", partial(self.truth.percentile, among=self.space))

    def _columns(self, cells: pd.Series, prefix: str, look_up: Any) -> pd.DataFrame:
        known = cells.notna().to_numpy()
        indices = cells[known].to_numpy(dtype=np.int64)
        found = {}
        for data_set, split in self.present.values():
            epochs = self.truth.final_epochs(data_set=data_set, split=split)
            values = np.full(len(cells), np.nan)
            values[known] = look_up(indices, data_set=data_set, split=split, epochs=epochs)
            found[f"{prefix}/{data_set}/{split}"] = values
        return pd.DataFrame(found, index=cells.index)

    def describe(self) -> dict[str, Any]:
        """Return how the cells of the space are distributed in each column (percent)."""
        described = {}
        for label, (data_set, split) in self.present.items():
            epochs = self.truth.final_epochs(data_set=data_set, split=split)
            values = self.truth.accuracy(self.space, data_set=data_set, split=split, epochs=epochs)
            known = values[~np.isnan(values)]
            described[f"truth/{data_set}/{split}"] = {
                "label": label,
                "epochs": epochs,
                "mean": known.mean(),
                "sd": known.std(ddof=1) if len(known) > 1 else 0.0,
                "median": np.median(known),
                "best": known.max(),
                "best_cell": str(Cell.from_index(int(self.space[np.nanargmax(values)]))),
                "quantiles": np.percentile(known, np.arange(101)).tolist(),
            }
        return described
