"""The tables of the one-shot ranking."""

import pandas as pd

from harness.results.folder import Results
from harness.statistics.rank_correlation import BEST_CELLS
from reports.analysis.ranking import STATISTICS
from reports.tables.table import DASH, Entry, Table, number


def end_table(main: pd.DataFrame, results: Results, order: list[str]) -> Table:
    """Return the rank correlations of the last measurement, a row a variant."""
    data = _in_order(main, order)
    rows = [
        [
            Entry(row["variant"], f"n = {row['seeds']}"),
            *(Entry(number(row[name], 0)) for name in ("epoch", "cells")),
            *(_statistic(row, name) for name in STATISTICS), Entry(number(row["chance_best_fifth"])),
        ]
        for _, row in data.iterrows()
    ]  # fmt: skip
    header = ["variant", "epoch", "cells", *STATISTICS.values(), "tau of the best fifth by chance"]
    caption = (
        f"Accuracy under the shared weights against truth ({results.main.label}) on one fixed list of cells, at the "
        "last measured epoch of each run: median over the seeds, then the smallest to the largest. Best fifth: the "
        f"20 % of the list with the best truth. Precision: share of the {BEST_CELLS} one-shot-best cells that are "
        f"among the {BEST_CELLS} truth-best. By chance: what unrelated rankings exceed in one case of 20. The list "
        "has cells from worst to best, so tau over all of it is larger than in a part."
    )
    return Table("one-shot", caption, header, [("", rows)], data)


def _statistic(row: pd.Series, name: str) -> Entry:
    if pd.isna(row[name]):
        return Entry(DASH)
    spread = f"{row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f}" if row["seeds"] > 1 else ""
    chance = {"kendall_best_fifth": row.get("chance_best_fifth", 0.0), "precision_at_10": BEST_CELLS / row["cells"]}
    return Entry(number(row[name]), spread, alarm=row[name] <= chance.get(name, 0.0))


def column_table(ends: pd.DataFrame, results: Results, order: list[str]) -> Table:
    """Return tau over all cells and within the best fifth against every truth column."""
    data = _in_order(ends, order)
    by_column = data.set_index(["variant", "column"])
    keys = [column.key for column in results.columns if column.key in set(data["column"])]
    rows = [
        [Entry(variant), *(_statistic(by_column.loc[(variant, key)], name) for key in keys for name in _TAUS)]
        for variant in data["variant"].unique()
    ]
    labels = {column.key: column.label for column in results.columns}
    caption = "Kendall's tau at the last measured epoch: median over the seeds, then the smallest to the largest."
    header = ["variant", *(name for _ in keys for name in _TAUS.values())]
    blocks = [("", 1), *((labels[key], len(_TAUS)) for key in keys)]
    return Table("one-shot-columns", caption, header, [("", rows)], data, blocks)


_TAUS = {"kendall": "all cells", "kendall_best_fifth": "best fifth"}


def course_table(courses: pd.DataFrame, results: Results, order: list[str]) -> Table:
    """Return tau over all cells at every measured epoch, a row a variant; the file holds all statistics and columns."""
    data = _in_order(courses, order)
    main = data[data["column"] == results.main.key].set_index(["variant", "epoch"])
    epochs = sorted(main.index.unique("epoch"))
    rows = [
        [
            Entry(variant),
            *(
                _statistic(main.loc[(variant, epoch)], "kendall") if (variant, epoch) in main.index else Entry(DASH)
                for epoch in epochs
            ),
        ]
        for variant in main.index.unique("variant")
    ]
    caption = (
        f"Kendall's tau between one-shot accuracy and truth ({results.main.label}) over all cells of the list: median "
        "over the seeds, then the smallest to the largest. The CSV file holds every statistic and truth column."
    )
    header = ["variant", *(f"epoch {epoch:.0f}" for epoch in epochs)]
    return Table("one-shot-epochs", caption, header, [("", rows)], data)


def _in_order(table: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    places = {variant: place for place, variant in enumerate(order)}
    return table.sort_values("variant", key=lambda names: names.map(places), kind="stable").reset_index(drop=True)
