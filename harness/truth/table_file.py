"""Import a table of accuracies that somebody made: CSV or Parquet, with a row a cell or a row a training of one."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from harness.base.errors import UserError, quoted
from harness.base.files import file_checksum
from harness.settings.tables import AccuracyColumn
from harness.truth.checks import accuracies_frame, build_truth
from harness.truth.table import Truth
from harness.truth.table_reading import column_numbers, read_table, table_cells

MOST_TRAININGS = 20
"""Of a cell in a table; the benchmark trained none more than three times."""

LARGEST_NUMBER = 2**31 - 1
"""Of a training or its seed."""


def import_table(
    path: Path,
    cell_column: str,
    columns: Mapping[str, AccuracyColumn],
    *,
    trial_column: str | None = None,
    seed_column: str | None = None,
    allow_partial: bool = False,
) -> Truth:
    """Read accuracies from a CSV (.csv, .csv.gz) or Parquet file; an empty field is a missing accuracy.

    Without `trial_column` a row is the mean of a cell, with it one training, or the mean where that field is empty.

    Raises:
        UserError: see `import_truth`; or the file lacks a column that is named, or has a cell's mean and trainings.
    """
    checksum = file_checksum(path)
    more = [name for name in (trial_column, seed_column) if name is not None]
    most = 1 if trial_column is None else MOST_TRAININGS
    table = read_table(path, cell_column, list(dict.fromkeys([*columns, *more])), most, "trainings")
    frame = pd.DataFrame({"cell": table_cells(table[cell_column], path), "trial": None, "training_seed": None})
    if trial_column is not None:
        frame["trial"] = _trials(table[trial_column], frame["cell"], path)
    if seed_column is not None:
        seeds = _whole_numbers(table[seed_column], path)
        frame["training_seed"] = seeds.where((seeds >= 0).fillna(False) & frame["trial"].notna())  # a mean has none
    parts = []
    for name, column in columns.items():
        accuracy = column_numbers(table[name], f"{path}, column {quoted(name)}")
        part = frame.assign(accuracy=accuracy.to_numpy()).dropna(subset="accuracy")
        _check_means(part, f"{path}, column {quoted(name)}")
        parts.append(part.assign(data_set=column.data_set, split=column.split, epochs=column.epochs))
    return build_truth(accuracies_frame(pd.concat(parts)), "table", path, checksum, allow_partial=allow_partial)


def _trials(values: pd.Series, cells: pd.Series, path: Path) -> pd.Series:
    """Return the trainings of each cell, however the file numbers them, as 1, 2, ...; null stays null."""
    numbers = _whole_numbers(values, path)
    return numbers.groupby(cells.to_numpy()).rank(method="dense").astype("Int32")


def _check_means(rows: pd.DataFrame, where: str) -> None:
    means = rows.loc[rows["trial"].isna(), "cell"]
    trained = means.index[means.isin(rows.loc[rows["trial"].notna(), "cell"])]
    if len(trained):
        raise UserError(
            f"{where}, row {trained[0] + 1}: without a number of a training it is a mean, but single trainings of cell "
            f"{means[trained[0]]} stand in this column too, expected one or the other"
        )


def _whole_numbers(values: pd.Series, path: Path) -> pd.Series:
    """Return whole numbers, null where a field is empty."""
    where = f"{path}, column {quoted(values.name)}"
    numbers = column_numbers(values, where, "a whole number")
    wrong = numbers[(numbers % 1 != 0) & numbers.notna() | (numbers.abs() > LARGEST_NUMBER)]
    if len(wrong):
        raise UserError(
            f"{where}, row {wrong.index[0] + 1}: expected a whole number, not {quoted(float(wrong.iloc[0]))}"
        )
    return numbers.astype("Int64")
