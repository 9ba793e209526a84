"""Whole tables that are not what they should be: columns that lack or have other types, rows twice, odd values."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tests.faults.mutations import Random

VALUES: list[Any] = [
    *(0, -1, 2, 1e308, -1e308, 5e-324, np.inf, np.nan, None, True, 2**63 - 1, -(2**63), 0.5, 100.5, 10**30),
    *("", "x", "1e-3", "=1+1", "é\u202e", "\ud800", "a\nb", "9" * 5000, "|nor_conv_3x3~0|", b"\xff"),
    *(pd.Timestamp("2026-11-28"), pd.Timedelta("1s"), [1, 2], {"a": 1}, np.datetime64("NaT")),
]
TYPES = ("float16", "float32", "int8", "uint64", "bool", "str", "category", "complex128", "datetime64[ns]")


def _column(frame: pd.DataFrame, random: Random) -> Any:
    return frame.columns[int(random.integers(len(frame.columns)))]


def _without_a_column(frame: pd.DataFrame, random: Random) -> pd.DataFrame:
    return frame.drop(columns=_column(frame, random))


def _renamed(frame: pd.DataFrame, random: Random) -> pd.DataFrame:
    name = ["", "é", "x" * 3000, "cell", "epoch", "a\nb"][int(random.integers(6))]
    return frame.rename(columns={_column(frame, random): name})


def _of_another_type(frame: pd.DataFrame, random: Random) -> pd.DataFrame:
    name = _column(frame, random)
    return frame.assign(**{str(name): frame[name].astype(TYPES[int(random.integers(len(TYPES)))])})


def _with_a_value(frame: pd.DataFrame, random: Random) -> pd.DataFrame:
    name, value = _column(frame, random), VALUES[int(random.integers(len(VALUES)))]
    values = list(frame[name])
    if random.random() < 0.3:
        values = [value] * len(values)
    elif values:
        values[int(random.integers(len(values)))] = value
    return frame.assign(**{str(name): pd.Series(values, index=frame.index)})


def _rows_twice(frame: pd.DataFrame, random: Random) -> pd.DataFrame:
    return pd.concat([frame, frame])


def _shuffled(frame: pd.DataFrame, random: Random) -> pd.DataFrame:
    return frame.iloc[random.permutation(len(frame))]


def _fewer_rows(frame: pd.DataFrame, random: Random) -> pd.DataFrame:
    return frame.iloc[: int(random.integers(len(frame) + 1))]


def _one_more_column(frame: pd.DataFrame, random: Random) -> pd.DataFrame:
    name = ["new", "accuracy", "cell", "truth/cifar10/test", ""][int(random.integers(5))]
    return frame.assign(**{name: VALUES[int(random.integers(8))]})


def _swapped(frame: pd.DataFrame, random: Random) -> pd.DataFrame:
    one, other = _column(frame, random), _column(frame, random)
    return frame.rename(columns={one: other, other: one})


_CHANGES: list[Callable[[pd.DataFrame, Random], pd.DataFrame]] = [
    *(_without_a_column, _renamed, _of_another_type, _with_a_value, _with_a_value, _with_a_value),
    *(_rows_twice, _shuffled, _fewer_rows, _one_more_column, _swapped),
]


def change(frame: pd.DataFrame, random: Random) -> pd.DataFrame:
    """Return the table with one change; as it was where pandas knows no such table."""
    try:
        return _CHANGES[int(random.integers(len(_CHANGES)))](frame, random)
    except (TypeError, ValueError, OverflowError):
        return frame.iloc[::-1]


def in_parquet(content: bytes, random: Random) -> bytes:
    """Return a changed Parquet file."""
    changed = io.BytesIO()
    frame = change(pd.read_parquet(io.BytesIO(content)), random)
    try:
        frame.to_parquet(changed)
    except (ValueError, TypeError, OverflowError, pa.ArrowException):  # no such table can be written
        return content[:-20]
    return changed.getvalue()


def in_csv(content: bytes, random: Random) -> bytes:
    """Return a changed CSV file."""
    frame = change(pd.read_csv(io.BytesIO(content)), random)
    separator = str(random.choice([",", ",", ",", ";", "\t"]))
    return frame.to_csv(index=bool(random.random() < 0.2), sep=separator).encode(errors="surrogatepass")
