"""The tables of the statistics."""

import math
from collections.abc import Iterable

import pandas as pd

from harness.board.compare import LEVEL
from harness.results.folder import Results, TruthColumn
from harness.statistics.estimates import (
    FloatArray,
)
from harness.statistics.significance import fewest_pairs, noise_floor
from reports import false_rates
from reports.analysis import summary
from reports.analysis.aggregate import aggregate_columns, aggregate_data
from reports.analysis.statistics import HIGHER, LOWER, column_statistics, versus
from reports.tables.table import DASH, Entry, Table, column_heading, interval_entry, mean_entry, number


def statistics_table(results: Results, column: TruthColumn, order: list[str]) -> Table:
    """Return the table of `column_statistics`."""
    data = column_statistics(results, column, order)
    groups = []
    for kind, heading in (("search", "Searches"), ("baseline", "Multi-trial")):
        rows = [_statistics_row(str(variant), row) for variant, row in data[data["kind"] == kind].iterrows()]
        if rows:
            groups.append((heading, rows))
    header = ["method", "mean ± sd", "median", "IQM", "min", "percentile", "score", "regret"]
    header += ["same cell", "above median"]
    caption = (
        f"{column_heading(column)}, percent; sd with ddof 1. IQM: mean without the lowest and highest quarter, with "
        "its 95 % bootstrap interval. Percentile: median over the runs of the share of all cells with a lower "
        f"accuracy. Score: 0 is the mean of all cells ({column.mean:.2f}), 1 the best ({column.best:.2f}); regret: "
        "points below the best; both of the mean. Same cell: runs that found the cell found most. Above median: runs "
        f"above the median of all cells ({column.median:.2f}). Both with the 95 % Wilson interval of the share."
    )
    return Table(f"statistics-{column.slug}", caption, header, groups, data.reset_index())


def _statistics_row(variant: str, row: pd.Series) -> list[Entry]:
    n = int(row["n"])
    if n == 0:
        return [Entry(variant), Entry(DASH, f"0 of {row['runs']} runs", alarm=True), *[Entry(DASH)] * 8]
    statistics = row.rename({name: f"x/{name}" for name in ("mean", "sd", "n")})
    return [
        Entry(variant),
        mean_entry(statistics, "x"),
        Entry(number(row["median"])),
        interval_entry(row, "iqm"),
        *(Entry(number(row[name])) for name in ("min", "percentile")),
        Entry(number(row["score"], 3)),
        Entry(number(row["regret"])),
        _share(row, "same_cell"),
        _share(row, "above"),
    ]


def _share(row: pd.Series, name: str) -> Entry:
    interval = f"[{row[f'{name}_low']:.2f}, {row[f'{name}_high']:.2f}]"
    return Entry(f"{row[name]:.0f} of {row['n']:.0f}", interval)


def versus_table(
    results: Results,
    column: TruthColumn,
    reference: str,
    role: str,
    order: list[str],
    candidates: Iterable[str] = (),
) -> Table | None:
    """Return the table of `versus`; None where there is nothing to compare. `role` is part of the file's name."""
    data = versus(results, column, reference, order, candidates)
    if data is None or data.empty:
        return None
    rows = [_versus_row(str(variant), row) for variant, row in data.iterrows()]
    header = ["method", f"than {reference}", "P", "difference", "wins / ties / losses"]
    header += ["p sign-flip", "p adjusted", "p Wilcoxon", "pairs needed"]
    floor = f"; noise floor {column.noise:.2f} points" if column.noise is not None else "; no noise floor known"
    chosen = role == "baseline"
    choice = f" and for the choice of {reference} by these runs" if chosen else ""
    trained = ""
    if data["training_noise"].notna().any():
        trained = (
            "; within training noise: smaller than what the training of the paired runs' cells allows, see the section "
            "on the noise"
        )
    caption = (
        f"Each method against {reference} on {column_heading(column)}, paired by seed. P: chance that a run of the "
        "method is higher than one of the reference, ties count half. Difference: mean over the pairs in points, with "
        f"its 95 % bootstrap interval{floor}{trained}. P adjusted: of the sign flips, for all methods of the "
        f"table{choice}; before it can fall below {LEVEL}, {fewest_pairs(LEVEL)} pairs are needed. "
        f"{false_rates.of_boards(false_rates.BASELINE if chosen else false_rates.REFERENCE)} Pairs needed: to find a "
        "true difference of this size in one test with power 0.8."
    )
    return Table(f"versus-{role}-{column.slug}", caption, header, [("", rows)], data.reset_index(), text_columns=2)


