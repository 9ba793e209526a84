"""Our results beside the published ones of the same methods, and published results of methods we do not run."""

import pandas as pd

from harness.board.published import read_published
from harness.results.folder import Results, TruthColumn
from harness.settings.protocol import Board
from harness.space.cell import OPERATIONS
from harness.truth.table import REPORT_COLUMNS
from reports.analysis import summary

OURS = "this board"

SAME_PROTOCOLS = {
    "nas-bench-201": "NAS-Bench-201 paper",
    "nats-bench": "NATS-Bench, search on each data set",
    "drnas": "DrNAS paper",
    "gdas": "NAS-Bench-201 paper",
    "lambda-darts": "Lambda-DARTS paper",
    "gaea": "GAEA paper",
}
"""Our named protocols, and the published protocol that each follows as far as its paper states it."""


def published_data(results: Results, board: Board, order: list[str]) -> pd.DataFrame:
    """Return ours and the published accuracies in the truth columns of the results, a row per accuracy.

    Columns: those of `read_published` with `OURS` as the method of our rows, and column (label).
    """
    published = read_published()
    labels = {key: label for label, key in REPORT_COLUMNS.items()}
    published["column"] = [labels[key] for key in zip(published["data_set"], published["split"], strict=True)]
    published = published[published["column"].isin([column.label for column in results.columns])]
    table = summary.comparison(results).loc[order]
    ours = pd.concat([_our_rows(results, board, table, column) for column in results.columns])
    return pd.concat([ours, published], ignore_index=True).astype({"seeds": "Int64", "ddof": "Int64"})


def _our_rows(results: Results, board: Board, table: pd.DataFrame, column: TruthColumn) -> pd.DataFrame:
    key, (data_set, split) = column.key, REPORT_COLUMNS[column.label]
    rows = pd.DataFrame({"mean": table[f"{key}/mean"], "sd": table[f"{key}/sd"], "seeds": table[f"{key}/n"]})
    rows = rows.assign(
        method=OURS, column=column.label, data_set=data_set, split=split, ddof=1, protocol=_protocol(results, board),
        source=results.truth_name, verified="measured here", note="",
    )  # fmt: skip
    return rows.rename_axis("variant").reset_index()


def _protocol(results: Results, board: Board) -> str:
    return str(results.provenance.get("protocol", board.protocol))


def protocols_sentence(results: Results, board: Board, beside: pd.DataFrame) -> str:
    """Say whether the rows of the table share a protocol."""
    ours, source = _protocol(results, board), results.truth_name
    theirs = set(beside.loc[beside["method"] != OURS, "protocol"])
    same = SAME_PROTOCOLS.get(ours)
    text = f"Ours beside published: our rows come from the protocol {ours} with the truth of {source}. "
    if len(results.operations) < len(OPERATIONS):
        text += (
            f"Our edges choose among {len(results.operations)} operations only, those of published rows among all five "
            "where their note says nothing else: across the two spaces a difference says nothing about a method. "
        )
    if same not in theirs:
        return f"{text}No published row was made under it: the rows differ in their protocols too."
    text += f"It follows that of the {same}, as far as its paper states it."
    differ = len(theirs - {same})
    return (
        f"{text} {differ} other protocol{'s' if differ != 1 else ''} in the table differ from it." if differ else text
    )
