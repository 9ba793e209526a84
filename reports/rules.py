"""The cells that other derivation rules read off the same finished searches."""

import pandas as pd

from reports.results import Results
from reports.tables import DASH, Entry, Table, mean_entry

OWN_RULE = "variant"
"""The rule that the variant itself answers by; it stands first."""


DRAWS = "mean of draws"
"""Not a rule but what to expect of one draw: the mean truth of the cells drawn from the final op weights."""


def by_rule(results: Results) -> pd.DataFrame:
    """Return mean, sd (ddof 1) and n of the main truth column: a row a variant and rule, of searches only."""
    searches = results.derived[results.derived["kind"] == "search"]
    searches = pd.concat([searches, _expected_of_a_draw(results)], ignore_index=True)
    grouped = searches.groupby(["variant", "rule"], sort=False)[results.main.key]
    return pd.DataFrame({"mean": grouped.mean(), "sd": grouped.std(), "n": grouped.count()})


def _expected_of_a_draw(results: Results) -> pd.DataFrame:
    """Return the mean truth of each run's draws, as rows of `results.derived`."""
    key, draws = results.main.key, results.draws
    weighed = draws.assign(total=draws[key] * draws["count"])
    sums = weighed.groupby(["variant", "seed"], sort=False)[["total", "count"]].sum()
    return (sums["total"] / sums["count"]).rename(key).reset_index().assign(rule=DRAWS)


def rules_table(results: Results, order: list[str]) -> Table:
    """Return the table of variants by derivation rule; rules that a variant does not have are dashes."""
    data = by_rule(results)
    rules = sorted(data.index.unique("rule"), key=lambda rule: rule != OWN_RULE)
    rows = []
    for variant in order:
        if variant not in data.index.unique("variant"):
            continue
        entries = [Entry(variant)]
        for rule in rules:
            if (variant, rule) in data.index:
                values = data.loc[(variant, rule)].add_prefix("truth/")
                entries.append(mean_entry(values, "truth"))
            else:
                entries.append(Entry(DASH))
        rows.append(entries)
    header = ["variant", *("its own rule" if rule == OWN_RULE else rule for rule in rules)]
    caption = (
        f"True accuracy ({results.main.label}, percent) of the cell that each rule derives from the same finished "
        "search; mean ± sample standard deviation over seeds. operation-strength and best-of-draws ask the trained "
        "supernet, the other rules read the final op weights alone."
    )
    return Table("rules", caption, header, [("", rows)], data.reset_index())
