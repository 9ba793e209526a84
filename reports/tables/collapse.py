"""The tables of the section on collapse: its rates, what goes with it, and the truth by operations."""

import pandas as pd

from harness.results.folder import TruthColumn
from harness.space.cell import EDGES, OPERATIONS
from harness.space.collapse import SKIPS, TRUTH
from harness.space.drawing import OPERATION_LABELS
from reports import false_rates
from reports.analysis.end_values import DIAGNOSTICS
from reports.analysis.predictors import FEWEST_RUNS, FEWEST_VARIANTS
from reports.tables.table import DASH, Entry, Table, number


def rates_table(found: pd.DataFrame, label: str) -> Table:
    """Return `rates` as a table: a row per variant, a block per criterion."""
    shown = list(dict.fromkeys(found["criterion"]))
    cells = found.set_index(["variant", "criterion"])
    rows = []
    for variant in dict.fromkeys(found["variant"]):
        entries = [Entry(variant), Entry(str(cells.loc[(variant, shown[0]), "runs"]))]
        for criterion in shown:
            row = cells.loc[(variant, criterion)]
            share = f"{100 * row['low']:.0f} to {100 * row['high']:.0f} %"
            entries.append(Entry(f"{row['collapsed']:.0f}", share, bold=row["collapsed"] > 0))
            entries.append(_when(row))
        rows.append(entries)
    caption = (
        "Finished searches that collapse, with the 95 % Wilson interval of the share. To skip, pool, none: at least "
        f"{SKIPS} of the {len(EDGES)} edges of the argmax cell are that operation; truth: its {label} accuracy is "
        f"below {TRUTH:g} %. Epoch: the first from which on that holds until the end, median over the collapsed runs "
        "(first to last). A run that recovers has not collapsed."
    )
    header = ["variant", "runs", *["collapsed", "epoch"] * len(shown)]
    blocks = [("", 2), *((criterion, 2) for criterion in shown)]
    return Table("collapse", caption, header, [("", rows)], found, blocks)


def _when(row: pd.Series) -> Entry:
    if not row["collapsed"]:
        return Entry(DASH)
    spread = f"{row['epoch_first']:.0f} to {row['epoch_last']:.0f}" if row["epoch_first"] < row["epoch_last"] else ""
    return Entry(f"{row['epoch_median']:g}", spread)


def predictors_table(found: pd.DataFrame, label: str) -> Table:
    """Return `predictors` as a table; an interval without 0 is bold."""
    rows = [
        [
            Entry(DIAGNOSTICS[str(name)].label),
            *_correlation(row["spearman"], row["low"], row["high"]),
            Entry(number(row["runs"], 0)),
            *_correlation(row["within"], row["within_low"], row["within_high"]),
            Entry(number(row["within_variants"], 0)),
        ]
        for name, row in found.iterrows()
    ]
    caption = (
        f"Spearman's rank correlation of each diagnostic at the end of a search with the {label} accuracy of its cell, "
        "with its 95 % bootstrap interval (bold: it excludes 0). Over all: of the finished searches of all variants; "
        "runs of one variant resemble each other, so whole variants are resampled. "
        f"{false_rates.of_diagnostics()} A dash: fewer than {FEWEST_VARIANTS} variants, or no spread. Within variants: "
        f"each run is ranked among those of its variant, of variants with {FEWEST_RUNS} runs or more that differ; runs "
        "are resampled. No interval is adjusted for the number of diagnostics, and a correlation is no cause."
    )
    header = ["diagnostic", "correlation", "95 % interval", "runs", "correlation", "95 % interval", "variants"]
    blocks = [("", 1), ("over all", 3), ("within variants", 3)]
    return Table("collapse-predictors", caption, header, [("", rows)], found.reset_index(), blocks)


def _correlation(rho: float, low: float, high: float) -> list[Entry]:
    if pd.isna(rho):
        return [Entry(DASH), Entry(DASH)]
    return [Entry(f"{rho:+.2f}", bold=not low <= 0 <= high), Entry(f"{low:+.2f} to {high:+.2f}")]


def count_table(counts: pd.DataFrame, column: TruthColumn) -> Table:
    """Return the mean truth by the number of edges of each operation."""
    rows = []
    for operation in OPERATIONS:
        own = counts[counts["operation"] == operation].set_index("count").reindex(range(len(EDGES) + 1))
        best = own["mean"].idxmax()
        entries = [Entry(number(row["mean"]), _runs(row["runs"]), bold=count == best) for count, row in own.iterrows()]
        rows.append([Entry(OPERATION_LABELS[operation]), *entries])
    caption = (
        f"Mean {column.label} accuracy (%) of all cells with so many edges of an operation; beside it how many "
        "finished searches ended in such a cell. Bold: highest mean of the row."
    )
    header = ["operation", *(f"{count} edge{'' if count == 1 else 's'}" for count in range(len(EDGES) + 1))]
    return Table("operation-counts", caption, header, [("", rows)], counts)


def _runs(runs: float) -> str:
    return "" if not runs > 0 else "1 run" if runs == 1 else f"{runs:.0f} runs"
