"""The tables of the noise that the trainings of cells add."""

import pandas as pd

from harness.results.folder import Results, TruthColumn
from harness.space.cell import Cell
from harness.statistics.training_noise import WITHIN
from harness.truth.columns import spread_key
from reports.analysis import summary
from reports.analysis.trainings import beside_highest, spreads
from reports.tables.cells import operations
from reports.tables.table import DASH, Entry, Table, column_heading, number


def spreads_table(results: Results, column: TruthColumn, order: list[str]) -> Table:
    """Return both spreads of every method, and of the cells that take no search the one they have."""
    found = spreads(results, column, order).join(beside_highest(results, column, order))
    data = pd.concat([found.rename_axis("variant").reset_index(), _landmark_rows(results, column)], ignore_index=True)
    groups = []
    for kind, heading in (("search", "Searches"), ("baseline", "Multi-trial"), ("landmark", "No search")):
        rows = [_row(row) for _, row in data[data["kind"] == kind].iterrows()]
        if rows:
            groups.append((heading, rows))
    floor = f" {column.noise:.2f}" if column.noise is not None else " not measured on this column"
    caption = (
        f"{column_heading(column)}, points. Over searches: sd (ddof 1) of the n runs. Over trainings: sd of the "
        "trainings of the cells that these runs ended in, pooled over the runs; only cells trained more than once have "
        "one. Left in the mean: its standard error by training alone, which more seeds that find the same cells do not "
        "make smaller; a cell trained once counts with the spread of cells of its accuracy. Below the highest: how far "
        "the mean is below the highest one; training noise allows: what chance in training exceeds in 5 % of all cases "
        "(Welch's t interval); bold: a smaller difference. The third noise, of cells that compute the same "
        f"function:{floor}."
    )
    header = ["method", "over searches", "over trainings", "trainings", "left in the mean", "below the highest"]
    header += ["training noise allows"]
    return Table(f"trainings-{column.slug}", caption, header, groups, data)


def _landmark_rows(results: Results, column: TruthColumn) -> pd.DataFrame:
    marks = summary.landmarks(results, best_of=column)
    names = {name: spread_key(name, column.key) for name in ("trainings", "training_sd", "training_error")}
    known = marks.dropna(subset=[column.key]).reset_index(drop=True)
    return pd.DataFrame(
        {
            "variant": known["name"], "kind": "landmark", "mean": known[column.key], "cells": 1,
            "trainings": known[names["trainings"]], "training_sd": known[names["training_sd"]],
            "error": known[names["training_error"]],
        }
    )  # fmt: skip


def _row(row: pd.Series) -> list[Entry]:
    searches = Entry(DASH) if pd.isna(row["n"]) else Entry(number(row["search_sd"]), f"n = {row['n']:.0f}")
    within = row["called"] == WITHIN
    return [
        Entry(row["variant"]),
        searches,
        Entry(number(row["training_sd"])),
        Entry(number(row["trainings"], 0), f"of {row['cells']:.0f} cell{'' if row['cells'] == 1 else 's'}"),
        Entry(number(row["error"])),
        Entry(number(row["gap"]), bold=within),
        Entry(number(row["allowed"]), WITHIN if within else ""),
    ]


def single_table(results: Results) -> Table:
    """Return every training of the cells that runs ended in and of the landmarks."""
    data = results.trainings.copy()
    labels = {column.key: column.label for column in results.columns}
    cells = {index: str(Cell.from_index(int(index))) for index in data["cell_index"].unique()}
    data.insert(1, "cell", data["cell_index"].map(cells))
    rows = []
    for (key, cell), own in data.groupby(["column", "cell"], sort=False):
        values = " ".join(number(value) for value in own["accuracy"])
        entries = [labels[str(key)], operations(str(cell)), f"{own['cell_index'].iloc[0]:.0f}", values]
        rows.append([*map(Entry, entries), Entry(number(own["accuracy"].mean())), Entry(number(own["accuracy"].std()))])
    header = ["column", "cell (edges 0>1, 0>2, 1>2, 0>3, 1>3, 2>3)", "index", "trainings (%)", "mean", "sd"]
    caption = (
        "Every training, in percent, of the cells that runs ended in and of those that take no search; sd with ddof 1."
    )
    return Table("trainings", caption, header, [("", rows)], data, text_columns=2)
