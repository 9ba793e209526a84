"""The tables of cells: those that were found, those that take no search, and all of the space."""

import pandas as pd

from harness.base.errors import first_of
from harness.results.folder import CostColumn, Results, TruthColumn
from harness.space.cell import Cell
from harness.space.drawing import OPERATION_LABELS
from harness.truth.columns import spread_key
from reports.analysis import summary
from reports.tables import table as tables
from reports.tables.table import Entry, Table, number


def cells_table(results: Results) -> Table:
    """Return the distinct cells that were found, the most found first."""
    data = summary.found_cells(results)
    rows = []
    for _, row in data.iterrows():
        truth = [_accuracy(row, column) for column in results.columns]
        shape = [Entry(f"{row[name]:.0f}") for name in ("depth", "width")]
        size = Entry(f"{row['parameters'] / 1e6:.3f}")
        found_by = Entry(first_of(row["by"].split(", ")))
        rows.append([Entry(operations(row["cell"])), found_by, Entry(str(row["found"])), *truth, *shape, size])
    truth_header = [f"{column.label} (%)" for column in results.columns]
    header = ["cell (edges 0>1, 0>2, 1>2, 0>3, 1>3, 2>3)", "found by", "runs", *truth_header]
    header += ["depth", "width", "parameters (M)"]
    caption = (
        "Every distinct cell that a finished run ended in, with the sd over its trainings where the truth source has "
        "several. Depth and width count edges other than none."
    )
    return Table("cells", caption, header, [("", rows)], data, text_columns=2)


def _accuracy(row: pd.Series, column: TruthColumn) -> Entry:
    """Return the accuracy of a cell, with the spread and number of its trainings where there are several."""
    trainings, sd = (row[spread_key(name, column.key)] for name in ("trainings", "training_sd"))
    return Entry(number(row[column.key]), f"± {number(sd)}, {trainings:.0f} trainings" if trainings > 1 else "")


def operations(cell: str) -> str:
    """Return the operations of a cell string, edge by edge, by their short names."""
    return ", ".join(OPERATION_LABELS[operation] for operation in Cell.from_string(cell).operations)


def device_table(data: pd.DataFrame, cost: CostColumn, column: TruthColumn) -> Table:
    """Return cost, truth and distance to the front of each variant; `data` as of `landscape.by_variant`."""
    rows = [
        [
            Entry(row["variant"]),
            Entry(str(row["n"])),
            Entry(f"{row['cost']:.4g}"),
            Entry(number(row["truth"])),
            Entry(number(row["below"])),
        ]
        for _, row in data.iterrows()
    ]
    header = ["variant", "n", cost.heading, f"{column.label} (%)", "below the front (points)"]
    caption = (
        "Medians over the runs, each of its own. Below the front: what the best of all cells that cost no more has "
        "ahead of the cell of a run."
    )
    return Table("cell-costs", caption, header, [("", rows)], data)


def landmarks_table(results: Results) -> Table:
    """Return the cells that take no search, with truth and percentile in every column."""
    data = summary.landmarks(results)
    rows = []
    for _, mark in data.iterrows():
        entries = [Entry(mark["name"]), Entry(f"{mark['cell_index']:.0f}")]
        for column in results.columns:
            entries += [_accuracy(mark, column), Entry(number(mark[column.percentile_key]))]
        rows.append(entries)
    blocks = [("", 2), *((tables.column_heading(column), 2) for column in results.columns)]
    header = ["cell", "index", *["accuracy (%)", "percentile"] * len(results.columns)]
    caption = (
        "Cells that take no search, with the sd over their trainings where the truth source has several. Percentile: "
        "share of all cells with a lower accuracy."
    )
    return Table("landmarks", caption, header, [("", rows)], data, blocks)


def columns_table(results: Results) -> Table:
    """Return how all cells of the space are distributed in every truth column."""
    names = ("mean", "sd", "median", "best", "noise")
    data = pd.DataFrame(
        [{"column": column.key, **{name: getattr(column, name) for name in names}} for column in results.columns]
    )
    rows = [
        [Entry(tables.column_heading(column)), *(Entry(number(row[name])) for name in names)]
        for column, (_, row) in zip(results.columns, data.iterrows(), strict=True)
    ]
    caption = (
        "Accuracy of all cells in percent. Noise: standard deviation among cells that compute the same function, where "
        "it was measured."
    )
    return Table("truth-columns", caption, ["column", *names], [("", rows)], data)
