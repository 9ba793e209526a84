"""The numbers of the main table."""

import pandas as pd

from harness.board.compare import told_apart
from harness.results.folder import Results, TruthColumn
from harness.statistics.estimates import DECIMALS
from harness.statistics.step_down import adjusted_p_values
from reports.analysis import summary

BEST, TIED = "best", "not distinguishable"
"""Marks of `against_best`."""


def comparison_data(results: Results, order: list[str]) -> pd.DataFrame:
    """Return the numbers of the main table: a row per method, landmark, and one for the average random cell.

    Columns: group, variant, those of `summary.comparison`, of every truth column those of `against_best`, and
    `seconds/mean`, `seconds/sd` (searches), `charged_seconds/mean`, `charged_seconds/sd` (multi-trial), seconds.
    """
    methods = summary.comparison(results).loc[order]
    methods.insert(0, "group", [_group(row["kind"], row["strategy"]) for _, row in methods.iterrows()])
    for column in results.columns:
        methods = methods.join(against_best(results, column).add_prefix(f"{column.key}/"))
    methods = methods.join(_costs(results, order)).rename_axis("variant").reset_index()
    rows = [methods, _landmark_data(results), _random_cell_data(results)]
    return pd.concat(rows, ignore_index=True)[methods.columns]


def _group(kind: str, strategy: object) -> str:
    if kind != "search":
        return "Multi-trial"
    if not isinstance(strategy, str):
        return "Searches"
    return "Differentiable" if strategy == "gradient" else "Weight-sharing controls"


GROUPS = ("Differentiable", "Searches", "Weight-sharing controls", "Multi-trial", "No search")
"""In the order of the table. `Searches` are those without a strategy on record, such as runs that never started."""


def against_best(results: Results, column: TruthColumn) -> pd.DataFrame:
    """Return `marks` of all methods with a result in one truth column."""
    known = results.finished.dropna(subset=[column.key])
    runs = known.pivot(index="seed", columns="variant", values=column.key)
    return marks(runs[list(known["variant"].unique())], column.noise)


def marks(runs: pd.DataFrame, noise: float | None) -> pd.DataFrame:
    """Return how each method compares with the one of the highest mean.

    Args:
        runs: true accuracies in percent, [seeds, methods]; NaN where a method has no result.
        noise: noise floor in points.

    Returns:
        Index: the methods. Columns:

        - mark: `BEST` for the highest mean and its equals, `TIED` where the board cannot tell the method from the best,
          empty where it can;
        - gap: mean of the best minus mean, points;
        - best_pairs: seeds that both have;
        - best_p: of the pairs, adjusted for all methods and for the choice of the best by these runs, see
          `adjusted_p_values`; NaN without a pair.
    """
    table = pd.DataFrame(index=runs.columns, columns=["mark", "gap", "best_pairs", "best_p"])
    if runs.empty:
        return table
    means = runs.mean()
    best = str(means.idxmax())
    table["gap"] = (means[best] - means).round(DECIMALS)
    table["mark"] = table["gap"].eq(0).map({True: BEST, False: TIED})
    beaten_by = runs.rsub(runs[best], axis=0).round(DECIMALS)
    behind = table["gap"] > 0
    table["best_pairs"] = beaten_by.notna().sum()[behind].astype("float64")
    table["best_p"] = adjusted_p_values(runs, best, runs.columns)[behind]
    for name in table.index[behind]:
        # Unpaired seeds can make the mean the lowest of a method that is higher in the pairs: that is no defeat.
        worse = beaten_by[name].mean() > 0
        if worse and told_apart(table["gap"][name], table["best_p"][name], noise):
            table.loc[name, "mark"] = ""
    return table


def _costs(results: Results, order: list[str]) -> pd.DataFrame:
    costs = summary.costs(results, order)
    wanted = [f"{name}/{statistic}" for name in ("seconds", "charged_seconds") for statistic in ("mean", "sd")]
    return costs[wanted]


def _landmark_data(results: Results) -> pd.DataFrame:
    marks = summary.landmarks(results)
    rows = pd.DataFrame({"group": "No search", "variant": marks["name"], "kind": "landmark"})
    for column in results.columns:
        rows[f"{column.key}/mean"] = marks[column.key]
        rows[f"{column.key}/percentile"] = marks[column.percentile_key]
    return rows


def _random_cell_data(results: Results) -> pd.DataFrame:
    row: dict[str, object] = {"group": "No search", "variant": "random cell", "kind": "all cells"}
    for column in results.columns:
        row |= {f"{column.key}/{name}": getattr(column, name) for name in ("mean", "sd", "median")}
        row |= {f"{column.key}/n": results.cell_count}
    return pd.DataFrame([row])
