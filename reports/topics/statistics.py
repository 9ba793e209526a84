"""The statistics of the comparison: every method on every truth column, and against what it has to beat."""

import math
from collections.abc import Callable

import pandas as pd

from harness.board.compare import LEVEL, told_apart
from harness.settings.protocol import Board
from harness.statistics.estimates import (
    bootstrap_interval,
    interquartile_mean,
    normalised_score,
    pooled,
    proportion_interval,
)
from harness.statistics.significance import compare_with, fewest_pairs, noise_floor
from reports.analysis import aggregate, summary
from reports.figures import style
from reports.results import Results, TruthColumn
from reports.section import Block, Figures, Folded, Section, Text
from reports.tables.table import DASH, Entry, Table, column_heading, interval_entry, mean_entry, number

HIGHER, LOWER, UNDECIDED = "higher", "lower", "not told apart"
INSIDE, TOO_FEW, EQUAL, NO_PAIR = "within the noise floor", "too few pairs", "equal", "no pair"
"""The verdicts of `versus`."""


def section(results: Results, board: Board, order: list[str]) -> Section | None:
    """Return the statistics; nothing where no run has a result."""
    if results.finished[[column.key for column in results.columns]].isna().all(axis=None):
        return None
    blocks: list[Block] = [
        Text(
            "Results of searches are few and often of two kinds, collapsed or not, so no interval here assumes a "
            "normal distribution, and the chance that a run of one method beats a run of another, P, comes before any "
            "p-value. docs/statistics.md explains each number."
        ),
        *_aggregate_blocks(results, board, order),
        *_per_column(results, lambda column: statistics_table(results, column, order)),
        *_constant_runs(results, order),
    ]
    blocks += _versus_blocks(results, board.reference, "reference", order)
    baseline = best_baseline(results)
    if baseline is None:
        blocks.append(Text("No multi-trial baseline has a result to compare with."))
    elif baseline != board.reference:
        blocks += _versus_blocks(results, baseline, "baseline", order)
    blocks.append(noise_table(results))
    return Section("statistics", "Statistics of the comparison", "Statistics", blocks)


def _per_column(results: Results, table: Callable[[TruthColumn], Table | None]) -> list[Block]:
    """Return the table of the main column in the open, those of the others folded."""
    blocks: list[Block] = []
    for column in results.columns:
        made = table(column)
        if made is not None:
            blocks.append(made if column == results.main else Folded(f"The same on {column.label}", [made]))
    return blocks


def _aggregate_blocks(results: Results, board: Board, order: list[str]) -> list[Block]:
    scored = aggregate.scores(results, order)
    if not scored:
        return []
    baselines = set(results.runs.loc[results.runs["kind"] == "baseline", "variant"])
    title = "Performance profiles: share of runs above each normalised score"
    picture = style.Picture("performance-profiles", title, aggregate.draw_profiles, scored, baselines, board.reference)
    caption = (
        "The higher and further right a line, the better. A line that starts below 1 at the left has runs that are "
        "worse than the axis shows. Shade: pointwise 95 % bootstrap band; none where the runs do not differ."
    )
    return [aggregate.aggregate_table(results, scored), Figures([("", picture)], caption)]


# Every method on one column


def column_statistics(results: Results, column: TruthColumn, order: list[str]) -> pd.DataFrame:
    """Return the statistics of each method on one truth column, index variant in the order given.

    Columns: kind, runs, n, mean, sd (ddof 1), median, min, percentile, iqm, iqm_low, iqm_high, distinct_cells,
    same_cell (runs that found the cell found most, by canonical form), same_cell_low, same_cell_high (Wilson, shares),
    score, regret (of the mean), above (runs above the median of all cells), above_low, above_high (Wilson, shares).
    Without a result all but the first three are NaN.
    """
    known = results.finished.dropna(subset=[column.key])
    groups = dict(iter(known.groupby("variant", sort=False)))
    rows = {}
    for variant, runs in results.runs.groupby("variant", sort=False):
        own = groups.get(variant)
        row = {"kind": runs["kind"].iloc[0], "runs": len(runs), "n": 0 if own is None else len(own)}
        rows[variant] = row | ({} if own is None else _statistics(own, column))
    return pd.DataFrame.from_dict(rows, orient="index").reindex(order).rename_axis("variant")


def _statistics(own: pd.DataFrame, column: TruthColumn) -> dict[str, float]:
    values = own[column.key]
    iqm = bootstrap_interval([values], pooled(interquartile_mean))
    most = int(own["canonical"].value_counts().max())
    same = proportion_interval(most, len(own))
    above = proportion_interval(int((values > column.median).sum()), len(own))
    scored = column.best > column.mean
    return {
        "mean": values.mean(), "sd": values.std(), "median": values.median(), "min": values.min(),
        "percentile": own[column.percentile_key].median(),
        "iqm": iqm.estimate, "iqm_low": iqm.low, "iqm_high": iqm.high,
        "distinct_cells": own["canonical"].nunique(),
        "same_cell": most, "same_cell_low": same.low, "same_cell_high": same.high,
        "score": float(normalised_score(values.mean(), column.mean, column.best)) if scored else math.nan,
        "regret": column.best - values.mean(),
        "above": (values > column.median).sum(), "above_low": above.low, "above_high": above.high,
    }  # fmt: skip


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


