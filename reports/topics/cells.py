"""The cells that were found."""

from collections.abc import Iterator

import pandas as pd

from harness.results.folder import CostColumn, Results
from harness.settings.protocol import Board
from harness.space.cell import Cell
from harness.space.drawing import cell_svg
from harness.statistics.pareto import pareto_front
from reports.analysis import landscape
from reports.drawing.picture import Picture
from reports.figures.devices import pareto
from reports.section import Block, Card, Cards, Figures, Folded, Section, Text
from reports.tables.cells import cells_table, device_table
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
    if results.costs:
        blocks += _costs(results, results.costs[0], order, board.reference)
    return Section("cells", "The cells that were found", "Cells", blocks)


def _costs(results: Results, cost: CostColumn, order: list[str], reference: str) -> Iterator[Block]:
    """Yield what the derived cells cost on a device, beside the best that can be had."""
    derived = landscape.derived_costs(results, cost)
    if derived.empty:
        yield Text(f"Of no cell that was found {cost.label} is known.", note=True)
        return
    front = landscape.front(results, cost)
    variants = landscape.by_variant(derived, order)
    yield Text(landscape.front_sentence(front, derived, cost, results.main))
    title = f"{results.main.label} accuracy and {cost.label}"
    named = _named(variants, reference)
    picture = Picture("pareto", title, pareto, results.space, front, derived, named, cost, results.main)
    yield Figures(
        [("", picture)],
        f"{title} of every derived cell, by each derivation rule. Line: the true front of all "
        f"{len(results.space):,} cells; no cell lies above or left of it. Cells that are worse than all derived ones "
        "are left out. The costs are those that params.yaml names (`costs`). Diamonds: medians over the runs of the "
        "reference, and of the variants that no other beats in both.",
    )
    if len(variants):
        yield device_table(variants, cost, results.main)


def _named(variants: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Return the variants that no other beats, and the reference: names of more would hide the picture."""
    best = pareto_front(variants["cost"].to_numpy(float), variants["truth"].to_numpy(float))
    return variants[variants.index.isin(best) | (variants["variant"] == reference)]


def _cell_card(row: pd.Series, results: Results) -> Card:
    truth = [f"{column.label}: {number(row[column.key])} %" for column in results.columns]
    size = f"depth {row['depth']:.0f}, width {row['width']:.0f}, {number(row['parameters'] / 1e6, 3)} M parameters"
    drawing = cell_svg(Cell.from_string(row["cell"]))
    return Card(title=str(row["by"]), lines=(*truth, size), drawing=drawing)
