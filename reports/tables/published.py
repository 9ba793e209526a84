"""Our results beside the published ones of the same methods, and published results of methods we do not run."""

import pandas as pd

from harness.results.folder import Results
from reports.analysis import summary
from reports.analysis.beside_published import OURS
from reports.tables.table import DASH, Entry, Table, number

NAN = float("nan")


ROW = ["variant", "method", "protocol", "seeds", "ddof", "source", "verified"]


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
