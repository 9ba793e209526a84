"""The numbers of the main table."""

import pandas as pd

from harness.board.compare import told_apart
from harness.statistics.significance import DECIMALS, holm, pair_by_seed, sign_flip_test
from reports.analysis import summary
from reports.results import Results, TruthColumn

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
    """Return how each method compares with the one of the highest mean, in one truth column.

    Index: variant, those with a result. Columns:

    - mark: `BEST` for the highest mean and its equals, `TIED` where the board cannot tell the method from the best,
      empty where it can;
    - gap: mean of the best minus mean, points;
    - best_pairs: seeds that both have;
    - best_p: sign-flip test on the pairs, Holm-corrected over the column; NaN without a pair.
    """
    known = results.finished.dropna(subset=[column.key])
    series = {str(name): group.set_index("seed")[column.key] for name, group in known.groupby("variant", sort=False)}
    table = pd.DataFrame(index=pd.Index(list(series), dtype="object"), columns=["mark", "gap", "best_pairs", "best_p"])
    if not series:
        return table
    means = pd.Series({name: values.mean() for name, values in series.items()})
    best = str(means.idxmax())
    table["gap"] = (means[best] - means).round(DECIMALS)
    table["mark"] = table["gap"].eq(0).map({True: BEST, False: TIED})
    pairs = {name: pair_by_seed(values, series[best]) for name, values in series.items() if table["gap"][name]}
    p_values = pd.Series({name: sign_flip_test(pair.differences) for name, pair in pairs.items() if len(pair)})
    table["best_pairs"] = pd.Series({name: len(pair) for name, pair in pairs.items()}, dtype="float64")
    table["best_p"] = pd.Series(holm(p_values), index=p_values.index) if len(p_values) else float("nan")
    for name, pair in pairs.items():
        # Unpaired seeds can make the mean the lowest of a method that is higher in the pairs: that is no defeat.
        worse = len(pair) > 0 and pair.differences.mean() < 0
        if worse and told_apart(table["gap"][name], table["best_p"][name], column.noise):
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
