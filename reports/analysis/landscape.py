"""The truth of all cells of the space."""

import pandas as pd

from harness.results.folder import CostColumn, Results, TruthColumn
from harness.space.cell import OPERATIONS, SKIP
from harness.space.drawing import OPERATION_LABELS
from harness.statistics.pareto import best_within, pareto_front


def by_operation_count(space: pd.DataFrame, runs: pd.DataFrame, truth: str) -> pd.DataFrame:
    """Return how the truth of all cells depends on how often each operation stands in a cell.

    Columns: operation, count (edges, 0 to 6), cells, mean, and the percentiles p5, p25, p50, p75, p95 of the truth
    (percent), and runs: how many of `runs` found such a cell.
    """
    known = space.dropna(subset=[truth])
    parts = []
    for operation in OPERATIONS:
        grouped = known.groupby(f"count_{operation}")[truth]
        part = grouped.agg(cells="size", mean="mean")
        for percent in (5, 25, 50, 75, 95):
            part[f"p{percent}"] = grouped.quantile(percent / 100)
        part["runs"] = runs[f"count_{operation}"].value_counts()
        parts.append(part.rename_axis("count").reset_index().assign(operation=operation))
    table = pd.concat(parts, ignore_index=True).fillna({"runs": 0}).astype({"runs": int, "count": int})
    return table[["operation", "count", *[name for name in table if name not in ("operation", "count")]]]


def count_sentence(counts: pd.DataFrame, column: TruthColumn, operation: str = SKIP) -> str:
    """Say with how many edges of an operation the mean truth of all cells is highest and lowest."""
    own = counts[counts["operation"] == operation]
    best, worst = own.iloc[own["mean"].argmax()], own.iloc[own["mean"].argmin()]
    label = OPERATION_LABELS[operation]
    few = own[own["count"] <= 3]["mean"]
    return (
        f"Over all {own['cells'].sum():,} cells the mean {column.label} accuracy is highest with {best['count']} "
        f"{label} edges ({best['mean']:.2f} %) and lowest with {worst['count']} ({worst['mean']:.2f} %); from 0 to 3 "
        f"edges it moves within {few.max() - few.min():.2f} points."
    )


def shapes(space: pd.DataFrame, truth: str) -> pd.DataFrame:
    """Return, a row per depth and number of parameters: depth, parameters, cells and their mean truth (percent)."""
    grouped = space.dropna(subset=[truth]).groupby(["depth", "parameters"])[truth]
    return grouped.agg(cells="size", mean="mean").reset_index()


def found_cells(results: Results) -> pd.DataFrame:
    """Return the finished searches with a cell whose truth is known."""
    finished = results.finished
    return finished[finished["kind"] == "search"].dropna(subset=["cell_index", results.main.key])


def front(results: Results, cost: CostColumn) -> pd.DataFrame:
    """Return the cells that no other beats in cost and truth, from the cheapest; rows of `results.space`."""
    space = results.space
    return space.iloc[pareto_front(space[cost.key].to_numpy(float), space[results.main.key].to_numpy(float))]


def derived_costs(results: Results, cost: CostColumn) -> pd.DataFrame:
    """Return cost and truth of every derived cell: variant, seed, kind, rule, own, cell, cost, truth, below.

    `own`: whether the run returned this cell; another rule would have. `below`: how many points the truth lies below
    that of the best cell which costs no more; 0 on the front.
    """
    truth = results.main.key
    table = results.derived[["variant", "seed", "kind", "rule", "cell", cost.key, truth]]
    table = table.rename(columns={cost.key: "cost", truth: "truth"}).dropna(subset=["cost", "truth"])
    returned = results.finished[["variant", "seed", "cell"]].assign(own=True)
    table = table.merge(returned, on=["variant", "seed", "cell"], how="left")
    table["own"] = table["own"].eq(True)
    space = results.space
    budgets = table["cost"].to_numpy(float)
    best = best_within(space[cost.key].to_numpy(float), space[truth].to_numpy(float), budgets)
    return table.assign(below=best - table["truth"])


def by_variant(derived: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    """Return medians over the runs of each variant, of the cells that they returned: variant, n, cost, truth, below."""
    # Several rules may lead to the cell that a run returned.
    runs = derived[derived["own"]].drop_duplicates(["variant", "seed"]).groupby("variant")
    table = runs[["cost", "truth", "below"]].median()
    table.insert(0, "n", runs.size())
    return table.reindex([variant for variant in order if variant in table.index]).reset_index()


def front_sentence(front: pd.DataFrame, derived: pd.DataFrame, cost: CostColumn, column: TruthColumn) -> str:
    """Say how long the front is, what its ends cost, and how many runs ended on it."""
    runs = derived[derived["own"]].drop_duplicates(["variant", "seed"])
    on_it = int((runs["below"] <= 0).sum())
    cheap, dear = front.iloc[0], front.iloc[-1]
    ended = (
        f"Of {len(runs)} runs with a cell of known cost {on_it} ended as well as any cell that costs no more; the "
        f"median run is {runs['below'].median():.2f} points below."
        if len(runs)
        else "No run ended in a cell of known cost."
    )
    return (
        f"{len(front)} cells are on the front of {column.label} accuracy and {cost.label}: from "
        f"{cheap[cost.key]:.4g} {cost.unit} ({cheap[column.key]:.2f} %) to {dear[cost.key]:.4g} {cost.unit} "
        f"({dear[column.key]:.2f} %). {ended}"
    )
