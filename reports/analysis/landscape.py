"""The truth of all cells of the space."""

import pandas as pd

from harness.results.folder import Results, TruthColumn
from harness.space.cell import OPERATIONS, SKIP
from harness.space.drawing import OPERATION_LABELS


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
