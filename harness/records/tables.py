"""What the tables of a run may hold: a file can be whole, and still be none that a run writes."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.base.errors import UserError, quoted
from harness.space.cell import CELL_COUNT, EDGE_NAMES, OPERATIONS, Cell

LARGEST = 1e150
"""Of a number that was measured; the squares of larger ones are no numbers."""

RANGES = {
    **dict.fromkeys(
        ("train_accuracy", "valid_accuracy", "mixture_accuracy", "one_hot_accuracy", "signal", "accuracy"), (0.0, 100.0)
    ),
    **dict.fromkeys(("seconds", "diagnostics_seconds", "cost_seconds", "peak_memory_bytes"), (0.0, LARGEST)),
    "cell_index": (0, CELL_COUNT - 1),
}
"""Of columns whose numbers are bounded; of others the size only is."""

CHOICES = {"edge": EDGE_NAMES, "operation": OPERATIONS}
"""The texts of columns that hold one of a few."""

MOST_EPOCHS = 10**9
MOST_GROUPS = 100
"""Of cells, per row of alpha.parquet that would be there if each had its own in each epoch."""


class TableCheck:
    """Checks one table; each complaint names its file, and the column."""

    def __init__(self, table: pa.Table, where: str):
        self.table = table
        self.where = where

    def columns(self, names: Iterable[str]) -> None:
        """Check that there are these columns, and each column once.

        Raises:
            UserError: one is missing, or stands twice.
        """
        held = self.table.column_names
        for name in names:
            if name not in held:
                raise self.wrong(name, "is missing")
        for name in held:
            if held.count(name) > 1:
                raise self.wrong(name, "stands twice")

    def number(self, name: str) -> NDArray[Any]:
        """Return a column of numbers; NaN stands where there is nothing to say, and infinity where a sum overflowed.

        Raises:
            UserError: they are no numbers, or out of their range.
        """
        column = self.table.column(name)
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            raise self.wrong(name, f"holds {column.type}, expected numbers")
        numbers = column.to_numpy()
        low, high = RANGES.get(name, (-LARGEST, LARGEST))
        outside = (numbers < low) | (numbers > high)
        if outside.any() and (outside := outside & np.isfinite(numbers)).any():
            raise self.wrong(name, f"holds {numbers[outside][0]}, expected {low:g} to {high:g}")
        return numbers

    def whole_numbers(self, name: str) -> NDArray[np.int64]:
        """Return a column of whole numbers.

        Raises:
            UserError: it holds others, or some out of their range.
        """
        column = self.table.column(name)
        if not pa.types.is_integer(column.type) or column.null_count:
            raise self.wrong(name, f"holds {column.type}, expected whole numbers and no empty field")
        return self.number(name).astype(np.int64)

    def epochs(self, most: int | None) -> NDArray[np.int64]:
        """Return the column of the epochs, which count from 1 to `most`.

        Raises:
            UserError: one is out of that range.
        """
        epochs = self.whole_numbers("epoch")
        if epochs.min() < 1 or epochs.max() > (most or MOST_EPOCHS):
            last = most or "the last"
            raise self.wrong("epoch", f"goes from {epochs.min()} to {epochs.max()}, expected 1 to {last}")
        return epochs

    def codes(self, name: str) -> tuple[NDArray[np.int64], list[str | None]]:
        """Return which text stands in each row of a column, and the texts; where a field is empty, None is one.

        Raises:
            UserError: it holds something else than texts.
        """
        column = self.table.column(name)
        if not _is_text(column.type):
            raise self.wrong(name, f"holds {column.type}, expected text")
        encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
        return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()

    def choices(self, name: str) -> tuple[NDArray[np.int64], int]:
        """Return which text stands in each row of a column without empty fields, and how many texts there are.

        Raises:
            UserError: a field is empty, or holds none of the choices.
        """
        codes, texts = self.codes(name)
        for text in texts:
            if text is None:
                raise self.wrong(name, "has an empty field")
            if name in CHOICES and text not in CHOICES[name]:
                raise self.wrong(name, f"holds {quoted(text)}, expected one of {', '.join(CHOICES[name])}")
        return codes, len(texts)

    def cells(self, name: str) -> None:
        """Check a column of cells, some of which may be lacking.

        Raises:
            UserError: one is no cell of the space.
        """
        if pa.types.is_null(self.table.column(name).type):
            return  # of a method without alpha
        for text in self.codes(name)[1]:
            try:
                if text is not None:
                    Cell.from_string(text)
            except UserError as error:
                raise self.wrong(name, f"holds no cell: {error}") from None

    def wrong(self, column: str, problem: str) -> UserError:
        """Return what is to be raised about a column."""
        return UserError(f"{self.where}: the column {quoted(column)} {problem}: run the search again")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def check_epochs(table: pa.Table, where: str, required: Iterable[str], epochs: int | None) -> None:
    """Check epochs.parquet; `epochs`: how many rows its record speaks of, if that is known.

    Raises:
        UserError: a column is missing or wrong, or the epochs are not counted from 1 without a gap.
    """
    check = TableCheck(table, where)
    check.columns(("epoch", "cell", *required))
    if epochs not in (None, len(table)):
        raise check.wrong("epoch", f"has {len(table)} rows, expected {epochs}")
    if not len(table):
        return
    if (check.epochs(epochs) != np.arange(1, len(table) + 1)).any():
        raise check.wrong("epoch", f"does not count from 1 to {len(table)}")
    check.cells("cell")
    for name in table.column_names:
        if name not in ("epoch", "cell"):
            check.number(name)


def check_alpha(table: pa.Table, where: str, epochs: int | None) -> None:
    """Check alpha.parquet; `epochs`: of its run, if that is known.

    Raises:
        UserError: a column is missing or wrong, or an epoch has not one row for each edge and operation.
    """
    check = TableCheck(table, where)
    check.columns(("epoch", "cells", "edge", "operation", "alpha", "weight"))
    if not len(table):
        return
    check.number("alpha")
    check.number("weight")
    known, epoch = np.unique(check.epochs(epochs), return_inverse=True)
    group, groups = check.choices("cells")
    edge, _ = check.choices("edge")
    operation, operations = check.choices("operation")
    rows_a_group = len(EDGE_NAMES) * operations
    size = len(known) * groups * rows_a_group
    if size > MOST_GROUPS * len(table):
        raise check.wrong("cells", f"holds {groups} groups in {len(table)} rows")
    rows = ((epoch * groups + group) * len(EDGE_NAMES) + edge) * operations + operation
    counts = np.bincount(rows, minlength=size)
    if counts.max() > 1:
        raise check.wrong("operation", "names the same in two rows")
    if not np.isin(counts.reshape(-1, rows_a_group).sum(axis=1), (0, rows_a_group)).all():
        raise check.wrong("operation", f"lacks rows, expected {rows_a_group} in each epoch for each group of cells")


def check_one_shot(table: pa.Table, where: str, epochs: int | None) -> None:
    """Check one_shot.parquet; `epochs`: of its run, if that is known.

    Raises:
        UserError: a column is missing or wrong, or a cell stands twice in an epoch.
    """
    check = TableCheck(table, where)
    check.columns(("epoch", "cell_index", "accuracy"))
    if not len(table):
        return
    check.number("accuracy")
    rows = check.epochs(epochs) * CELL_COUNT + check.whole_numbers("cell_index")
    if len(np.unique(rows)) != len(rows):
        raise check.wrong("cell_index", "names the same in two rows")
