"""The main table in the layout of the papers: who finds better cells, and who cannot be told from the best."""

import pandas as pd

from harness.board.compare import LEVEL
from harness.results.folder import Results
from harness.settings.protocol import Board
from harness.statistics.significance import fewest_pairs
from reports.analysis import summary
from reports.analysis.beside_published import OURS, protocols_sentence, published_data
from reports.section import Block, Folded, Section, Text
from reports.tables.comparison import TIED_SIGN, main_table
from reports.tables.published import beside_table, others_table


def section(results: Results, board: Board, order: list[str]) -> Section | None:
    """Return the main table, what its marks can and cannot say, and our rows beside published ones."""
    table = main_table(results, order)
    blocks: list[Block] = [table]
    doubt = too_few_pairs(results, table.data)
    if doubt:
        blocks.append(Text(doubt))
    if results.missing_columns:
        missing = ", ".join(results.missing_columns)
        blocks.append(Text(f"The truth source has no accuracies for: {missing}.", note=True))
    blocks.append(
        Text(
            "Papers on this benchmark mostly give the population standard deviation (ddof 0) over 3 seeds; for n = 3 "
            "it is 0.82 times the one shown here.",
            note=True,
        )
    )
    blocks += published_blocks(results, board, order)
    return Section("comparison", "Comparison", "Table", blocks)


def published_blocks(results: Results, board: Board, order: list[str]) -> list[Block]:
    """Return the tables and what keeps their rows from being compared; nothing where no column was published."""
    data = published_data(results, board, order)
    published = data[data["method"] != OURS]
    if published.empty:
        return []
    same = [variant for variant in order if variant in set(published["variant"].dropna())]
    found: list[Block] = []
    if same:
        beside = data[data["variant"].isin(same)]
        found += [Text(protocols_sentence(results, board, beside)), beside_table(results, beside, same)]
    others = published[~published["variant"].isin(same)]
    if len(others):
        table = others_table(results, others)
        found.append(
            Folded(f"Published rows of methods that this board does not run ({len(table.groups[0][1])})", [table])
        )
    return found


def too_few_pairs(results: Results, data: pd.DataFrame) -> str:
    """Return a sentence that names the columns in which the test cannot speak at all; empty where it can in every one.

    `data` is that of the main table.
    """
    silent = []
    for column in summary.paper_order(results):
        most = data[f"{column.key}/best_pairs"].max()
        if data[f"{column.key}/best_p"].notna().any() and most < fewest_pairs(LEVEL):
            silent.append((column.label, int(most)))
    if not silent:
        return ""
    labels, most = [label for label, _ in silent], max(most for _, most in silent)
    return (
        f"Too few seeds for any test: on {', '.join(labels)} a method shares at most {most} "
        f"{'seed' if most == 1 else 'seeds'} with the best, and {fewest_pairs(LEVEL)} would be needed before a "
        f"comparison can reach p < {LEVEL}. The sign {TIED_SIGN} there "
        "means that nothing is shown, not that the methods are equal."
    )
