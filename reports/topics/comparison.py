"""The main table in the layout of the papers: who finds better cells, and who cannot be told from the best."""

from collections.abc import Iterator

import pandas as pd

from harness.board.compare import LEVEL, told_apart
from harness.settings.protocol import Board
from harness.statistics.significance import DECIMALS, fewest_pairs, holm, pair_by_seed, sign_flip_test
from reports.analysis import summary
from reports.results import Results, TruthColumn
from reports.section import Block, Section, Text
from reports.tables import published as beside_published
from reports.tables.table import DASH, Entry, Table, mean_entry, number

BEST, TIED = "best", "not distinguishable"
"""Marks of `against_best`."""

TIED_SIGN = "†"


def section(results: Results, board: Board, order: list[str]) -> Section | None:
    """Return the main table, what its marks can and cannot say, and our rows beside published ones."""
    table = main_table(results, order)
    blocks: list[Block] = [table]
    doubt = too_few_pairs(results, table.data)
    if doubt:
        blocks.append(Text(doubt))
    if results.missing_columns:
        missing = ", ".join(results.missing_columns)
        blocks.append(Text(f"The truth source has no accuracies for: {missing}.", note=True))
    blocks.append(
        Text(
            "Papers on this benchmark mostly give the population standard deviation (ddof 0) over 3 seeds; for n = 3 "
            "it is 0.82 times the one shown here.",
            note=True,
        )
    )
    blocks += beside_published.blocks(results, board, order)
    return Section("comparison", "Comparison", "Table", blocks)


# Numbers


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


# The table


def main_table(results: Results, order: list[str]) -> Table:
    """Return the main table: groups of methods, a column per data set and split, and the cost."""
    data = comparison_data(results, order)
    columns = summary.paper_order(results)
    groups = []
    for heading in GROUPS:
        members = data[data["group"] == heading]
        rows = [_row(row, columns) for _, row in members.iterrows()]
        if rows:
            groups.append((heading, rows))
    header = ["method", "n of all runs", *(split for _, split in map(_parts, columns)), "seconds"]
    blocks = [("", 2), *_data_set_blocks(columns), ("cost", 1)]
    return Table("comparison", _caption(columns), header, groups, data, blocks)


def _parts(column: TruthColumn) -> tuple[str, str]:
    data_set, _, split = column.label.rpartition(" ")
    return data_set, split


def _data_set_blocks(columns: list[TruthColumn]) -> Iterator[tuple[str, int]]:
    data_sets = [data_set for data_set, _ in map(_parts, columns)]
    for data_set in dict.fromkeys(data_sets):
        yield data_set, data_sets.count(data_set)


def _row(row: pd.Series, columns: list[TruthColumn]) -> list[Entry]:
    return [Entry(str(row["variant"])), _runs(row), *(_accuracy(row, column) for column in columns), _cost(row)]


def _runs(row: pd.Series) -> Entry:
    if row["kind"] == "all cells":
        return Entry("all cells")
    if row["kind"] == "landmark":
        return Entry(DASH)
    finished = _finished(row)
    notes = [f"{row[status]:.0f} {status}" for status in summary.STATUSES[1:] if row[status]]
    return Entry(f"{finished:.0f} of {row['runs']:.0f}", ", ".join(notes), alarm=finished < row["runs"])


def _finished(row: pd.Series) -> int:
    return int(row["done"] + row["stopped"])


def _accuracy(row: pd.Series, column: TruthColumn) -> Entry:
    if row["kind"] == "landmark":
        return Entry(number(row[f"{column.key}/mean"]))
    mark = row[f"{column.key}/mark"]
    entry = mean_entry(row, column.key, bold=mark == BEST)
    if row["kind"] == "all cells" or row[f"{column.key}/n"] == _finished(row):
        entry = entry._replace(note="")
    return entry._replace(text=f"{entry.text} {TIED_SIGN}") if mark == TIED else entry


def _cost(row: pd.Series) -> Entry:
    for name, label in (("charged_seconds", "charged"), ("seconds", "search")):
        mean, sd = row[f"{name}/mean"], row[f"{name}/sd"]
        if not pd.isna(mean):
            return Entry(number(mean, 0) + ("" if pd.isna(sd) else f" ± {number(sd, 0)}"), label)
    return Entry(DASH)


def _caption(columns: list[TruthColumn]) -> str:
    lengths = ", ".join(f"{column.label} {_epochs(column)}" for column in columns)
    floors = ", ".join(f"{column.noise:.2f} on {column.label}" for column in columns if column.noise is not None)
    unknown = ", ".join(column.label for column in columns if column.noise is None)
    return (
        "True accuracy of the found cells in percent, mean ± sample standard deviation (ddof 1) over the n runs with "
        "a result; n stands beside a number where the truth source lacks some of their cells. "
        f"Length of the training: {lengths}. Bold: highest mean of the column among all methods that search. "
        f"{TIED_SIGN}: not distinguishable from it: the sign-flip test paired by seed, Holm-corrected over the column, "
        f"has p ≥ {LEVEL} or no pair, or the gap is below the noise floor in points "
        f"({floors or 'none known'}{f'; none known on {unknown}' if floors and unknown else ''}). "
        "Cost: wall time of a search; for multi-trial methods the training time charged for the cells they evaluated, "
        "by the truth table or, where it has no times, by a model. No search: fixed cells, and the mean of all cells."
    )


def _epochs(column: TruthColumn) -> str:
    return "not stated" if column.epochs is None else f"{column.epochs} epochs"


def too_few_pairs(results: Results, data: pd.DataFrame) -> str:
    """Return a sentence that names the columns in which the test cannot speak at all; empty where it can in every one.

    `data` is that of the main table.
    """
    silent = []
    for column in summary.paper_order(results):
        comparisons = int(data[f"{column.key}/best_p"].notna().sum())
        most = data[f"{column.key}/best_pairs"].max()
        if comparisons and most < fewest_pairs(LEVEL, comparisons):
            silent.append((column.label, comparisons, int(most)))
    if not silent:
        return ""
    labels, comparisons, most = [label for label, _, _ in silent], silent[0][1], max(most for _, _, most in silent)
    needed = fewest_pairs(LEVEL, comparisons)
    return (
        f"Too few seeds for any test: on {', '.join(labels)} a method shares at most {most} "
        f"{'seed' if most == 1 else 'seeds'} with the best, and {needed} would be needed before one of {comparisons} "
        f"{'comparison' if comparisons == 1 else 'comparisons'} can reach p < {LEVEL}. The sign {TIED_SIGN} there "
        "means that nothing is shown, not that the methods are equal."
    )
