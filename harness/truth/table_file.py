"""Import a table of accuracies that somebody made: CSV or Parquet, with a row a cell or a row a training of one."""

import csv
import gzip
import io
import warnings
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from harness.base.errors import UserError, did_you_mean, quoted
from harness.base.files import file_checksum, open_file
from harness.settings.tables import AccuracyColumn
from harness.space.cell import CELL_COUNT, Cell
from harness.truth.checks import accuracies_frame, build_truth
from harness.truth.table import Truth
from harness.untrusted.memory_limit import memory_limited

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""What other programs put between the fields of a CSV, with their names."""

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

    Without `trial_column` a row is the mean of a cell, with it one training.

    Raises:
        UserError: see `import_truth`; or the file lacks a column that is named.
    """
    checksum = file_checksum(path)
    more = [name for name in (trial_column, seed_column) if name is not None]
    most = CELL_COUNT if trial_column is None else MOST_TRAININGS * CELL_COUNT
    table = read_table(path, cell_column, list(dict.fromkeys([*columns, *more])), most)
    _check_length(path, len(table), most)
    frame = pd.DataFrame({"cell": table_cells(table[cell_column], path), "trial": None, "training_seed": None})
    if trial_column is not None:
        frame["trial"] = _trials(table[trial_column], frame["cell"], path)
    if seed_column is not None:
        seeds = _whole_numbers(table[seed_column], path)
        frame["training_seed"] = seeds.where((seeds >= 0).fillna(False))
    parts = []
    for name, column in columns.items():
        accuracy = column_numbers(table[name], f"{path}, column {quoted(name)}")
        part = frame.assign(accuracy=accuracy.to_numpy()).dropna(subset="accuracy")
        parts.append(part.assign(data_set=column.data_set, split=column.split, epochs=column.epochs))
    return build_truth(accuracies_frame(pd.concat(parts)), "table", path, checksum, allow_partial=allow_partial)


def _trials(values: pd.Series, cells: pd.Series, path: Path) -> pd.Series:
    """Return the trainings of each cell, however the file numbers them, as 1, 2, ..."""
    numbers = _whole_numbers(values, path)
    unknown = numbers.index[numbers.isna()]
    if len(unknown):
        raise UserError(
            f"{path}, column {quoted(values.name)}, row {unknown[0] + 1}: the field is empty, expected a number"
        )
    return numbers.groupby(cells.to_numpy()).rank(method="dense").astype("Int32")


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


def read_table(path: Path, cell_column: str, columns: Iterable[str], most: int) -> pd.DataFrame:
    """Return the rows of a CSV or Parquet file of others, at most `most` + 1, as far as it has these columns once each.

    Raises:
        UserError: it has not, is damaged, or has more rows.
    """
    wanted = [cell_column, *columns]
    try:
        if path.name.endswith((".csv", ".csv.gz")):
            with memory_limited(path.stat().st_size):
                return _read_csv(path, cell_column, wanted, most)
        if path.name.endswith(".parquet"):
            with pq.ParquetFile(path) as file:
                _check_names(path, file.schema_arrow.names, wanted)
                _check_length(path, file.metadata.num_rows, most)
                return file.read().to_pandas(ignore_metadata=True)
    except UserError:
        raise
    except Exception:  # damage shows in many ways
        raise UserError(f"{path} is damaged or does not hold what its name says") from None
    raise UserError(f"{path} is no table that can be read, expected .csv, .csv.gz or .parquet")


def _check_length(path: Path, rows: int, most: int) -> None:
    if rows > most:
        each = "" if most == CELL_COUNT else f"{MOST_TRAININGS} trainings of each of "
        raise UserError(f"{path} has more rows than {each}the {CELL_COUNT:,} cells")


def _read_csv(path: Path, cell_column: str, wanted: list[str], most: int) -> pd.DataFrame:
    header = _header(path)
    _check_separator(path, header, wanted)
    _check_names(path, header, wanted)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a row with more fields than the header
            # As text: an empty field among numbers would make others of them.
            return pd.read_csv(path, index_col=False, nrows=most + 1, dtype={cell_column: str})
    except (pd.errors.ParserWarning, pd.errors.ParserError):
        raise UserError(
            f"{path} is damaged, or has rows with more fields than its header: expected commas between fields, and "
            "points in numbers"
        ) from None


def _header(path: Path) -> list[str]:
    """Return the names in the first line that is not empty, as pandas calls them, but those that stand twice twice."""
    with (
        open_file(path) as file,
        gzip.GzipFile(fileobj=file) if path.name.endswith(".gz") else nullcontext(file) as unpacked,
        io.TextIOWrapper(unpacked, encoding="utf-8-sig", newline="") as text,
    ):
        names = next((row for row in csv.reader(text) if len(row) > 1 or "".join(row).strip()), [])
    return [name or f"Unnamed: {number}" for number, name in enumerate(names)]


def _check_separator(path: Path, header: list[str], wanted: list[str]) -> None:
    if all(name in header for name in wanted):
        return
    for separator, plural in SEPARATORS.items():
        if header and sum(name.count(separator) for name in header) >= len(header):
            raise UserError(f"{path} has {plural} between its fields, expected commas (and points in numbers)")


def _check_names(path: Path, held: list[str], wanted: list[str]) -> None:
    for name in wanted:
        times = held.count(name)
        if times != 1:
            hint = did_you_mean(name, held) if not times else "expected one"
            raise UserError(f"{path} has {times or 'no'} column{'s' if times else ''} {quoted(name)}, {hint}")


def table_cells(values: pd.Series, path: Path) -> list[int]:
    """Return the official indices of cells that a column names by index or string; its index counts the file's rows.

    Raises:
        UserError: a field names no cell.
    """
    cells = []
    for row, value in zip(values.index, values, strict=True):
        try:
            cells.append(Cell.parse("" if pd.api.types.is_scalar(value) and pd.isna(value) else str(value)).index)
        except UserError as error:
            raise UserError(f"{path}, column {quoted(values.name)}, row {row + 1}: {error}") from None
    return cells


def column_numbers(values: pd.Series, where: str, expected: str = "a percentage") -> pd.Series:
    """Return a column's numbers, NaN where a field is empty.

    Raises:
        UserError: a field holds something else.
    """
    numbers = pd.Series(np.nan, values.index)
    if values.dtype.kind not in "bmMc":
        numbers = pd.to_numeric(values, errors="coerce")
    wrong = values[(numbers.isna() & values.notna()) | values.map(_only_resembles_a_number)]
    if len(wrong):
        raise UserError(f"{where}, row {wrong.index[0] + 1}: expected {expected}, not {quoted(wrong.iloc[0])}")
    return numbers


def _only_resembles_a_number(value: Any) -> bool:
    """Whether pandas would make a number of what is none."""
    return isinstance(value, bool | np.bool_ | bytes | timedelta)
