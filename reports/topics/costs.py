"""What a search cost."""

from harness.results.folder import Results
from harness.settings.protocol import Board
from reports.analysis import summary
from reports.drawing.picture import Picture
from reports.figures.strips import cost_strip
from reports.section import Block, Figures, Section, Text
from reports.tables.runs import costs_table


def section(results: Results, board: Board, order: list[str]) -> Section | None:
    """Return what a run of each variant cost."""
    if results.finished.empty:
        return None
    comparison = summary.comparison(results)
    picture = Picture("costs", "Cost of every run", cost_strip, results.finished, comparison)
    pairs = results.finished[["processor", "device"]].dropna().drop_duplicates()
    machines = [f"{processor} ({device})" for processor, device in pairs.itertuples(index=False)]
    blocks: list[Block] = [Figures([("", picture)], "Every finished run a point."), costs_table(results, order)]
    if machines:
        blocks.append(Text(f"Measured on: {'; '.join(machines)}.", note=True))
    if len(machines) > 1:
        blocks.append(Text("Times of different machines do not compare.", alarm=True))
    return Section("costs", "Cost of a search", "Cost", blocks)
