"""The section on collapse: which searches end in degenerate cells, when, and which diagnostic goes with it."""

from collections.abc import Iterator

import pandas as pd

from harness.results.folder import Results
from harness.settings.protocol import Board
from harness.space.cell import SKIP
from harness.space.collapse import TRUTH
from reports.analysis import cell_timelines, collapse_rates, landscape, predictors, repairs
from reports.analysis.end_values import end_values
from reports.drawing.picture import Picture
from reports.figures.cell_timelines import timelines_figure
from reports.figures.collapse_rates import rates_figure, times_figure
from reports.figures.landscape import count_figure, landscape_figure
from reports.figures.predictors import eigenvalue_figure, end_values_figure
from reports.figures.repairs import repairs_figure
from reports.section import Block, Figures, Folded, Section, Text
from reports.tables.collapse import count_table, predictors_table, rates_table
from reports.tables.repairs import repairs_tables


def section(results: Results, board: Board, order: list[str]) -> Section | None:
    """Return the section; None where the board has no search with an epoch."""
    epochs = results.epochs[results.epochs["kind"] == "search"]
    if epochs.empty:
        return None
    values = end_values(results)
    blocks = [
        *_rates(results, order),
        *_timelines(results, order),
        *_predictors(results, values, order, board.reference),
        *_repairs(results, values, order, board.reference),
        *_landscape(results),
    ]
    return Section("collapse", "Collapse, and what goes with it", "Collapse", blocks)


def _rates(results: Results, order: list[str]) -> Iterator[Block]:
    collapse = collapse_rates.finished_searches(results)
    if results.main.best < TRUTH:
        yield Text(
            f"No cell reaches {TRUTH:g} % on {results.main.label} (the best: {results.main.best:.2f} %), so the "
            "criterion by truth is left out.", note=True,
        )  # fmt: skip
    without = _without_cells(results, order)
    if without:
        yield Text(f"No argmax cell over the epochs, so not in the counts: {', '.join(without)}.", note=True)
    if collapse.empty:
        yield Text("No finished search has an argmax cell over its epochs, so there is nothing to say about collapse.")
        return
    found = collapse_rates.rates(collapse, order)
    for said in collapse_rates.sentences(found, results.main.label):
        yield Text(said)
    picture = Picture("collapse-rates", "Share of runs that collapse", rates_figure, found)
    yield Figures([("", picture)], "Share of the finished runs of each variant that collapse; 95 % Wilson intervals.")
    if collapse["collapsed"].any():
        title = "Epoch of collapse"
        picture = Picture("collapse-times", title, times_figure, collapse, order)
        yield Figures([("", picture)], "When they collapse: a mark per run, a line from the first to the last.")
    yield rates_table(found, results.main.label)


def _without_cells(results: Results, order: list[str]) -> list[str]:
    finished = results.finished[results.finished["kind"] == "search"]
    searched = set(finished["variant"]) - set(results.collapse["variant"])
    return [variant for variant in order if variant in searched]


def _timelines(results: Results, order: list[str]) -> Iterator[Block]:
    epochs = results.epochs[results.epochs["kind"] == "search"]
    if epochs["cell"].isna().all():
        return
    spans = cell_timelines.timelines(epochs, results.main.key)
    runs = epochs.groupby("variant")["seed"].nunique().to_dict()
    title = "Argmax cell of every epoch"
    picture = Picture("cell-timelines", title, timelines_figure, spans, order, runs, int(epochs["epoch"].max()))
    yield Figures(
        [("", picture)],
        f"{title}, a strip per run with the {results.main.label} accuracy of its last cell. Of variants with more "
        f"than {cell_timelines.STRIPS} runs: the lowest, the median and the highest.",
    )


def _predictors(results: Results, values: pd.DataFrame, order: list[str], reference: str) -> Iterator[Block]:
    label, key = results.main.label, results.main.key
    if not predictors.known_diagnostics(values, key):
        return
    found = predictors.predictors(values, key)
    skips = found.T[f"count_{SKIP}"]
    yield Text(predictors.sentence(skips, "number of skips", label))
    yield Text(predictors.sentence_within(skips, "number of skips", label))
    measured = predictors.measured_eigenvalues(results)
    if len(measured):
        title = "Largest Hessian eigenvalue against truth"
        picture = Picture("eigenvalue-truth", title, eigenvalue_figure, measured, order, results.main)
        yield Figures([("", picture)], f"{title} of the argmax cell of the same epoch, a panel per variant.")
    else:
        yield Text("No search measured the Hessian in alpha.", note=True)
    title = "Diagnostics at the end of the search against truth"
    picture = Picture("end-values-truth", title, end_values_figure, values, results.main, reference)
    yield Figures([("", picture)], f"{title}: a point per finished search.")
    yield predictors_table(found, label)


def _repairs(results: Results, values: pd.DataFrame, order: list[str], reference: str) -> Iterator[Block]:
    searches = list(dict.fromkeys(values.index.get_level_values("variant")))
    if reference not in searches:
        yield Text(f"The reference variant {reference} has no finished search here, so no variant is compared with it.")
        return
    if len(searches) == 1:
        yield Text(f"{reference} is the only variant with a finished search, so there is nothing to compare it with.")
        return
    names = [name for name in repairs.with_truth(results.main) if values[name].notna().any()]
    found = repairs.differences(values, reference, order, names)
    if found["pairs"].max() < 2:
        yield Text(
            f"No variant has two seeds in common with {reference}, so the differences have no interval.", note=True
        )
        yield from repairs_tables(found, values, reference, results.main)
        return
    title = f"Which variant changes which diagnostic, against {reference}"
    picture = Picture("repairs", title, repairs_figure, found, names, results.main)
    yield Figures(
        [("", picture)], f"{title}, at the end of the search and paired by seed; size: share of the largest change."
    )
    yield Folded("The same in sentences", [Text(said) for said in repairs.sentences(found, reference, results.main)])
    yield from repairs_tables(found, values, reference, results.main)


def _landscape(results: Results) -> Iterator[Block]:
    if results.space[results.main.key].notna().sum() == 0:
        return
    searches = results.finished[results.finished["kind"] == "search"]
    found = landscape.found_cells(results)
    counts = landscape.by_operation_count(results.space, searches, results.main.key)
    if SKIP in results.operations:
        yield Text(landscape.count_sentence(counts, results.main))
    title = "Truth by the operations of a cell"
    picture = Picture("operation-counts", title, count_figure, counts, found, results.main)
    yield Figures([("", picture)], f"{title}.")
    yield count_table(counts, results.main)
    title = "Landscape of the truth"
    picture = Picture("landscape", title, landscape_figure, results.space, found, results.main)
    yield Figures([("", picture)], f"{title}: all cells, and those that the searches found.")
