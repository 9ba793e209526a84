"""The report's numbers: pure functions from results to data frames and findings."""

from dataclasses import dataclass

import pandas as pd

from harness.cell import ALL_CONV3
from reports.results import FINISHED, Results, TruthColumn

STATUSES = ("done", "stopped", "diverged", "failed", "missing")
STATISTICS = ("n", "mean", "sd", "median", "min", "max", "percentile")
SIGN_TEST_SEEDS = 6
"""Fewest pairs with which an exact two-sided sign test can fall below 0.05: 2 * 0.5**6 = 0.031."""


def comparison(results: Results) -> pd.DataFrame:
    """Return one row per variant: how its runs ended, and statistics of the truth of its finished runs.

    Index: variant, searches before baselines, each by falling mean of the main truth column, variants without a
    result last. Columns: kind, runs, one per status, distinct_cells (canonical forms), and for every truth column
    `<column>/<statistic>` with the statistics of `STATISTICS`. `sd` has ddof 1; `percentile` is the median over the
    runs of the percentile among all cells.
    """
    runs = results.runs
    grouped = runs.groupby("variant", sort=False)
    table = pd.DataFrame({"kind": grouped["kind"].first(), "runs": grouped.size()})
    for status in STATUSES:
        table[status] = runs["status"].eq(status).groupby(runs["variant"], sort=False).sum()
    finished = results.finished.groupby("variant", sort=False)
    table["distinct_cells"] = finished["canonical"].nunique()
    for column in results.columns:
        statistics = finished[column.key].agg(["count", "mean", "std", "median", "min", "max"])
        statistics.columns = pd.Index(STATISTICS[:-1])
        statistics["percentile"] = finished[column.percentile_key].median()
        table = table.join(statistics.add_prefix(f"{column.key}/"))
    counts = ["distinct_cells", *(f"{column.key}/n" for column in results.columns)]
    table[counts] = table[counts].fillna(0).astype(int)
    kind_order = table["kind"].ne("search").astype(int).rename("order")
    return (
        table.assign(order=kind_order)
        .sort_values(["order", f"{results.main.key}/mean"], ascending=[True, False], kind="stable")
        .drop(columns="order")
    )


def landmarks(results: Results, best_of: TruthColumn | None = None) -> pd.DataFrame:
    """Return the landmarks by falling truth of the main column, with readable names.

    `best_of` leaves out the best cells of all columns but this one, and sorts by it.
    """
    labels = {column.key: column.label for column in results.columns}
    # Without percentile columns the table shows a dash.
    percentile_keys = [column.percentile_key for column in results.columns]
    table = results.landmarks.reindex(columns=results.landmarks.columns.union(percentile_keys))
    prefix = "best of "
    if best_of is not None:
        others = table["name"].str.startswith(prefix) & (table["name"] != prefix + best_of.key)
        table = table[~others].copy()
    table["name"] = [
        prefix + labels.get(name.removeprefix(prefix), name.removeprefix(prefix)) if name.startswith(prefix) else name
        for name in table["name"]
    ]
    return table.sort_values((best_of or results.main).key, ascending=False, kind="stable")


def found_cells(results: Results) -> pd.DataFrame:
    """Return one row per distinct cell that finished runs ended in, the most found first.

    Columns: cell, found (runs), by (text: how often each variant found it), canonical, depth, width, parameters,
    flops and the truth columns.
    """
    finished = results.finished.dropna(subset=["cell"])
    kept = ["canonical", "depth", "width", "parameters", "flops", *(column.key for column in results.columns)]
    grouped = finished.groupby("cell", sort=False)
    table = grouped[kept].first()
    table.insert(0, "found", grouped.size())
    table.insert(1, "by", grouped["variant"].agg(_found_by))
    order = ["found", results.main.key]
    return table.reset_index().sort_values(order, ascending=False, kind="stable", ignore_index=True)


def _found_by(variants: pd.Series) -> str:
    return ", ".join(f"{variant} ×{count}" for variant, count in variants.value_counts().items())


def costs(results: Results, order: list[str]) -> pd.DataFrame:
    """Return mean and sd (ddof 1) of what the finished runs of each variant cost.

    Columns: n, `seconds/mean`, `seconds/sd`, the same for `forward_backward_passes` and `peak_memory_bytes`, and
    `charged_seconds/mean`: training time that a baseline was charged for its evaluations, NaN for searches.
    """
    finished = results.finished
    charged = results.epochs.groupby(["variant", "seed"])["cost_seconds"].max().to_dict()
    keys = zip(finished["variant"], finished["seed"], strict=True)
    finished = finished.assign(charged_seconds=[charged.get(key, float("nan")) for key in keys])
    grouped = finished.groupby("variant", sort=False)
    table = pd.DataFrame({"n": grouped.size()})
    for name in ("seconds", "forward_backward_passes", "peak_memory_bytes", "charged_seconds"):
        table[f"{name}/mean"] = grouped[name].mean()
        table[f"{name}/sd"] = grouped[name].std()
    return table.reindex([variant for variant in order if variant in table.index])