def _versus_row(variant: str, row: pd.Series) -> list[Entry]:
    unpaired = f", {row['unpaired']} unpaired" if row["unpaired"] else ""
    improvement = row.rename({"improvement_low": "p_low", "improvement_high": "p_high"})
    improvement["p"] = row["probability_of_improvement"]
    difference = row.rename({"mean_difference": "d", "low": "d_low", "high": "d_high"})
    needed = "∞" if row["pairs_needed"] == math.inf else number(row["pairs_needed"], 0)
    return [
        Entry(variant),
        Entry(row["verdict"], bold=row["verdict"] in (HIGHER, LOWER)),
        interval_entry(improvement, "p"),
        interval_entry(difference, "d"),
        Entry(f"{row['wins']} / {row['ties']} / {row['losses']}", f"n = {row['pairs']}{unpaired}"),
        *(_p_value(row[name]) for name in ("p_sign_flip", "p_adjusted", "p_wilcoxon")),
        Entry(needed),
    ]


def _p_value(value: float) -> Entry:
    return Entry("< 0.0001" if value < 0.0001 else number(value, 4))


NOISE_DIGITS = {"noise_floor": 2, "pairs": 0, "inside": 0}


def noise_table(results: Results) -> Table:
    """Return how many pairs of methods differ by less than the noise of the truth itself, a row per truth column."""
    table = summary.comparison(results)
    rows = []
    for column in results.columns:
        means = table[f"{column.key}/mean"].dropna()
        pairs = len(means) * (len(means) - 1) // 2
        inside = None
        if column.noise is not None and len(means):
            inside = int(noise_floor(means, column.noise)["inside"].sum())
        rows.append({"column": column.label, "noise_floor": column.noise, "pairs": pairs, "inside": inside})
    data = pd.DataFrame(rows).astype({"noise_floor": "float64", "inside": "Int64"})
    entries = [
        [Entry(row["column"]), *(Entry(number(row[name], digits)) for name, digits in NOISE_DIGITS.items())]
        for _, row in data.iterrows()
    ]
    caption = (
        "Noise floor: standard deviation in points of the accuracies of cells that compute the same function, "
        "measured on NAS-Bench-201; a dash where it was not measured. More seeds do not lower it. Inside: pairs of "
        "methods whose means differ by less."
    )
    header = ["truth column", "noise floor", "pairs of methods", "inside"]
    return Table("noise-floor", caption, header, [("", entries)], data)


def aggregate_table(results: Results, scored: dict[str, FloatArray]) -> Table:
    """Return the table of `aggregate_data`."""
    data = aggregate_data(scored)
    rows = [
        [
            Entry(str(variant)),
            Entry(f"{row['n']:.0f}"),
            interval_entry(row, "iqm", 3),
            Entry(number(row["mean"], 3)),
            interval_entry(row, "optimality_gap", 3),
        ]
        for variant, row in data.iterrows()
    ]
    columns = aggregate_columns(results)
    over = ", ".join(column.label for column in columns)
    alone = " There is only one, so this aggregates nothing." if len(columns) == 1 else ""
    caption = (
        f"Normalised score over {over}: 0 is the mean of all cells, 1 the best cell.{alone} IQM: mean without the "
        "lowest and highest quarter, over all runs and data sets together. Optimality gap: mean shortfall from 1. "
        "Brackets: 95 % bootstrap interval, stratified by the data set of the search; a run is drawn with its "
        "accuracies on all data sets, because they move together."
    )
    header = ["method", "runs", "IQM of the score", "mean score", "optimality gap"]
    return Table("aggregate", caption, header, [("", rows)], data.reset_index())


def few_seeds_table(values: pd.DataFrame, found: pd.DataFrame, results: Results) -> Table:
    """Return a row for every number of seeds."""
    rows = [
        [
            Entry(f"{k} of {values.shape[1]}"),
            Entry(f"{row['subsets']:,.0f}"),
            _percent(row["other_winner"]),
            _percent(row["winner_apart"]),
            interval_entry(row, "tau"),
            _percent(row["reversed"]),
            _percent(row["other_best"]),
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


def _percent(value: float) -> Entry:
    return Entry(DASH if pd.isna(value) else f"{100 * value:.0f} %")
