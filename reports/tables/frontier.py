"""The tables of cost and quality."""

import pandas as pd

from harness.results.folder import Results
from reports.analysis.frontier import COSTS, STRATEGIES
from reports.tables.table import DASH, Entry, Table, number


def frontier_table(table: pd.DataFrame, results: Results) -> Table:
    """Return the table of cost, quality and dominance, a group a strategy; `table` as of `with_equal_cost`."""
    groups = []
    for strategy in STRATEGIES:
        members = table[table["strategy"] == strategy]
        rows = [_row(row) for _, row in members.iterrows()]
        if rows:
            groups.append((f"{strategy.capitalize()}", rows))
    header = [
        "variant", "n", "true accuracy (%, median)", "charged (s)", "measured (s)",
        "frontier, charged cost", "frontier, measured cost", "best baseline at equal charge (%)",
    ]  # fmt: skip
    caption = (
        f"Cost of a run and true accuracy ({results.main.label}) of its cell: medians over the seeds, then quartiles. "
        "A dominated variant has another that costs no more and is no worse. Best baseline at equal charge: the "
        "highest median of the baselines stopped when they have been charged as much; a dash where none has trained "
        "one cell by then. A baseline has no measured time, for it looks its trainings up."
    )
    return Table("frontier", caption, header, groups, table)


def _row(row: pd.Series) -> list[Entry]:
    search = row["kind"] == "search"
    entries = [Entry(row["variant"], row["kind"]), Entry(str(row["n"]))]
    entries.append(Entry(number(row["truth"]), f"{number(row['truth_low'])} to {number(row['truth_high'])}"))
    entries += [Entry(seconds(row["charged"])), Entry(seconds(row["measured"]) if search else DASH)]
    for cost in COSTS:
        by = row[f"{cost}_dominated_by"]
        entries.append(Entry("below", by) if by else Entry("on it", bold=True))
    return [*entries, Entry(number(row["equal_cost_truth"]), row["equal_cost_baseline"])]


def seconds(value: float) -> str:
    """Format seconds with three digits, or whole ones from 100 up."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def price_table(prices: pd.DataFrame) -> Table:
    """Return the table of prices."""
    rows = [[Entry(row["work"]), Entry(seconds(row["seconds"])), Entry(row["source"])] for _, row in prices.iterrows()]
    caption = (
        "What is charged for a unit of work, seconds. Modelled: linear in the counts of the operations, fitted to "
        "NAS-Bench-201's own training times, for its network on its machine."
    )
    return Table("frontier-prices", caption, ["work", "charged (s)", "source"], [("", rows)], prices)
