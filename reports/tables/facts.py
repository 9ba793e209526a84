"""The table of the numbers in the overview."""

from reports.facts import Facts
from reports.tables.table import Entry, Table, number


def facts_table(facts: Facts) -> Table:
    """Return the table that the sentences take their numbers from."""
    data = facts.frame()
    rows = [
        [Entry(row["quantity"]), Entry(row["variant"]), Entry(row["from"]), Entry(number(row["value"], 4))]
        for _, row in data.iterrows()
    ]
    caption = "Every number in the sentences of the overview, not rounded, and the file it is computed from."
    return Table("overview", caption, ["quantity", "variant", "from", "value"], [("", rows)], data, text_columns=3)