def _constant_runs(results: Results, order: list[str]) -> list[Block]:
    data = column_statistics(results, results.main, order)
    constant = data[(data["n"] > 1) & (data["same_cell"] == data["n"])]
    if constant.empty:
        return []
    named = ", ".join(
        f"{variant} ({row['n']:.0f} of {row['n']:.0f}; [{row['same_cell_low']:.2f}, {row['same_cell_high']:.2f}])"
        for variant, row in constant.iterrows()
    )
    return [
        Text(
            f"All runs found the same cell: {named}. Resampling equal runs gives an interval without width, which is "
            "no proof that the next run finds the cell too: the brackets hold the 95 % interval of the chance that it "
            "does."
        )
    ]


# Against a reference


def best_baseline(results: Results) -> str | None:
    """Return the multi-trial baseline with the highest mean in the main column; None where none has a result."""
    table = summary.comparison(results)
    means = table.loc[table["kind"] == "baseline", f"{results.main.key}/mean"].dropna()
    return None if means.empty else str(means.idxmax())


def versus(results: Results, column: TruthColumn, reference: str, order: list[str]) -> pd.DataFrame | None:
    """Return `compare_with` of all other methods, with a column verdict; None where the reference has no result."""
    known = results.finished.dropna(subset=[column.key])
    if reference not in set(known["variant"]):
        return None
    data = compare_with(known, column.key, reference)
    data = data.reindex([variant for variant in order if variant in data.index])
    tested = data[data["pairs"] > 0]
    silent = len(tested) > 0 and tested["pairs"].max() < fewest_pairs(LEVEL, len(tested))
    return data.assign(verdict=[_verdict(row, column.noise, silent) for _, row in data.iterrows()])


def _verdict(row: pd.Series, noise: float | None, silent: bool) -> str:
    difference = row["mean_difference"]
    if row["pairs"] == 0:
        return NO_PAIR
    if row["ties"] == row["pairs"]:
        return EQUAL
    if abs(difference) < (noise or 0.0):
        return INSIDE
    if silent or row["pairs"] < fewest_pairs(LEVEL):
        return TOO_FEW
    if told_apart(difference, row["p_holm"], noise):
        return HIGHER if difference > 0 else LOWER
    return UNDECIDED


def _versus_blocks(results: Results, reference: str, role: str, order: list[str]) -> list[Block]:
    name = "the best multi-trial baseline" if role == "baseline" else "the reference"
    data = versus(results, results.main, reference, order)
    if data is None:
        return [Text(f"No comparison with {name}, {reference}: none of its runs has a result.")]
    if data.empty:
        return [Text(f"No comparison with {name}, {reference}: no other method has a result.")]
    counts = data["verdict"].value_counts()
    listed = "; ".join(f"{verdict}: {counts[verdict]}" for verdict in VERDICTS if verdict in counts)
    methods = "1 method" if len(data) == 1 else f"{len(data)} methods"
    sentence = f"{methods} against {name}, {reference}, on {results.main.label}: {listed}."
    return [Text(sentence), *_per_column(results, lambda column: versus_table(results, column, reference, role, order))]


VERDICTS = (HIGHER, LOWER, UNDECIDED, INSIDE, TOO_FEW, EQUAL, NO_PAIR)


def versus_table(results: Results, column: TruthColumn, reference: str, role: str, order: list[str]) -> Table | None:
    """Return the table of `versus`; None where there is nothing to compare. `role` is part of the file's name."""
    data = versus(results, column, reference, order)
    if data is None or data.empty:
        return None
    rows = [_versus_row(str(variant), row) for variant, row in data.iterrows()]
    header = ["method", f"than {reference}", "P", "difference", "wins / ties / losses"]
    header += ["p sign-flip", "p Holm", "p Wilcoxon", "pairs needed"]
    floor = f"; noise floor {column.noise:.2f} points" if column.noise is not None else "; no noise floor known"
    needed = fewest_pairs(LEVEL, max(1, int((data["pairs"] > 0).sum())))
    caption = (
        f"Each method against {reference} on {column_heading(column)}, paired by seed. P: chance that a run of the "
        "method is higher than one of the reference, ties count half. Difference: mean over the pairs in points, with "
        f"its 95 % bootstrap interval{floor}. Holm corrects the sign-flip test over the table; before one of its "
        f"p-values can fall below {LEVEL}, {needed} pairs are needed. Pairs needed: to find a true difference of this "
        "size in one test with power 0.8."
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
        *(_p_value(row[name]) for name in ("p_sign_flip", "p_holm", "p_wilcoxon")),
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
