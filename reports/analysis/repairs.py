"""Which variant changes which diagnostic, against the reference variant, paired by seed."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.space.cell import POOL, SKIP
from harness.statistics.estimates import bootstrap_interval, pooled
from harness.statistics.significance import pair_by_seed
from reports.analysis.end_values import DIAGNOSTICS, Diagnostic
from reports.analysis.summary import SIGN_TEST_SEEDS
from reports.figures import style
from reports.results import TruthColumn
from reports.tables.table import DASH, Entry, Table

PARTS = {
    "op-weights": ("op weights", ("skip_mass", "entropy", "margin", "flips")),
    "cell": ("argmax cell", (f"count_{SKIP}", f"count_{POOL}", "depth", "parameters")),
    "supernet": ("supernet", ("hessian_largest", "discretisation_gap", "layer_alignment", "train_valid_gap")),
}
"""The tables: file name to what its diagnostics are of, and the diagnostics."""

MARKS = (
    "*: the interval excludes 0. (*): so it does, but over fewer than "
    f"{SIGN_TEST_SEEDS} seeds, which is an observation and no test."
)

HIGHER, LOWER = "#0072b2", "#d55e00"
NAMED = 6
"""Variants that a sentence names; the others are counted."""


def with_truth(column: TruthColumn) -> dict[str, Diagnostic]:
    """Return the truth of the main column and the diagnostics, as one list of what is compared."""
    return {column.key: Diagnostic(column.label, "%", 2), **DIAGNOSTICS}


def differences(values: pd.DataFrame, reference: str, order: list[str], names: list[str]) -> pd.DataFrame:
    """Compare the end values of every variant, in the given order, with the reference's, paired by seed.

    `values`: `end_values`, with runs of the reference. A row per variant and name: variant, diagnostic, pairs (seeds
    for which both have the value), mean_difference (variant minus reference, NaN without a pair), low, high: 95 %
    bootstrap interval, NaN for fewer than two pairs; change: "higher" or "lower" where the interval excludes 0.
    """
    by_variant = {str(variant): own for variant, own in values.groupby(level="variant", sort=False)}
    base = by_variant.pop(reference)
    rows = []
    for variant in [variant for variant in order if variant in by_variant]:
        for name in names:
            samples = [table[name].droplevel("variant").dropna() for table in (by_variant[variant], base)]
            rows.append((variant, name, *_paired(*samples)))
    columns = ["variant", "diagnostic", "pairs", "mean_difference", "low", "high"]
    table = pd.DataFrame(rows, columns=columns)
    change = np.select([table["low"] > 0, table["high"] < 0], ["higher", "lower"], "")
    return table.assign(change=pd.Series(change, index=table.index, dtype=object))


def _paired(own: pd.Series, base: pd.Series) -> tuple[int, float, float, float]:
    pairs = pair_by_seed(own, base)
    if not len(pairs):
        return 0, math.nan, math.nan, math.nan
    if len(pairs) == 1:
        return 1, float(pairs.differences[0]), math.nan, math.nan
    return len(pairs), *bootstrap_interval([pairs.differences], pooled(np.mean))


def tables(found: pd.DataFrame, values: pd.DataFrame, reference: str, column: TruthColumn) -> Iterator[Table]:
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
        "comparisons: of differences that are none, about one in twenty is marked."
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
    """Return the sign behind a difference whose interval excludes 0, see `MARKS`."""
    if not row["change"]:
        return ""
    return "*" if row["pairs"] >= SIGN_TEST_SEEDS else " (*)"


def signed(value: float, digits: int) -> str:
    """Format a difference with its sign; one that rounds to zero has none."""
    text = f"{value:+,.{digits}f}"
    return text[1:] if float(text.replace(",", "")) == 0 else text


def figure(found: pd.DataFrame, names: list[str], column: TruthColumn) -> Figure:
    """Return the matrix of variants and diagnostics: a triangle where the interval of the difference excludes 0.

    The size is the mean difference as a share of the largest of its column, so that columns of any unit compare.
    """
    described = with_truth(column)
    variants = list(dict.fromkeys(found["variant"]))
    drawn, axes = style.sheet(0.27 * len(variants) + 1.35, left=2.05, right=0.75, top=1.25, bottom=0.1)
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(variants) - 0.4, -0.6))
    axes.set_yticks(range(len(variants)), [style.shorten(variant, 30) for variant in variants])
    axes.set_xticks(range(len(names)), [described[name].label for name in names], rotation=35, ha="left")
    axes.tick_params(length=0, labelbottom=False, labeltop=True)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.hlines(range(len(variants)), -0.5, len(names) - 0.5, color=style.GRID, lw=0.6, zorder=0)
    table = found.assign(
        x=found["diagnostic"].map({name: place for place, name in enumerate(names)}),
        y=found["variant"].map({variant: place for place, variant in enumerate(variants)}),
        size=found["mean_difference"].abs() / found.groupby("diagnostic")["mean_difference"].transform(_largest),
    ).dropna(subset=["x"])
    for change, marker, colour in (("higher", "^", HIGHER), ("lower", "v", LOWER)):
        of_change = table[table["change"] == change]
        face = [colour if pairs >= SIGN_TEST_SEEDS else "white" for pairs in of_change["pairs"]]
        axes.scatter(
            of_change["x"], of_change["y"], 18 + 62 * of_change["size"], marker=marker, c=face, ec=colour, lw=1.1
        )
    plain = table[(table["change"] == "") & (table["pairs"] > 1)]
    axes.plot(plain["x"], plain["y"], ls="", marker="o", ms=2, color="#9ca3af")
    unknown = table[table["pairs"] <= 1]
    axes.plot(unknown["x"], unknown["y"], ls="", marker="x", ms=3.5, color="#c8ccd2")
    _legend(drawn, table)
    return drawn


def _largest(values: pd.Series) -> float:
    return float(values.abs().max()) or 1.0


def _legend(drawn: Figure, table: pd.DataFrame) -> None:
    look: dict[str, Any] = {"ls": "", "ms": 7, "mew": 1.1}
    handles = [
        Line2D([], [], marker="^", color=HIGHER, label="higher than the reference", **look),
        Line2D([], [], marker="v", color=LOWER, label="lower", **look),
        Line2D([], [], ls="", marker="o", ms=2, color="#9ca3af", label="interval holds 0"),
    ]
    marked = table[table["change"] != ""]
    if (marked["pairs"] < SIGN_TEST_SEEDS).any():
        label = f"open: fewer than {SIGN_TEST_SEEDS} seeds, an observation"
        handles.insert(2, Line2D([], [], marker="^", mfc="white", mec=style.INK, label=label, **look))
    if (table["pairs"] <= 1).any():
        handles.append(Line2D([], [], ls="", marker="x", ms=3.5, color="#c8ccd2", label="fewer than 2 seeds"))
    drawn.legend(
        handles=handles, loc="upper left", ncols=len(handles), columnspacing=1.3, handletextpad=0.3, borderaxespad=0.3,
        bbox_to_anchor=(0.0, 1.0),
    )  # fmt: skip


def sentences(found: pd.DataFrame, reference: str, column: TruthColumn) -> list[str]:
    """Say, a sentence per diagnostic, which variants differ from the reference."""
    described = with_truth(column)
    said = []
    for name, own in found[found["pairs"] > 1].groupby("diagnostic", sort=False):
        parts = [_named(own[own["change"] == change], change) for change in ("lower", "higher")]
        outcome = "; ".join(part for part in parts if part) or "no difference whose interval excludes 0"
        label = described[str(name)].label
        counted = f"{len(own)} variant{'s' if len(own) > 1 else ''}"
        said.append(f"{label[:1].upper()}{label[1:]}, {counted} against {reference}: {outcome}.")
    few = found[(found["change"] != "") & (found["pairs"] < SIGN_TEST_SEEDS)]
    if not few.empty:
        said.append(
            f"{len(few)} of these {(found['change'] != '').sum()} differences rest on fewer than {SIGN_TEST_SEEDS} "
            "seeds: observations, not tests."
        )
    return said


def _named(changed: pd.DataFrame, change: str) -> str:
    if changed.empty:
        return ""
    named = list(changed["variant"])[:NAMED]
    more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
    return f"{change} for {', '.join(named)}{more}"
