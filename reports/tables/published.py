"""Our results beside the published ones of the same methods, and published results of methods we do not run."""

import pandas as pd

from harness.settings.protocol import Board
from harness.truth.table import REPORT_COLUMNS
from reports.analysis import summary
from reports.published.reader import read_published
from reports.results import Results, TruthColumn
from reports.section import Block, Folded, Text
from reports.tables.table import DASH, Entry, Table, number

OURS = "this board"

NAN = float("nan")

SAME_PROTOCOLS = {
    "nas-bench-201": "NAS-Bench-201 paper",
    "nats-bench": "NATS-Bench, search on each data set",
    "drnas": "DrNAS paper",
}
"""Our named protocols, and the published protocol that each follows as far as its paper states it."""

ROW = ["variant", "method", "protocol", "seeds", "ddof", "source", "verified"]


def blocks(results: Results, board: Board, order: list[str]) -> list[Block]:
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
        source=str(results.truth_source["source"]), verified="measured here", note="",
    )  # fmt: skip
    return rows.rename_axis("variant").reset_index()


def _protocol(results: Results, board: Board) -> str:
    return str(results.provenance.get("protocol", board.protocol))


def protocols_sentence(results: Results, board: Board, beside: pd.DataFrame) -> str:
    """Say whether the rows of the table share a protocol."""
    ours, source = _protocol(results, board), results.truth_source["source"]
    theirs = set(beside.loc[beside["method"] != OURS, "protocol"])
    same = SAME_PROTOCOLS.get(ours)
    text = f"Ours beside published: our rows come from the protocol {ours} with the truth of {source}. "
    if same not in theirs:
        return f"{text}No published row was made under it: the rows differ in their protocols too."
    text += f"It follows that of the {same}, as far as its paper states it."
    differ = len(theirs - {same})
    return (
        f"{text} {differ} other protocol{'s' if differ != 1 else ''} in the table differ from it." if differ else text
    )


def beside_table(results: Results, data: pd.DataFrame, order: list[str]) -> Table:
    """Return a group per method that was published too: our row first."""
    groups = [(variant, _rows(results, data[data["variant"] == variant])) for variant in order]
    caption = (
        "Accuracy in percent, mean ± standard deviation. Ours has ddof 1; a published row has the ddof shown, a dash "
        "where its source does not say. A row from memory was not checked against its source: do not cite it."
    )
    return Table("published", caption, _header(results), groups, data, text_columns=4)


def others_table(results: Results, data: pd.DataFrame) -> Table:
    """Return the published rows of methods that are not on the board."""
    caption = "Published accuracies in percent, mean ± standard deviation, of methods that this board does not run."
    return Table("published-others", caption, _header(results), [("", _rows(results, data))], data, text_columns=4)


def _header(results: Results) -> list[str]:
    columns = [column.label for column in summary.paper_order(results)]
    return ["method", "protocol", "source", "how known", "seeds", "ddof", *columns]


def _rows(results: Results, data: pd.DataFrame) -> list[list[Entry]]:
    """One row per method, protocol and origin, the truth columns side by side; ours first."""
    found = []
    for _, row in data.groupby(ROW, sort=False, dropna=False):
        first = row.iloc[0]
        accuracies = {key: (mean, sd) for key, mean, sd in zip(row["column"], row["mean"], row["sd"], strict=True)}
        entries = [Entry(first["method"], bold=first["method"] == OURS)]
        entries += [Entry(first[name]) for name in ("protocol", "source", "verified")]
        entries += [Entry(DASH if pd.isna(first[name]) else str(first[name])) for name in ("seeds", "ddof")]
        found.append(
            [
                *entries,
                *(_accuracy(*accuracies.get(column.label, (NAN, NAN))) for column in summary.paper_order(results)),
            ]
        )
    return found


def _accuracy(mean: float, sd: float) -> Entry:
    return Entry(number(mean) + ("" if pd.isna(sd) else f" ± {number(sd)}"))