def without_result(results: Results) -> pd.DataFrame:
    """Return the runs that gave no result: variant, seed, status, reason."""
    runs = results.runs
    return runs.loc[~runs["status"].isin(FINISHED), ["variant", "seed", "status", "reason"]]


@dataclass(frozen=True)
class Finding:
    """One statement of the report's first screen."""

    title: str
    value: str
    text: str
    alarm: bool = False


def findings(results: Results, table: pd.DataFrame) -> list[Finding]:
    """Return what the board shows, as far as counting goes: no statement rests on an untested difference."""
    found = [_highest(results, table), _against_no_search(results, table), _against_baselines(results, table)]
    found += [_below_random(results), _completeness(results)]
    return [finding for finding in found if finding is not None]


def _ranked(results: Results, table: pd.DataFrame, kind: str) -> pd.Series:
    of_kind = table[table["kind"] == kind]
    return of_kind[f"{results.main.key}/mean"].dropna()


def _with_spread(results: Results, table: pd.DataFrame, variant: str) -> str:
    row = table.loc[variant]
    mean, sd, n = (row[f"{results.main.key}/{name}"] for name in ("mean", "sd", "n"))
    return f"{mean:.2f}{'' if pd.isna(sd) else f' ± {sd:.2f}'} % (n = {n})"


def _highest(results: Results, table: pd.DataFrame) -> Finding | None:
    means = _ranked(results, table, "search")
    if means.empty:
        return None
    leader = str(means.index[0])
    text = f"{_with_spread(results, table, leader)}, {results.main.label}."
    noise = results.main.noise
    if len(means) > 1:
        gap = means.iloc[0] - means.iloc[1]
        text += f" {gap:.2f} points above {means.index[1]}"
        if noise is not None and gap < noise:
            tied = int((means.iloc[0] - means.iloc[1:] < noise).sum())
            text += f": less than the noise floor of {noise:.2f}, so {tied + 1} variants share the lead."
        else:
            text += "."
    seeds = int(table[f"{results.main.key}/n"].loc[leader])
    if len(means) > 1 and seeds < SIGN_TEST_SEEDS:
        text += f" n = {seeds} is too few for a sign test at 5 % ({SIGN_TEST_SEEDS} needed)."
    return Finding("Highest mean", leader, text)


def _against_no_search(results: Results, table: pd.DataFrame) -> Finding | None:
    means = _ranked(results, table, "search")
    marks = results.landmarks.loc[results.landmarks["cell"] == str(ALL_CONV3), results.main.key].dropna()
    if means.empty or marks.empty:
        return None
    better = int((means > marks.iloc[0]).sum())
    text = (
        f"search variants have a mean above the cell of 3×3 convolutions alone ({marks.iloc[0]:.2f} %), "
        "which takes no search."
    )
    return Finding("Better than no search", f"{better} of {len(means)}", text, alarm=better == 0)


def _against_baselines(results: Results, table: pd.DataFrame) -> Finding | None:
    means, baselines = _ranked(results, table, "search"), _ranked(results, table, "baseline")
    if baselines.empty:
        return None
    best = str(baselines.index[0])
    if means.empty:
        return Finding("Best baseline", best, f"{_with_spread(results, table, best)}, {results.main.label}.")
    better = int((means > baselines.iloc[0]).sum())
    text = f"search variants have a mean above the best baseline, {best}: {_with_spread(results, table, best)}."
    return Finding("Better than the baselines", f"{better} of {len(means)}", text, alarm=better == 0)


def _below_random(results: Results) -> Finding | None:
    searches = results.finished[results.finished["kind"] == "search"].dropna(subset=[results.main.key])
    if searches.empty:
        return None
    worse = searches[searches[results.main.key] < results.main.median]
    text = f"finished search runs end in a cell below the median of all cells ({results.main.median:.2f} %)"
    counts = worse.groupby("variant", sort=False).size().sort_values(ascending=False)
    named = [f"{variant} ({count})" for variant, count in counts.iloc[:4].items()]
    if len(counts) > 4:
        named.append(f"{len(counts) - 4} more variants")
    text += f": {', '.join(named)}." if named else "."
    return Finding("Worse than half of all cells", f"{len(worse)} of {len(searches)}", text, alarm=len(worse) > 0)


def _completeness(results: Results) -> Finding:
    total, finished = len(results.runs), len(results.finished)
    counts = results.runs["status"].value_counts()
    lost = ", ".join(f"{counts[status]} {status}" for status in STATUSES if status in counts and status not in FINISHED)
    text = "runs of the board have a result." + (f" Without one: {lost}." if lost else "")
    return Finding("Complete", f"{finished} of {total}", text, alarm=bool(lost))
