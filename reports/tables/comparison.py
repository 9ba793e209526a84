"""The main table, in the layout of the papers."""

from collections.abc import Iterator

import pandas as pd

from harness.board.compare import LEVEL
from harness.results.folder import Results, TruthColumn
from reports import false_rates
from reports.analysis import summary
from reports.analysis.comparison import BEST, GROUPS, TIED, comparison_data
from reports.tables.table import DASH, Entry, Table, mean_entry, number

TIED_SIGN = "†"


def main_table(results: Results, order: list[str]) -> Table:
    """Return the main table: groups of methods, a column per data set and split, and the cost."""
    data = comparison_data(results, order)
    columns = summary.paper_order(results)
    groups = []
    for heading in GROUPS:
        members = data[data["group"] == heading]
        rows = [_row(row, columns) for _, row in members.iterrows()]
        if rows:
            groups.append((heading, rows))
    header = ["method", "n of all runs", *(split for _, split in map(_parts, columns)), "seconds"]
    blocks = [("", 2), *_data_set_blocks(columns), ("cost", 1)]
    return Table("comparison", _caption(columns), header, groups, data, blocks)


def _parts(column: TruthColumn) -> tuple[str, str]:
    data_set, _, split = column.label.rpartition(" ")
    return data_set, split


def _data_set_blocks(columns: list[TruthColumn]) -> Iterator[tuple[str, int]]:
    data_sets = [data_set for data_set, _ in map(_parts, columns)]
    for data_set in dict.fromkeys(data_sets):
        yield data_set, data_sets.count(data_set)


def _row(row: pd.Series, columns: list[TruthColumn]) -> list[Entry]:
    return [Entry(str(row["variant"])), _runs(row), *(_accuracy(row, column) for column in columns), _cost(row)]


def _runs(row: pd.Series) -> Entry:
    if row["kind"] == "all cells":
        return Entry("all cells")
    if row["kind"] == "landmark":
        return Entry(DASH)
    finished = _finished(row)
    notes = [f"{row[status]:.0f} {status}" for status in summary.STATUSES[1:] if row[status]]
    return Entry(f"{finished:.0f} of {row['runs']:.0f}", ", ".join(notes), alarm=finished < row["runs"])


def _finished(row: pd.Series) -> int:
    return int(row["done"] + row["stopped"])


def _accuracy(row: pd.Series, column: TruthColumn) -> Entry:
    if row["kind"] == "landmark":
        return Entry(number(row[f"{column.key}/mean"]))
    mark = row[f"{column.key}/mark"]
    entry = mean_entry(row, column.key, bold=mark == BEST)
    if row["kind"] == "all cells" or row[f"{column.key}/n"] == _finished(row):
        entry = entry._replace(note="")
    return entry._replace(text=f"{entry.text} {TIED_SIGN}") if mark == TIED else entry


def _cost(row: pd.Series) -> Entry:
    for name, label in (("charged_seconds", "charged"), ("seconds", "search")):
        mean, sd = row[f"{name}/mean"], row[f"{name}/sd"]
        if not pd.isna(mean):
            return Entry(number(mean, 0) + ("" if pd.isna(sd) else f" ± {number(sd, 0)}"), label)
    return Entry(DASH)


def _caption(columns: list[TruthColumn]) -> str:
    lengths = ", ".join(f"{column.label} {_epochs(column)}" for column in columns)
    floors = ", ".join(f"{column.noise:.2f} on {column.label}" for column in columns if column.noise is not None)
    unknown = ", ".join(column.label for column in columns if column.noise is None)
    known = f"{floors or 'none known'}{f'; none known on {unknown}' if floors and unknown else ''}"
    return (
        "True accuracy of the found cells in percent, mean ± sample standard deviation (ddof 1) over the n runs with "
        "a result; n stands beside a number where the truth source lacks some of their cells. "
        f"Length of the training: {lengths}. Bold: highest mean of the column among all methods that search. "
        f"{TIED_SIGN}: not distinguishable from it: the sign flips paired by seed, adjusted for all methods of the "
        f"column and for the choice of the best by these runs, have p ≥ {LEVEL} or no pair, or the gap is below the "
        f"noise floor in points ({known}). "
        f"{false_rates.of_boards(false_rates.BEST)} "
        "Cost: wall time of a search; for multi-trial methods the time charged for training and validating cells, by "
        "the truth table or, where it has no times, by a model. No search: fixed cells, and the mean of all cells."
    )


def _epochs(column: TruthColumn) -> str:
    return "not stated" if column.epochs is None else f"{column.epochs} epochs"
