"""Parquet files of our own making: each page carries its checksum, for what decodes a damaged one may crash."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from harness.base.errors import UserError, in_one_line
from harness.base.files import read_file

if TYPE_CHECKING:
    import pyarrow.parquet as pq


def read_parquet(path: Path, again: str = "") -> pd.DataFrame:
    """Return a table; `again` ends the sentence with how to make it anew.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        content = read_file(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing{again}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read{again} ({error.strerror or error})") from None
    table = _table(content, path, again)
    try:
        return table.to_pandas()
    except Exception as error:  # what the file says of its types may be damaged too
        raise UserError(f"{path} is damaged{again} ({in_one_line(error)})") from None


def parse_parquet(content: bytes, path: Path, most_rows: int) -> pa.Table:
    """Return the table whose bytes were read from a path.

    Raises:
        UserError: they are damaged, or speak of more rows, for which a few bytes are enough.
    """
    return _table(content, path, most_rows=most_rows)


@contextmanager
def parquet_file(content: bytes) -> "Iterator[pq.ParquetFile]":
    """Yield the table of a file's bytes, to be read with `use_threads=False`.

    A thread of pyarrow that outlives damage and meets Python as it ends aborts the process instead of its status: so
    no thread reads here, and none is handed a file of Python's.
    """
    import pyarrow.parquet as pq  # slow to import, and not every command reads a table

    with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True) as file:
        yield file


def _table(content: bytes, path: Path, again: str = "", most_rows: int | None = None) -> pa.Table:
    try:
        with parquet_file(content) as file:
            if most_rows is not None and file.metadata.num_rows > most_rows:
                raise ValueError(f"{file.metadata.num_rows:,} rows, expected at most {most_rows:,}")
            return file.read(use_threads=False)
    except Exception as error:  # damage shows in many ways
        raise UserError(f"{path} is damaged{again} ({in_one_line(error)})") from None


def write_parquet(table: pd.DataFrame, path: Path) -> None:
    """Write a table, without its index."""
    table.to_parquet(path, index=False, write_page_checksum=True)
