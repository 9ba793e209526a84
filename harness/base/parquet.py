"""Parquet files of our own making: each page carries its checksum, for what decodes a damaged one may crash."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from harness.base.errors import UserError, in_one_line
from harness.base.files import open_file


def read_parquet(path: Path, again: str = "") -> pd.DataFrame:
    """Return a table; `again` ends the sentence with how to make it anew.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        file = open_file(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing{again}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read{again} ({error.strerror or error})") from None
    with file:
        table = _table(file, path, again)
    try:
        return table.to_pandas()
    except Exception as error:  # what the file says of its types may be damaged too
        raise UserError(f"{path} is damaged{again} ({in_one_line(error)})") from None


def parse_parquet(content: bytes, path: Path, most_rows: int) -> pa.Table:
    """Return the table whose bytes were read from a path.

    Raises:
        UserError: they are damaged, or speak of more rows, for which a few bytes are enough.
    """
    return _table(pa.BufferReader(content), path, most_rows=most_rows)


def _table(source: object, path: Path, again: str = "", most_rows: int | None = None) -> pa.Table:
    import pyarrow.parquet as pq  # slow to import, and not every command reads a table

    try:
        with pq.ParquetFile(source, page_checksum_verification=True) as file:
            if most_rows is not None and file.metadata.num_rows > most_rows:
                raise ValueError(f"{file.metadata.num_rows:,} rows, expected at most {most_rows:,}")
            return file.read()
    except Exception as error:  # damage shows in many ways
        raise UserError(f"{path} is damaged{again} ({in_one_line(error)})") from None


def write_parquet(table: pd.DataFrame, path: Path) -> None:
    """Write a table, without its index."""
    table.to_parquet(path, index=False, write_page_checksum=True)
