"""Sections that show the runs themselves: every run's truth, the way there, the found cells, the costs, the list."""

import pandas as pd

from harness.settings.protocol import Board
from harness.space.cell import Cell
from harness.space.drawing import cell_svg
from reports.analysis import summary
from reports.figures import strips, style, trajectories
from reports.figures.style import Picture
from reports.results import Results, TruthColumn
from reports.section import Block, Card, Cards, Figures, Folded, Section, Text
from reports.tables import table as tables
from reports.tables.table import DASH, Entry, Table, number

CELLS_SHOWN = 24
"""Distinct cells that the page draws; the rest stands in the list."""


def strips_section(results: Results, board: Board, order: list[str]) -> Section:
    """Return every run's truth beside what needs no search."""
    comparison = summary.comparison(results)
    pictures = []
    for column in results.columns:
        title = f"Truth of every run: {column.label}"
        drawn = style.Picture(f"truth-{column.slug}", title, strips.truth_strip, results, comparison, column)
        pictures.append((column.label, drawn))
    caption = (
        "Right of the plot: mean ± sample standard deviation, and n, the runs with a result. A seed stands at the same "
        "height in every row. The axis is logarithmic in the distance to the best cell, so that collapsed cells and "
        "tenths of a point at the top fit one picture."
    )
    blocks: list[Block] = [Figures(pictures, caption)]
    lost = summary.without_result(results)
    if not lost.empty:
        blocks += [Text("Runs without a result: they are counted, and stand in no mean.", alarm=True), _lost(lost)]
    folded = Folded("Landmarks and truth columns in numbers", [landmarks_table(results), columns_table(results)])
    return Section("result", "Every run, beside what needs no search", "Result", [*blocks, folded])


def _lost(lost: pd.DataFrame) -> Table:
    rows = [
        [Entry(run["variant"]), Entry(_text(run["reason"])), Entry(run["status"], alarm=True), Entry(str(run["seed"]))]
        for _, run in lost.iterrows()
    ]
    header = ["variant", "reason", "status", "seed"]
    return Table("lost-runs", "Runs without a result.", header, [("", rows)], lost, text_columns=2)


def _text(value: object) -> str:
    return DASH if value is None or pd.isna(value) else str(value)  # type: ignore[call-overload]


def landmarks_table(results: Results) -> Table:
    """Return the cells that take no search, with truth and percentile in every column."""
    data = summary.landmarks(results)
    rows = []
    for _, mark in data.iterrows():
        entries = [Entry(mark["name"]), Entry(f"{mark['cell_index']:.0f}")]
        for column in results.columns:
            entries += [Entry(number(mark[column.key])), Entry(number(mark[column.percentile_key]))]
        rows.append(entries)
    blocks = [("", 2), *((tables.column_heading(column), 2) for column in results.columns)]
    header = ["cell", "index", *["accuracy (%)", "percentile"] * len(results.columns)]
    caption = "Cells that take no search. Percentile: share of all cells with a lower accuracy."
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


def epochs_section(results: Results, board: Board, order: list[str]) -> Section | None:
    """Return the truth of the current cell over the epochs, and skip weight, entropy and margin."""
    blocks: list[Block] = []
    if searched := _truth(results, order, "search"):
        told = (
            "What the search would have returned after each epoch: the true accuracy of the cell with the largest op "
            "weight on every edge. A line that falls is a collapse. A circle off its line is a variant that derives "
            "its cell by another rule. Each variant has a page of its own with its op weights."
        )
        blocks += [Text(told), Figures(searched)]
    if baselines := _truth(results, order, "baseline"):
        told = "For a baseline: the true accuracy of the best cell so far, best by what the baseline itself saw."
        blocks += [Text(told), Figures(baselines)]
    searches = results.epochs[results.epochs["kind"] == "search"]
    if searches[list(trajectories.DIAGNOSTICS)].notna().any(axis=None):
        title = "Skip weight, entropy and margin over the epochs"
        drawn = style.Picture("diagnostics", title, trajectories.diagnostics_over_epochs, results, order)
        caption = (
            "Mean over the edges; line: median over the seeds, band: smallest to largest. A skip weight that rises "
            "towards 1 is the collapse that DARTS is known for. Entropy 1 means that nothing is decided, 0 that "
            "everything is. The margin says how far the leading operation is ahead. Runs without a result are drawn "
            "as far as they came."
        )
        blocks.append(Figures([("", drawn)], caption))
    return Section("epochs", "Over the epochs", "Epochs", blocks) if blocks else None


def _truth(results: Results, order: list[str], kind: str) -> list[tuple[str, Picture]]:
    if kind not in set(results.epochs["kind"]):
        return []
    return [(column.label, _truth_picture(results, order, kind, column)) for column in _one_a_data_set(results)]


def _one_a_data_set(results: Results) -> list[TruthColumn]:
    """Return the first truth column of each data set, its test column where there is one: the others go along."""
    first: dict[str, TruthColumn] = {}
    for column in results.columns:
        first.setdefault(column.key.split("/")[1], column)
    return list(first.values())


def _truth_picture(results: Results, order: list[str], kind: str, column: TruthColumn) -> Picture:
    title = f"Truth over the {'epochs' if kind == 'search' else 'evaluations'}: {column.label}"
    plot = trajectories.truth_over_epochs
    return style.Picture(f"truth-{kind}-{column.slug}", title, plot, results, order, kind, column)


def cells_section(results: Results, board: Board, order: list[str]) -> Section | None:
    """Return the cells that were found, the most found first."""
    table = tables.cells(results)
    if table.data.empty:
        return None
    cards = [_cell_card(row, results) for _, row in table.data.head(CELLS_SHOWN).iterrows()]
    total = len(table.data)
    told = f"{total} distinct cell{'' if total == 1 else 's'}, the most found first"
    told += f"; the first {CELLS_SHOWN} are drawn, all stand in the list below." if total > CELLS_SHOWN else "."
    blocks: list[Block] = [Text(told), Cards(cards), Folded("List of all found cells", [table])]
    return Section("cells", "The cells that were found", "Cells", blocks)


def _cell_card(row: pd.Series, results: Results) -> Card:
    truth = [f"{column.label}: {number(row[column.key])} %" for column in results.columns]
    size = f"depth {row['depth']:.0f}, width {row['width']:.0f}, {number(row['parameters'] / 1e6, 3)} M parameters"
    drawing = cell_svg(Cell.from_string(row["cell"]))
    return Card(title=str(row["by"]), lines=(*truth, size), drawing=drawing)


def costs_section(results: Results, board: Board, order: list[str]) -> Section | None:
    """Return what a run of each variant cost."""
    if results.finished.empty:
        return None
    comparison = summary.comparison(results)
    picture = style.Picture("costs", "Cost of every run", strips.cost_strip, results, comparison)
    pairs = results.finished[["processor", "device"]].dropna().drop_duplicates()
    machines = [f"{processor} ({device})" for processor, device in pairs.itertuples(index=False)]
    blocks: list[Block] = [Figures([("", picture)], "Every finished run a point."), tables.costs(results, order)]
    if machines:
        blocks.append(Text(f"Measured on: {'; '.join(machines)}.", note=True))
    if len(machines) > 1:
        blocks.append(Text("Times of different machines do not compare.", alarm=True))
    return Section("costs", "Cost of a search", "Cost", blocks)
