"""Cost and quality of gradient-based, reinforcement-learning, evolutionary and random search on one axis."""

from collections.abc import Iterator
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.settings.protocol import Board
from harness.settings.strategy import Strategy
from harness.space.cell import EDGES, OPERATIONS
from harness.truth.training_time import BASE_SECONDS, MODEL_EPOCHS, SECONDS
from reports.figures import frontier as frontier_figures
from reports.figures import style
from reports.results import Results
from reports.section import Block, Figures, Section, Text
from reports.tables.table import DASH, Entry, Table, number

STRATEGIES: tuple[str, ...] = get_args(Strategy)

COSTS = {"charged": "charged", "measured": "measured (baselines: charged)"}
"""Cost column and how it is called."""

MODEL_IMAGES = 50_000
"""Training images of an epoch in the model of harness/truth/training_time.py."""

HALF = 25_000
"""Training images of the benchmark's search: half of CIFAR-10."""

BENCHMARK_NETWORK = {"image_size": 32, "channels": 16, "cells_per_stage": 5}

GRID = 120
"""Costs at which the curves are drawn, evenly spaced on a logarithmic axis."""


def image_seconds(edges_per_operation: float) -> float:
    """Return the modelled seconds that an image takes, forward and backward, in the benchmark's network.

    `edges_per_operation`: how many edges carry each of the five operations; 6 for the supernet, 6/5 for the average
    cell. The model is linear in these counts, see harness/truth/training_time.py.
    """
    per_operation = sum(SECONDS.get(operation, 0.0) for operation in OPERATIONS)
    return (BASE_SECONDS + edges_per_operation * per_operation) / (MODEL_EPOCHS * MODEL_IMAGES)


def pass_seconds(batch_size: int) -> float:
    """Return the seconds charged for a forward-backward pass of one batch through the whole supernet."""
    return batch_size * image_seconds(len(EDGES))


def epoch_seconds() -> float:
    """Return the seconds charged for training the average cell for an epoch on `HALF` images."""
    return HALF * image_seconds(len(EDGES) / len(OPERATIONS))


def finished_runs(results: Results, board: Board) -> pd.DataFrame:
    """Return cost and truth of every finished run: variant, seed, kind, strategy, truth, charged, measured.

    truth (percent) is that of the cell the run returns. charged (seconds): of a baseline, the training of the cells it
    evaluated; of a search, `pass_seconds` for each pass. measured (seconds): of a search, its wall time; of a baseline,
    which only looks up, the charge. A run whose cost is not known is left out.
    """
    runs = results.finished[["variant", "seed", "kind", "strategy", "seconds", "forward_backward_passes"]]
    runs = runs.assign(truth=results.finished[results.main.key])
    paid = results.epochs.groupby(["variant", "seed"])["cost_seconds"].max().rename("paid")
    runs = runs.join(paid, on=["variant", "seed"])
    search = runs["kind"] == "search"
    runs["charged"] = runs["paid"].where(
        ~search, runs["forward_backward_passes"] * pass_seconds(board.chosen.batch_size)
    )
    runs["measured"] = runs["seconds"].where(search, runs["paid"])
    # A cost of nothing has no place on a logarithmic axis.
    known = runs["truth"].notna() & (runs["charged"] > 0) & (runs["measured"] > 0)
    return runs.loc[known, ["variant", "seed", "kind", "strategy", "truth", "charged", "measured"]]


