"""Does the accuracy under shared weights rank cells as training each alone does? The one-shot rank correlation."""

import math
from statistics import NormalDist

import pandas as pd

from harness.settings.protocol import Board
from harness.statistics.rank_correlation import BEST_CELLS, BEST_SHARE
from reports.figures import ranking as ranking_figures
from reports.figures import style
from reports.results import Results
from reports.section import Block, Figures, Folded, Section, Text
from reports.tables.table import DASH, Entry, Table, number

STATISTICS = {
    "kendall": "Kendall's tau",
    "spearman": "Spearman's rho",
    "kendall_best_fifth": "tau, best fifth",
    "precision_at_10": f"precision at {BEST_CELLS}",
}
"""Column of the rank correlations and how it is called."""


def over_epochs(correlations: pd.DataFrame) -> pd.DataFrame:
    """Return a row a variant, measured epoch and truth column: seeds, cells, and `<statistic>`, `_low`, `_high`.

    The statistic is the median over the seeds, low and high the smallest and the largest; NaN where none is defined.
    """
    return _summary(correlations, ["variant", "epoch", "column"])


def at_the_end(correlations: pd.DataFrame) -> pd.DataFrame:
    """Return the same of each run's last measurement: a row a variant and truth column, `epoch` is the median.

    chance_best_fifth: what tau within the best fifth exceeds in one of 20 rankings that have nothing to do with truth.
    """
    last = _last(correlations)
    table = _summary(last, ["variant", "column"])
    table["epoch"] = last.groupby(["variant", "column"], sort=False)["epoch"].median().to_numpy()
    return table.assign(chance_best_fifth=[chance_tau(math.ceil(BEST_SHARE * cells)) for cells in table["cells"]])


def chance_tau(cells: int) -> float:
    """Return the 95 % point of Kendall's tau of two unrelated rankings, by its normal approximation; NaN for one cell.

    Its variance without ties is 2 (2n + 5) / (9n (n - 1)). Kendall, A New Measure of Rank Correlation, 1938.
    """
    if cells < 2:
        return math.nan
    return NormalDist().inv_cdf(0.95) * math.sqrt(2 * (2 * cells + 5) / (9 * cells * (cells - 1)))


def _last(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["epoch"] == table.groupby(["variant", "seed"])["epoch"].transform("max")]


def _summary(correlations: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    grouped = correlations.groupby(keys, sort=False)
    table = pd.DataFrame({"seeds": grouped["seed"].nunique(), "cells": grouped["cells"].median()})
    for name in STATISTICS:
        table[name] = grouped[name].median()
        table[f"{name}_low"], table[f"{name}_high"] = grouped[name].min(), grouped[name].max()
    return table.reset_index()


def last_accuracies(one_shot: pd.DataFrame, truth: str) -> pd.DataFrame:
    """Return a row a variant and cell: accuracy, truth, seeds, best_fifth (whether it is of the 20 % of best truth).

    The accuracy, percent, is the median over the seeds' last measurements.
    """
    grouped = _last(one_shot).groupby(["variant", "cell_index"], sort=False)
    table = grouped.agg(accuracy=("accuracy", "median"), truth=(truth, "first"), seeds=("seed", "nunique"))
    table = table.reset_index().dropna(subset=["accuracy", "truth"])
    places = table.groupby("variant")["truth"].rank(ascending=False, method="min")
    return table.assign(best_fifth=places <= (BEST_SHARE * table.groupby("variant")["truth"].transform("size")))


# The section


def section(results: Results, board: Board, order: list[str]) -> Section | None:
    """Return the section, None where no search measured one-shot accuracies."""
    correlations = results.rank_correlation
    if correlations.empty or correlations["column"].ne(results.main.key).all():
        return None
    ends, courses = at_the_end(correlations), over_epochs(correlations)
    main = ends[ends["column"] == results.main.key]
    blocks: list[Block] = [Text(" ".join(sentences(main, courses[courses["column"] == results.main.key])))]
    blocks.append(_course_figure(courses, results, order))
    blocks.append(end_table(main, results, order))
    blocks.append(_scatter(results, order))
    if len(results.columns) > 1:
        blocks.append(Folded("Against every truth column", [column_table(ends, results, order)]))
    blocks.append(Folded("At every measured epoch", [course_table(courses, results, order)]))
    title = "Do shared weights rank cells? One-shot accuracy against truth"
    return Section("one-shot", title, "One-shot", blocks)


def sentences(main: pd.DataFrame, courses: pd.DataFrame) -> list[str]:
    """Return what the table shows; both of the main truth column, `main` at the end, `courses` over the epochs."""
    defined = main.dropna(subset=["kendall"])
    if defined.empty:
        return ["Under the shared weights all measured cells are equally accurate, so they rank nothing."]
    found = [
        f"Over the whole list of {main['cells'].max():.0f} cells, a variant's last measurement has a median tau "
        f"{_between(defined['kendall'])}. But a search has to tell the best cells from good ones, not from bad ones."
    ]
    best = main.dropna(subset=["kendall_best_fifth", "chance_best_fifth"])
    if len(best):
        chance = best["chance_best_fifth"].max()
        useless = int((best["kendall_best_fifth"] <= best["chance_best_fifth"]).sum())
        found.append(
            f"Within the fifth with the best truth the median is {_between(best['kendall_best_fifth'], '')}. Unrelated "
            f"rankings of so few cells exceed {chance:.2f} in one case of 20; the median of {useless} of {len(best)} "
            "variants does not."
        )
    hits = main.dropna(subset=["precision_at_10"])
    if len(hits):
        found.append(
            f"The share of the {BEST_CELLS} cells that the shared weights put first which are among the {BEST_CELLS} "
            f"best has a median {_between(hits['precision_at_10'])}; chance is {BEST_CELLS / hits['cells'].max():.2f}."
        )
    return [*found, *_change(courses)]


def _between(values: pd.Series, preposition: str = "of ") -> str:
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return f"{preposition}{low}" if low == high else f"between {low} and {high}"


def _change(courses: pd.DataFrame) -> list[str]:
    by_epoch = courses.dropna(subset=["kendall"]).sort_values("epoch").groupby("variant")["kendall"]
    several = by_epoch.agg(["first", "last", "size"]).query("size > 1")
    if several.empty:
        return []
    grew = int((several["last"] > several["first"]).sum())
    return [
        f"From the first to the last measured epoch, tau over all cells grows in {grew} of {len(several)} variants."
    ]


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


def _course_figure(courses: pd.DataFrame, results: Results, order: list[str]) -> Figures:
    title = f"One-shot rank correlation over the epochs: {results.main.label}"
    own = courses[courses["column"] == results.main.key]
    picture = style.Picture("one-shot-epochs", title, ranking_figures.over_epochs, own, order, results.main.label)
    caption = (
        "Kendall's tau between the accuracy of cells under the shared weights and their truth, over the epochs of the "
        "search: median over the seeds, band from the smallest to the largest."
    )
    return Figures([("", picture)], caption)


def _scatter(results: Results, order: list[str]) -> Figures:
    cells = last_accuracies(results.one_shot, results.main.key)
    title = f"One-shot accuracy against truth: {results.main.label}"
    picture = style.Picture("one-shot-scatter", title, ranking_figures.scatter, cells, order, results.main)
    caption = (
        "A point a cell of the list: its accuracy under the shared weights at the last measured epoch, median over the "
        "seeds, against its truth. What matters is whether the points of the best fifth still rise to the right."
    )
    return Figures([("", picture)], caption)
