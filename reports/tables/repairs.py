"""The tables of differences to the reference."""

from collections.abc import Iterator

import pandas as pd

from harness.results.folder import TruthColumn
from reports import false_rates
from reports.analysis.end_values import OF_CELL, Diagnostic
from reports.analysis.repairs import BY_CHANCE, with_truth
from reports.analysis.summary import SIGN_TEST_SEEDS
from reports.tables.table import DASH, Entry, Table, signed

PARTS = {
    "op-weights": ("op weights", ("skip_mass", "entropy", "margin", "flips")),
    "cell": ("returned cell", OF_CELL),
    "supernet": ("supernet", ("hessian_largest", "discretisation_gap", "layer_alignment", "train_valid_gap")),
}
"""The tables: file name to what its diagnostics are of, and the diagnostics."""

MARKS = (
    "*: the sign-flip test of the pairs has p ≤ 0.05, as one in twenty differences that are none has, and up to "
    f"{false_rates.REPAIR} % where the two sides are skewed and scatter unequally. (*): "
    f"over fewer than {SIGN_TEST_SEEDS} seeds the interval excludes 0, an observation and no test: {BY_CHANCE}."
)


def repairs_tables(found: pd.DataFrame, values: pd.DataFrame, reference: str, column: TruthColumn) -> Iterator[Table]:
    """Yield a table of differences per part of `PARTS`; the truth of the found cells stands in the cell's."""
    described = with_truth(column)
    for key, (label, names) in PARTS.items():
        candidates = [column.key, *names] if key == "cell" else list(names)
        shown = [name for name in candidates if values[name].notna().any()]
        if shown:
            yield _table(key, label, shown, found, values, reference, described)


def _table(
    key: str,
    label: str,
    names: list[str],
    found: pd.DataFrame,
    values: pd.DataFrame,
    reference: str,
    described: dict[str, Diagnostic],
) -> Table:
    base = values.xs(reference, level="variant")
    first = [Entry(reference), Entry(str(len(base)))]
    first += [_own_value(base[name].dropna(), described[name].digits, len(base)) for name in names]
    rows = []
    for variant, own in found.groupby("variant", sort=False):
        seeds, by_name = int(own["pairs"].max()), own.set_index("diagnostic").T
        differences_of = [_difference(by_name[name], described[name].digits, seeds) for name in names]
        rows.append([Entry(str(variant)), Entry(str(seeds)), *differences_of])
    caption = (
        f"End of the search, {label}: mean difference to {reference} over the seeds that both have, with its 95 % "
        f"bootstrap interval. {MARKS} Seeds: pairs; n where a diagnostic has fewer. No correction for the number of "
        "comparisons."
    )
    header = ["variant", "seeds", *(described[name].heading for name in names)]
    data = found[found["diagnostic"].isin(names)]
    return Table(
        f"repairs-{key}", caption, header, [("Reference: mean ± sd", [first]), ("Difference to it", rows)], data
    )


def _own_value(values: pd.Series, digits: int, seeds: int) -> Entry:
    if values.empty:
        return Entry(DASH)
    spread = f" ± {values.std():,.{digits}f}" if len(values) > 1 else ""
    return Entry(f"{values.mean():,.{digits}f}{spread}", _fewer(len(values), seeds))


def _fewer(values: int, seeds: int) -> str:
    """Return the number of values where it is not that of the row."""
    return "" if values == seeds else f"n = {values}"


def _difference(row: pd.Series, digits: int, seeds: int) -> Entry:
    if not row["pairs"]:
        return Entry(DASH)
    text = signed(row["mean_difference"], digits)
    interval = "" if row["pairs"] == 1 else f"{signed(row['low'], digits)} to {signed(row['high'], digits)}"
    note = ", ".join(part for part in (interval, _fewer(row["pairs"], seeds)) if part)
    return Entry(text + mark(row), note, bold=bool(row["change"]))


def mark(row: pd.Series) -> str:
    """Return the sign behind a difference that shows, see `MARKS`."""
    if not row["change"]:
        return ""
    return "*" if row["pairs"] >= SIGN_TEST_SEEDS else " (*)"
