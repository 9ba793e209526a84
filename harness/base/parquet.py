"""Parquet files of our own making: each page carries its checksum, for what decodes a damaged one may crash."""

from pathlib import Path

import pandas as pd

from harness.base.errors import UserError, in_one_line


def read_parquet(path: Path, again: str = "") -> pd.DataFrame:
    """Return a table; `again` ends the sentence with how to make it anew.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return pd.read_parquet(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise UserError(f"{path} is missing{again}") from None
    except Exception as error:  # damage shows in many ways
        raise UserError(f"{path} is damaged{again} ({in_one_line(error)})") from None


def write_parquet(table: pd.DataFrame, path: Path) -> None:
    """Write a table, without its index."""
    table.to_parquet(path, index=False, write_page_checksum=True)
