"""The report's numbers: pure functions from results to data frames."""

import pandas as pd

from harness.results.folder import FINISHED, Results, TruthColumn
from harness.truth.columns import spread_key
from harness.truth.table import REPORT_COLUMNS

STATUSES = ("done", "stopped", "diverged", "failed", "missing")
STATISTICS = ("n", "mean", "sd", "median", "min", "max", "percentile")
SIGN_TEST_SEEDS = 6
"""Fewest pairs with which an exact two-sided sign test can fall below 0.05: 2 * 0.5**6 = 0.031."""


def comparison(results: Results) -> pd.DataFrame:
    """Return one row per variant: how its runs ended, and statistics of the truth of its finished runs.

    Index: variant, searches before baselines, each by falling mean of the main truth column, variants without a
    result last. Columns: kind, strategy (missing where no run has a record), runs, one per status, distinct_cells
    (canonical forms), and for every truth column `<column>/<statistic>` with the statistics of `STATISTICS`. `sd` has
    ddof 1; `percentile` is the median over the runs of the percentile among all cells.
    """
    runs = results.runs
    grouped = runs.groupby("variant", sort=False)
    identity = {name: grouped[name].first() for name in ("kind", "strategy")}
    table = pd.DataFrame({**identity, "runs": grouped.size()})
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


def paper_order(results: Results) -> list[TruthColumn]:
    """Return the truth columns as the papers order them: data set by data set, valid before test."""
    labels = list(REPORT_COLUMNS)
    return sorted(results.columns, key=lambda column: labels.index(column.label) if column.label in labels else 99)


def landmarks(results: Results, best_of: TruthColumn | None = None) -> pd.DataFrame:
    """Return the landmarks by falling truth of the main column.

    `best_of` leaves out the best cells of all columns but this one, and sorts by it.
    """
    # Without percentile columns the table shows a dash.
    percentile_keys = [column.percentile_key for column in results.columns]
    table = results.landmarks.reindex(columns=results.landmarks.columns.union(percentile_keys))
    if best_of is not None:
        best = "best of "
        table = table[~table["name"].str.startswith(best) | (table["name"] == best + best_of.label)]
    return table.sort_values((best_of or results.main).key, ascending=False, kind="stable")


def found_cells(results: Results) -> pd.DataFrame:
    """Return one row per distinct cell that finished runs ended in, the most found first.

    Columns: cell, found (runs), by (text: how often each variant found it), canonical, depth, width, parameters,
    flops, the truth columns, and for each of them how many trainings it is the mean of, and their sd.
    """
    finished = results.finished.dropna(subset=["cell"])
    kept = ["canonical", "depth", "width", "parameters", "flops", *(column.key for column in results.columns)]
    kept += [spread_key(name, column.key) for column in results.columns for name in ("trainings", "training_sd")]
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
    `charged_seconds/mean`: training time that a baseline was charged for its evaluations, NaN for searches; and
    `diagnostics_share/mean`: time of the diagnostics as a share of the time of search and diagnostics, percent.
    """
    finished = results.finished
    share = 100 * finished["diagnostics_seconds"] / (finished["seconds"] + finished["diagnostics_seconds"])
    charged = results.epochs.groupby(["variant", "seed"])["cost_seconds"].max().to_dict()
    keys = zip(finished["variant"], finished["seed"], strict=True)
    finished = finished.assign(
        charged_seconds=[charged.get(key, float("nan")) for key in keys], diagnostics_share=share
    )
    grouped = finished.groupby("variant", sort=False)
    table = pd.DataFrame({"n": grouped.size()})
    for name in ("seconds", "forward_backward_passes", "peak_memory_bytes", "charged_seconds", "diagnostics_share"):
        table[f"{name}/mean"] = grouped[name].mean()
        table[f"{name}/sd"] = grouped[name].std()
    return table.reindex([variant for variant in order if variant in table.index])


def without_result(results: Results) -> pd.DataFrame:
    """Return the runs that gave no result: variant, seed, status, reason."""
    runs = results.runs
    return runs.loc[~runs["status"].isin(FINISHED), ["variant", "seed", "status", "reason"]]
