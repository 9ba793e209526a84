"""A page per variant: what it is, its settings, its runs, and its search beside that of the reference variant."""

import re
from dataclasses import dataclass, replace

import pandas as pd

from harness.results.folder import Results
from harness.settings.protocol import Board
from harness.tracking.tracked import Tracked
from reports.analysis.trajectories import MEASURES, measures, op_weights
from reports.drawing.picture import Picture
from reports.drawing.style import shorten
from reports.figures.trajectories import op_weights as op_weights_figure
from reports.figures.variant import REFERENCE, VARIANT, beside_reference
from reports.methods import Description
from reports.section import Block, Figures, Section, Text
from reports.tables.cells import operations
from reports.tables.runs import runs_table
from reports.tables.settings import settings_table
from reports.tables.table import Entry, Table, number
from reports.topics.runs import about_links

TITLES = {
    "entropy": "entropy / its largest",
    "margin": "margin",
    "skip_mass": "skip weight",
    "discretisation_gap": "discretisation gap (points)",
    "hessian_largest": "largest Hessian eigenvalue",
}
"""What the panels of `MEASURES` are called."""


@dataclass(frozen=True)
class VariantPage:
    """One page: the variant, its file name without ending, what it is in one line, and its sections."""

    variant: str
    slug: str
    summary: str
    sections: list[Section]


def slugs(names: list[str]) -> dict[str, str]:
    """Return a file name for each name: lower-case letters, digits and hyphens, no two the same."""
    found: dict[str, str] = {}
    for name in names:
        stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "variant"
        slug, number = stem, 1
        while slug in found.values():
            number += 1
            slug = f"{stem}-{number}"
        found[name] = slug
    return found


def variant_pages(
    results: Results, board: Board, methods: dict[str, Description], tracked: Tracked
) -> list[VariantPage]:
    """Return the page of every variant and baseline, in the order of `methods`."""
    files = slugs(list(methods))
    # Looking a variant up in a million rows for every page would take longer than drawing it.
    alphas = {str(name): rows for name, rows in results.alpha.groupby("variant", sort=False)}
    none = results.alpha.iloc[:0]
    return [
        variant_page(replace(results, alpha=alphas.get(name, none)), board, method, files[name], tracked)
        for name, method in methods.items()
    ]


def variant_page(results: Results, board: Board, method: Description, slug: str, tracked: Tracked) -> VariantPage:
    """Return the page of one variant or baseline; of `results.alpha` only its own rows are needed."""
    variant = method.name
    sections = [
        _about(method, slug),
        _runs(results, variant, slug, tracked),
        _over_the_epochs(results, board, variant, slug),
        _op_weights(results, variant, slug),
        _derived(results, variant, slug),
    ]
    return VariantPage(variant, slug, method.summary, [section for section in sections if section is not None])


def _about(method: Description, slug: str) -> Section:
    blocks: list[Block] = []
    if not method.is_installed:
        blocks.append(Text("This method is not installed where the report was made, so it is not described here."))
    else:
        blocks.append(Text(f"What it changes: {method.axis}. What moves its choice: {method.strategy}."))
        blocks.append(Text(f"Paper: {method.citation}"))
    if method.departures:
        blocks.append(Text("What differs from the paper:"))
        blocks += [Text(f"• {departure}") for departure in method.departures]
    if method.settings:
        caption = "Its own settings on this board; the protocol's stand on the main page."
        blocks.append(settings_table(f"variant-{slug}-settings", method.settings, caption))
    else:
        blocks.append(Text("It has no settings of its own."))
    return Section("about", "What it is", "About", blocks)


def _runs(results: Results, variant: str, slug: str, tracked: Tracked) -> Section:
    own = results.runs[results.runs["variant"] == variant]
    blocks: list[Block] = [runs_table(f"variant-{slug}-runs", own, results, tracked)]
    blocks.append(Text(about_links(tracked), note=True))
    return Section("runs", "Its runs", "Runs", blocks)


def _over_the_epochs(results: Results, board: Board, variant: str, slug: str) -> Section | None:
    own = results.epochs[results.epochs["variant"] == variant]
    if own[results.main.key].isna().all() and own[list(MEASURES)].isna().all(axis=None):
        return None
    # A baseline's evaluations do not compare with the epochs of a search.
    is_search = (own["kind"] == "search").all()
    reference = board.reference if is_search and variant != board.reference else ""
    other = results.epochs[results.epochs["variant"] == reference]
    picture = _beside_reference(own, other, variant, results, slug)
    told = "Line: median over the seeds. Band: smallest to largest. "
    if not other.empty:
        told += f"Grey: {reference}, the reference variant. "
    elif reference:
        told += f"The reference variant {reference} has no epochs on record. "
    told += (
        "Truth is the true accuracy of the cell with the largest op weight on every edge."
        if is_search
        else "Truth is the true accuracy of the best cell so far, best by what the baseline itself saw."
    )
    return Section("epochs", "Over the epochs", "Epochs", [Figures([("", picture)], told)])


def _beside_reference(own: pd.DataFrame, other: pd.DataFrame, variant: str, results: Results, slug: str) -> Picture:
    column, operations = results.main, len(results.operations)
    sides = {VARIANT: own} if other.empty else {VARIANT: own, REFERENCE: other}
    bands = pd.concat([measures(epochs, column, operations).assign(of=side) for side, epochs in sides.items()])
    names = {
        side: f"{shorten(epochs['variant'].iloc[0], 40)} (n = {epochs['seed'].nunique()})"
        for side, epochs in sides.items()
    }
    measured = set(bands.loc[bands["of"] == VARIANT, "measure"])
    titles = {column.key: f"truth: {column.label} (%)", **TITLES}
    titles = {name: title for name, title in titles.items() if name in measured}
    x_label = "epoch" if (own["kind"] == "search").all() else "cells evaluated"
    return Picture(
        f"variant-{slug}-epochs", f"Over the epochs: {variant}", beside_reference, bands, names, titles, x_label
    )


def _op_weights(results: Results, variant: str, slug: str) -> Section | None:
    own = results.alpha[results.alpha["variant"] == variant]
    if own.empty:
        return None
    title = f"Op weights: {variant}"
    picture = Picture(f"variant-{slug}-op-weights", title, op_weights_figure, op_weights(own), variant)
    caption = "What multiplies each operation's output, on each of the six edges."
    return Section("weights", "Op weights over the epochs", "Op weights", [Figures([("", picture)], caption)])


def _derived(results: Results, variant: str, slug: str) -> Section | None:
    data = results.derived[results.derived["variant"] == variant].reset_index(drop=True)
    if data.empty:
        return None
    rows = [
        [
            Entry(row["rule"]), Entry(operations(row["cell"])), Entry(str(row["seed"])),
            *(Entry(number(row[column.key])) for column in results.columns),
        ]
        for _, row in data.sort_values(["seed", "rule"], kind="stable").iterrows()
    ]  # fmt: skip
    header = ["rule", "cell (edges 0>1, 0>2, 1>2, 0>3, 1>3, 2>3)", "seed"]
    header += [f"{column.label} (%)" for column in results.columns]
    caption = "The cell that each rule reads off a finished search; the rule variant is the method's own answer."
    table = Table(f"variant-{slug}-cells", caption, header, [("", rows)], data, text_columns=2)
    return Section("cells", "The cells it found, by rule", "Cells", [table])
