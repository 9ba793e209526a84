"""Import a table of mean accuracies that somebody made: CSV or Parquet, with a row a cell."""

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
from harness.settings.protocol import AccuracyColumn
from harness.space.cell import CELL_COUNT, Cell
from harness.truth.checks import build_truth, means_frame
from harness.truth.table import Truth
from harness.untrusted.memory_limit import memory_limited

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""What other programs put between the fields of a CSV, with their names."""


def import_table(
    path: Path, cell_column: str, columns: Mapping[str, AccuracyColumn], *, allow_partial: bool = False
) -> Truth:
    """Read mean accuracies from a CSV (.csv, .csv.gz) or Parquet file; an empty field is a missing accuracy.

    Raises:
        UserError: see `import_truth`; or the file lacks a column that is named.
    """
    checksum = file_checksum(path)
    table = _read_table(path, cell_column, columns)
    if len(table) > CELL_COUNT:
        raise UserError(f"{path} has more rows than the {CELL_COUNT:,} cells")
    cells = _table_cells(table[cell_column], path)
    parts = []
    for name, column in columns.items():
        accuracy = _numbers(table[name], f"{path}, column {quoted(name)}")
        part = pd.DataFrame({"cell": cells, "accuracy": accuracy}).dropna(subset="accuracy")
        parts.append(part.assign(data_set=column.data_set, split=column.split, epochs=column.epochs))
    return build_truth(means_frame(pd.concat(parts)), "table", path, checksum, allow_partial=allow_partial)


def _read_table(path: Path, cell_column: str, columns: Iterable[str]) -> pd.DataFrame:
    wanted = [cell_column, *columns]
    try:
        if path.name.endswith((".csv", ".csv.gz")):
            with memory_limited(path.stat().st_size):
                return _read_csv(path, cell_column, wanted)
        if path.name.endswith(".parquet"):
            with pq.ParquetFile(path) as file:
                _check_names(path, file.schema_arrow.names, wanted)
                if file.metadata.num_rows > CELL_COUNT:
                    raise UserError(f"{path} has more rows than the {CELL_COUNT:,} cells")
                return file.read().to_pandas(ignore_metadata=True)
    except UserError:
        raise
    except Exception:  # damage shows in many ways
        raise UserError(f"{path} is damaged or does not hold what its name says") from None
    raise UserError(f"{path} is no table that can be read, expected .csv, .csv.gz or .parquet")


def _read_csv(path: Path, cell_column: str, wanted: list[str]) -> pd.DataFrame:
    header = _header(path)
    _check_separator(path, header, wanted)
    _check_names(path, header, wanted)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a row with more fields than the header
            # As text: an empty field among numbers would make others of them.
            return pd.read_csv(path, index_col=False, nrows=CELL_COUNT + 1, dtype={cell_column: str})
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


def _table_cells(values: pd.Series, path: Path) -> list[int]:
    cells = []
    for row, value in enumerate(values, start=1):
        try:
            cells.append(Cell.parse("" if pd.api.types.is_scalar(value) and pd.isna(value) else str(value)).index)
        except UserError as error:
            raise UserError(f"{path}, column {quoted(values.name)}, row {row}: {error}") from None
    return cells


def _numbers(values: pd.Series, where: str) -> pd.Series:
    numbers = pd.Series(np.nan, values.index)
    if values.dtype.kind not in "bmMc":
        numbers = pd.to_numeric(values, errors="coerce")
    wrong = values[(numbers.isna() & values.notna()) | values.map(_only_resembles_a_number)]
    if len(wrong):
        raise UserError(f"{where}, row {wrong.index[0] + 1}: expected a percentage, not {quoted(wrong.iloc[0])}")
    return numbers


def _only_resembles_a_number(value: Any) -> bool:
    """Whether pandas would make a number of what is none."""
    return isinstance(value, bool | np.bool_ | bytes | timedelta)