def points(runs: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    """Return a row a variant, by strategy and within it by `order`; `runs` as of `finished_runs`.

    variant, kind, strategy, n
    truth, charged, measured            medians over the seeds
    <each>_low, <each>_high             quartiles
    <cost>_dominated_by                 a variant that costs no more and is no worse, and better in one of the two, by
                                        the medians: of all of them the best; empty on the Pareto frontier
    """
    grouped = runs.groupby("variant", sort=False)
    table = grouped[["kind", "strategy"]].first().assign(n=grouped.size())
    for name in ("truth", *COSTS):
        table[name] = grouped[name].median()
        table[f"{name}_low"], table[f"{name}_high"] = grouped[name].quantile(0.25), grouped[name].quantile(0.75)
    places = {variant: place for place, variant in enumerate(order)}
    table = table.reset_index()
    table = table.assign(place=table["variant"].map(places), group=table["strategy"].map(STRATEGIES.index))
    table = table.sort_values(["group", "place"]).drop(columns=["place", "group"]).reset_index(drop=True)
    for cost in COSTS:
        table[f"{cost}_dominated_by"] = dominated_by(table, cost)
    return table


def dominated_by(table: pd.DataFrame, cost: str) -> list[str]:
    """Return for each row the best variant that dominates it (cheaper or equal, better or equal, not both equal)."""
    costs, truths = table[cost].to_numpy(), table["truth"].to_numpy()
    best_first = table.sort_values(["truth", cost], ascending=[False, True], kind="stable").index
    found = []
    for own_cost, own_truth in zip(costs, truths, strict=True):
        dominating = (costs <= own_cost) & (truths >= own_truth) & ((costs < own_cost) | (truths > own_truth))
        found.append(next((str(table.at[row, "variant"]) for row in best_first if dominating[row]), ""))
    return found


# Over the cost


def answers(results: Results, runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return what each run would answer over its course: by variant, a row a step: seed, share, charged, truth.

    `share` of the run's cost at which the answer is there. Of a baseline the answer is the best cell by its signal, of
    a search the argmax cell of the epoch, and at the end the cell it returns; a search without alpha has that alone.
    A search's cost is spread evenly over its epochs.
    """
    key = results.main.key
    steps = results.epochs.dropna(subset=[key])[["variant", "seed", "epoch", "cost_seconds", key]]
    steps = steps.rename(columns={key: "truth"}).merge(runs.drop(columns="truth"), on=["variant", "seed"])
    last = steps.groupby(["variant", "seed"])["epoch"].transform("max")
    steps["share"] = (steps["epoch"] / last).where(steps["kind"] == "search", steps["cost_seconds"] / steps["charged"])
    ends = runs.assign(share=1.0)
    everything = pd.concat([steps[(steps["share"] < 1)], ends])[["variant", "seed", "share", *COSTS, "truth"]]
    everything = everything.sort_values(["variant", "seed", "share"], kind="stable")
    return {str(variant): table for variant, table in everything.groupby("variant")}


def truths_at(steps: pd.DataFrame, cost: str, marks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the truth of the answer that each run has at each cost, [runs, marks]; NaN before the first.

    `steps`: one variant's of `answers`. After its end a run keeps its answer.
    """
    rows = []
    for _, run in steps.groupby("seed"):
        reached = (run["share"] * run[cost]).to_numpy()
        known = np.concatenate([[np.nan], run["truth"].to_numpy()])
        # A cost that is met exactly counts as reached, whatever the rounding of the shares.
        rows.append(known[np.searchsorted(reached, marks * (1 + 1e-9))])
    return np.array(rows)


def curve(steps: pd.DataFrame, cost: str, marks: NDArray[np.float64]) -> pd.DataFrame:
    """Return median and quartiles over the runs at each cost: cost, median, low, high.

    From the cost on at which half of the runs have an answer, until the last of them has ended.
    """
    marks = np.union1d(marks[marks < steps[cost].max()], steps[cost].max())
    truths = truths_at(steps, cost, marks)
    enough = np.isfinite(truths).mean(axis=0) >= 0.5
    low, median, high = np.nanquantile(truths[:, enough], [0.25, 0.5, 0.75], axis=0)
    return pd.DataFrame({"cost": marks[enough], "median": median, "low": low, "high": high})


def curves(all_answers: dict[str, pd.DataFrame], cost: str) -> pd.DataFrame:
    """Return the `curve` of every variant on one grid of costs, with the column variant in front."""
    reached = np.concatenate([(steps["share"] * steps[cost]).to_numpy() for steps in all_answers.values()])
    marks = np.geomspace(reached.min(), reached.max(), GRID)
    found = [curve(steps, cost, marks).assign(variant=variant) for variant, steps in all_answers.items()]
    return pd.concat(found, ignore_index=True)[["variant", "cost", "median", "low", "high"]]


def with_equal_cost(table: pd.DataFrame, all_answers: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Add the best baseline stopped at each search's charged cost: equal_cost_baseline and equal_cost_truth.

    The truth is the median over the baseline's runs; where no baseline has an answer that early both are missing.
    """
    baselines = table.loc[table["kind"] == "baseline", "variant"]
    names, truths = [], []
    for _, row in table.iterrows():
        found = {}
        for baseline in baselines if row["kind"] == "search" else ():
            values = truths_at(all_answers[baseline], "charged", np.array([row["charged"]]))[:, 0]
            if np.isfinite(values).mean() >= 0.5:
                found[baseline] = float(np.nanmedian(values))
        best = max(found, key=found.__getitem__, default="")
        names.append(best)
        truths.append(found.get(best, np.nan))
    return table.assign(equal_cost_baseline=names, equal_cost_truth=truths)


# The section


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
    return Section("frontier", "Cost and quality: four kinds of search on one axis", "Frontier", blocks)


def _frontier_figures(table: pd.DataFrame, results: Results, board: Board) -> Figures:
    title = f"Cost and quality: {results.main.label}"
    plot = frontier_figures.frontier
    drawn = [
        (
            label,
            style.Picture(f"frontier-{cost}", title, plot, table, cost, results.main, board.reference, epoch_seconds()),
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
        (label, style.Picture(f"anytime-{cost}", title, plot, table, curves(all_answers, cost), cost, results.main))
        for cost, label in COSTS.items()
    ]
    caption = (
        "Truth of what each method would answer if it were stopped: the best cell by its signal (baselines), the "
        "argmax cell of the epoch (searches with alpha); the last point is the returned cell. Medians over the seeds; "
        "bold is the variant of the strategy with the highest final median, with its quartiles as a band. The cost of "
        "a search is spread evenly over its epochs."
    )
    return Figures(drawn, caption)


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


def price_data(board: Board, results: Results) -> pd.DataFrame:
    """Return what each unit of work is charged: price, seconds, counted (`modelled` or `by the records`)."""
    rows = [
        (
            f"a pass of {board.chosen.batch_size} images through the whole supernet",
            pass_seconds(board.chosen.batch_size),
        ),
        (f"an epoch of training the average cell on {HALF:,} images", epoch_seconds()),
    ]
    found = [(what, price, "modelled") for what, price in rows]
    baselines = results.epochs[results.epochs["kind"] == "baseline"].sort_values("epoch", kind="stable")
    steps = baselines.groupby(["variant", "seed"])["cost_seconds"].diff().fillna(baselines["cost_seconds"]).dropna()
    if len(steps):
        found.append(("a cell that a baseline evaluates (median)", float(steps.median()), "by the records"))
    return pd.DataFrame(found, columns=["work", "seconds", "source"])


def price_table(prices: pd.DataFrame) -> Table:
    """Return the table of prices."""
    rows = [[Entry(row["work"]), Entry(seconds(row["seconds"])), Entry(row["source"])] for _, row in prices.iterrows()]
    caption = (
        "What is charged for a unit of work, seconds. Modelled: linear in the counts of the operations, fitted to "
        "NAS-Bench-201's own training times, for its network on its machine."
    )
    return Table("frontier-prices", caption, ["work", "charged (s)", "source"], [("", rows)], prices)


def price_sentences(prices: pd.DataFrame, table: pd.DataFrame, board: Board) -> Iterator[str]:
    """Yield what the axis means, and what it does not."""
    priced = prices["seconds"].tolist()
    yield (
        "Two different things are to be compared: a baseline trains many cells, which the truth table's seconds are "
        "charged for; a search trains one supernet, whose passes are counted. The charged cost puts both on one axis: "
        f"every pass is charged {seconds(priced[0])} s, as if the benchmark's machine had made it in the benchmark's "
        "network with all five operations on each edge."
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
            f"frontier, from the cheapest: {', '.join(named)}."
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
    notes = [note for note in runs["notes"].dropna().unique() if note]
    return f"The baselines {'; '.join(notes)}." if notes else ""
