"""The protocol, and what each method is."""

from harness.results.folder import Results
from harness.settings.protocol import Board
from reports.methods import Description, flatten
from reports.section import Block, Section, Text
from reports.tables.settings import methods_table, settings_table


def section(results: Results, board: Board, described: list[Description]) -> Section:
    """Return the protocol and what each method is."""
    protocol = str(results.provenance.get("protocol", board.protocol))
    told = "Everything a run depends on that is not the variant. All variants of the board share it."
    settings = settings_table("protocol", list(flatten(board.chosen)), f"The settings of the protocol {protocol}.")
    blocks: list[Block] = [Text(told), settings, methods_table(described)]
    return Section("protocol", f"Protocol {protocol}", "Protocol", blocks)
