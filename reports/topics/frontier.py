"""Cost and quality of all kinds of search, from gradients to random draws, on one axis."""

from collections.abc import Iterator

import pandas as pd

from harness.base.errors import first_of
from harness.results.folder import Results
from harness.settings.protocol import Board
from reports.analysis.frontier import (
    COSTS,
    answers,
    curves,
    epoch_seconds,
    finished_runs,
    points,
    price_data,
    with_equal_cost,
)
from reports.drawing.picture import Picture
from reports.figures import frontier as frontier_figures
from reports.section import Block, Figures, Section, Text
from reports.tables.frontier import frontier_table, price_table, seconds

NAMED = 6
"""Variants on the frontier that the sentence names."""
BENCHMARK_NETWORK = {"image_size": 32, "channels": 16, "cells_per_stage": 5}


def section(results: Results, board: Board, order: list[str]) -> Section | None:
    """Return the section, None without a finished run whose cost is known."""
    runs = finished_runs(results, board)
    if runs.empty:
        return None
    all_answers = answers(results, runs)
    table = with_equal_cost(points(runs, order), all_answers)
    prices = price_data(board, results)
    blocks: list[Block] = [
        Text(" ".join(price_sentences(prices, table, board))),
        Text(" ".join(frontier_sentences(table))),
        _frontier_figures(table, results, board),
        frontier_table(table, results),
        _anytime_figures(table, all_answers, results),
        price_table(prices),
    ]
    notes = baseline_notes(results)
    if notes:
        blocks.append(Text(notes, note=True))
    return Section("frontier", "Cost and quality: all kinds of search on one axis", "Frontier", blocks)


def _frontier_figures(table: pd.DataFrame, results: Results, board: Board) -> Figures:
    title = f"Cost and quality: {results.main.label}"
    plot = frontier_figures.frontier
    drawn = [
        (
            label,
            Picture(
                f"frontier-{cost}",
                title,
                plot,
                table,
                cost,
                results.main,
                board.reference,
                epoch_seconds(board.chosen.operations),
            ),
        )
        for cost, label in COSTS.items()
    ]
    caption = (
        "A point a variant: median over the seeds, bars from quartile to quartile. Line: the Pareto frontier; points "
        "right of it or below it are dominated. Charged: seconds of the benchmark's machine and network, counted for "
        "all methods alike. Measured: wall time of the searches on this machine, beside the charge of the baselines, "
        "which is that of another machine and of full networks."
    )
    return Figures(drawn, caption)


def _anytime_figures(table: pd.DataFrame, all_answers: dict[str, pd.DataFrame], results: Results) -> Figures:
    title = f"Answer over the cost: {results.main.label}"
    plot = frontier_figures.anytime
    drawn = [
        (label, Picture(f"anytime-{cost}", title, plot, table, curves(all_answers, cost), cost, results.main))
        for cost, label in COSTS.items()
    ]
    caption = (
        "Truth of what each method would answer if it were stopped: the best cell by its signal (baselines), the "
        "argmax cell of the epoch (searches with alpha); the last point is the returned cell. Medians over the seeds; "
        "bold is the variant of the strategy with the highest final median, with its quartiles as a band. The cost of "
        "a search is spread evenly over its epochs."
    )
    return Figures(drawn, caption)


def price_sentences(prices: pd.DataFrame, table: pd.DataFrame, board: Board) -> Iterator[str]:
    """Yield what the axis means, and what it does not."""
    priced = prices["seconds"].tolist()
    yield (
        "Two different things are to be compared: a baseline trains many cells, which the truth table's seconds are "
        "charged for; a search trains one supernet, whose passes are counted. The charged cost puts both on one axis: "
        f"every pass is charged {seconds(priced[0])} s, as if the benchmark's machine had made it in the benchmark's "
        "network with all operations of the space on each edge."
    )
    own = {
        "image_size": board.chosen.data.image_size,
        "channels": board.chosen.network.channels,
        "cells_per_stage": board.chosen.network.cells_per_stage,
    }
    if not table["kind"].eq("search").any():
        return
    if own != BENCHMARK_NETWORK:
        yield (
            f"The searches of this board ran in another network ({_network(own)}, instead of "
            f"{_network(BENCHMARK_NETWORK)}), so that the charge is not what they took; and what they found in it is "
            "judged by cells trained at full size."
        )
    yield (
        "A search that runs a part of the supernet in a pass is charged for the whole. The measured cost is the wall "
        "time on this machine, which no baseline has: it compares searches with each other, not with baselines."
    )


def _network(shape: dict[str, int]) -> str:
    size = shape["image_size"]
    cells = f"{shape['cells_per_stage']} cell{'' if shape['cells_per_stage'] == 1 else 's'} a stage"
    return f"{size} × {size} pixels, {shape['channels']} channels, {cells}"


def frontier_sentences(table: pd.DataFrame) -> Iterator[str]:
    """Yield what the table shows."""
    for cost in COSTS:
        frontier = table[table[f"{cost}_dominated_by"] == ""].sort_values(cost)
        named = [f"{row['variant']} ({row['truth']:.2f} %, {seconds(row[cost])} s)" for _, row in frontier.iterrows()]
        yield (
            f"By {cost} cost {len(frontier)} of {_variants(len(table))} {'is' if len(frontier) == 1 else 'are'} on the "
            f"frontier, from the cheapest: {first_of(named, NAMED)}."
        )
    compared = table.dropna(subset=["equal_cost_truth"])
    searches = table[table["kind"] == "search"]
    if len(compared):
        above = int((compared["truth"] > compared["equal_cost_truth"]).sum())
        yield (
            f"Of {_variants(len(compared), 'search')} that cost as much as a baseline's first cell or more, {above} "
            f"{'is' if above == 1 else 'are'} above the best baseline of the same charge."
        )
    early = len(searches) - len(compared)
    if early and table["kind"].eq("baseline").any():
        verb = "ends" if early == 1 else "end"
        yield f"{_variants(early, 'search')} {verb} before any baseline has paid for one cell."


def _variants(count: int, kind: str = "") -> str:
    return f"{count} {kind}{' ' if kind else ''}variant{'' if count == 1 else 's'}"


def baseline_notes(results: Results) -> str:
    """Return what the baselines searched by and what they were charged, as their runs note it."""
    runs = results.finished[results.finished["kind"] == "baseline"]
    if "notes" not in runs:
        return ""
    notes = dict.fromkeys(note for text in runs["notes"].dropna().unique() for note in text.split("; ") if note)
    return f"The baselines {'; '.join(notes)}." if notes else ""
