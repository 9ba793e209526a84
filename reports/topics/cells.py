"""The cells that were found."""

import pandas as pd

from harness.results.folder import Results
from harness.settings.protocol import Board
from harness.space.cell import Cell
from harness.space.drawing import cell_svg
from reports.section import Block, Card, Cards, Folded, Section, Text
from reports.tables.cells import cells_table
from reports.tables.table import number

CELLS_SHOWN = 24
"""Distinct cells that the page draws; the rest stands in the list."""


def section(results: Results, board: Board, order: list[str]) -> Section | None:
    """Return the cells that were found, the most found first."""
    table = cells_table(results)
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
