"""What a table consists of, and how the numbers in it are written."""

from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from harness.results.folder import TruthColumn

DASH = "–"


class Entry(NamedTuple):
    """One cell of a table: its text, a faint note behind it, whether it is stressed, whether it is bad news."""

    text: str
    note: str = ""
    bold: bool = False
    alarm: bool = False
    link: str = ""
    """Address that the text leads to on the page."""


@dataclass(frozen=True)
class Table:
    """A table as people see it, and the numbers behind it."""

    name: str
    """File name without ending."""
    caption: str
    header: list[str]
    groups: list[tuple[str, list[list[Entry]]]]
    """(heading, rows); an empty heading draws none."""
    data: pd.DataFrame
    """What the CSV file holds, not rounded."""
    blocks: list[tuple[str, int]] | None = None
    """A second header above the first: (label, columns it spans)."""
    text_columns: int = 1
    """How many columns from the left hold text, not numbers."""


def number(value: float, digits: int = 2) -> str:
    """Format a number, a dash for NaN."""
    return DASH if pd.isna(value) else f"{value:,.{digits}f}"


def signed(value: float, digits: int = 2) -> str:
    """Format a difference with its sign; one that rounds to zero has none."""
    text = f"{value:+,.{digits}f}"
    return text[1:] if float(text.replace(",", "")) == 0 else text


def mean_entry(row: pd.Series, name: str, digits: int = 2, bold: bool = False) -> Entry:
    """Return `mean ± sd` of a statistic with its n; without the sd where a single run leaves it undefined."""
    mean, sd, n = row[f"{name}/mean"], row[f"{name}/sd"], row[f"{name}/n"]
    spread = "" if pd.isna(sd) else f" ± {number(sd, digits)}"
    return Entry(number(mean, digits) + spread, f"n = {int(n)}", bold and not pd.isna(mean))


def interval_entry(row: pd.Series, name: str, digits: int = 2) -> Entry:
    """Return an estimate with the interval from `<name>_low` to `<name>_high`; one without width is said in words."""
    estimate, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    if pd.isna(estimate):
        return Entry(DASH)
    interval = "no spread" if low == high else f"[{number(low, digits)}, {number(high, digits)}]"
    return Entry(number(estimate, digits), interval)


def column_heading(column: TruthColumn) -> str:
    """Return the label of a truth column with the training length."""
    return f"{column.label} ({column.epochs} epochs)" if column.epochs else column.label
