"""Tables of others with a row or several for each cell: a CSV or Parquet file, of which the named columns are read."""

import csv
import gzip
import io
import warnings
from collections.abc import Collection, Iterable
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from harness.base.errors import UserError, did_you_mean, quoted
from harness.base.files import open_file
from harness.space.cell import CELL_COUNT, Cell
from harness.untrusted.memory_limit import memory_limited

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""What other programs put between the fields of a CSV, with their names."""


def read_table(
    path: Path,
    cell_column: str,
    columns: Iterable[str],
    most: int = 1,
    rows: str = "rows",
    texts: Collection[str] = (),
) -> pd.DataFrame:
    """Return all rows of a file that has these columns once each, at most `most` for each cell; `rows` names these.

    `texts` are the columns whose fields of a CSV stay as they are written there, such as `01`, `NA` or nothing.

    Raises:
        UserError: it has not, is damaged, or has more rows.
    """
    wanted = [cell_column, *columns]
    limit = most * CELL_COUNT
    longer = f"{path} has more rows than {'' if most == 1 else f'{most} {rows} of each of '}the {CELL_COUNT:,} cells"
    try:
        if path.name.endswith((".csv", ".csv.gz")):
            with memory_limited(path.stat().st_size):
                table = _read_csv(path, cell_column, wanted, limit + 1, texts)
            if len(table) > limit:
                raise UserError(longer)
            return table
        if path.name.endswith(".parquet"):
            with pq.ParquetFile(path) as file:
                _check_names(path, file.schema_arrow.names, wanted)
                if file.metadata.num_rows > limit:
                    raise UserError(longer)
                return file.read().to_pandas(ignore_metadata=True)
    except UserError:
        raise
    except Exception:  # damage shows in many ways
        raise UserError(f"{path} is damaged or does not hold what its name says") from None
    raise UserError(f"{path} is no table that can be read, expected .csv, .csv.gz or .parquet")


def _read_csv(path: Path, cell_column: str, wanted: list[str], rows: int, texts: Collection[str]) -> pd.DataFrame:
    header = _header(path)
    _check_separator(path, header, wanted)
    _check_names(path, header, wanted)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a row with more fields than the header
            # As text: an empty field among numbers would make others of them.
            table = pd.read_csv(path, index_col=False, nrows=rows, dtype={cell_column: str})
            if texts:  # only a reading of their own leaves `NA` what it is, and fields of others that say so empty
                table[list(texts)] = pd.read_csv(
                    path, index_col=False, nrows=rows, usecols=list(texts), dtype=str, na_filter=False
                )[list(texts)]
            return table
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
