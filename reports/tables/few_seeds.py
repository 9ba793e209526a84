"""The table of what few seeds would have said."""

import pandas as pd

from harness.results.folder import Results
from reports.tables.table import DASH, Entry, Table, interval_entry


def few_seeds_table(values: pd.DataFrame, found: pd.DataFrame, results: Results) -> Table:
    """Return a row for every number of seeds."""
    rows = [
        [
            Entry(f"{k} of {values.shape[1]}"),
            Entry(f"{row['subsets']:,.0f}"),
            _share(row["other_winner"]),
            _share(row["winner_apart"]),
            interval_entry(row, "tau"),
            _share(row["reversed"]),
            _share(row["other_best"]),
        ]
        for k, row in found.iterrows()
    ]
    header = [
        *("seeds", "subsets", "another winner", "a winner told apart from it", "tau of the rankings"),
        *("pairs the wrong way round", "another winner by the best run"),
    ]
    pairs = int(found["pairs_apart"].iloc[0])
    caption = (
        f"Rankings by the mean of some seeds against the ranking by all {values.shape[1]}, on {results.main.label}: "
        f"the {len(values)} methods with a result for every seed. The winner by few seeds is another than by all; it "
        "is one that all seeds tell apart from theirs; Kendall's tau-b between both rankings, with the middle 95 % of "
        f"the subsets; of the {pairs} pairs that all seeds tell apart, those that few seeds have the other way round; "
        "and another winner where each method shows the best of its few runs."
    )
    return Table("few-seeds", caption, header, [("", rows)], found.reset_index())


def _share(value: float) -> Entry:
    return Entry(DASH if pd.isna(value) else f"{100 * value:.0f} %")
