"""Cost and quality of every variant, and which are on the Pareto frontier."""

from collections.abc import Collection
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.results.folder import Results
from harness.settings.protocol import Board
from harness.settings.strategy import Strategy
from harness.space.cell import EDGES, OPERATIONS
from harness.truth.training_time import BASE_SECONDS, MODEL_EPOCHS, SECONDS

STRATEGIES: tuple[str, ...] = get_args(Strategy)

COSTS = {"charged": "charged", "measured": "measured (baselines: charged)"}
"""Cost column and how it is called."""

MODEL_IMAGES = 50_000
"""Training images of an epoch in the model of harness/truth/training_time.py."""

HALF = 25_000
"""Training images of the benchmark's search: half of CIFAR-10."""

GRID = 120
"""Costs at which the curves are drawn, evenly spaced on a logarithmic axis."""


def image_seconds(edges_per_operation: float, operations: Collection[str] = OPERATIONS) -> float:
    """Return the modelled seconds that an image takes, forward and backward, in the benchmark's network.

    `edges_per_operation`: how many edges carry each of the operations; 6 for the supernet, 6/5 for the average cell of
    all five. The model is linear in these counts, see harness/truth/training_time.py.
    """
    per_operation = sum(SECONDS.get(operation, 0.0) for operation in operations)
    return (BASE_SECONDS + edges_per_operation * per_operation) / (MODEL_EPOCHS * MODEL_IMAGES)


def pass_seconds(batch_size: int, operations: Collection[str] = OPERATIONS) -> float:
    """Return the seconds charged for a forward-backward pass of one batch through the whole supernet."""
    return batch_size * image_seconds(len(EDGES), operations)


def epoch_seconds(operations: Collection[str] = OPERATIONS) -> float:
    """Return the seconds charged for training the average cell for an epoch on `HALF` images."""
    return HALF * image_seconds(len(EDGES) / len(operations), operations)


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
        ~search, runs["forward_backward_passes"] * pass_seconds(board.chosen.batch_size, board.chosen.operations)
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


def price_data(board: Board, results: Results) -> pd.DataFrame:
    """Return what each unit of work is charged: price, seconds, counted (`modelled` or `by the records`)."""
    rows = [
        (
            f"a pass of {board.chosen.batch_size} images through the whole supernet",
            pass_seconds(board.chosen.batch_size, board.chosen.operations),
        ),
        (f"an epoch of training the average cell on {HALF:,} images", epoch_seconds(board.chosen.operations)),
    ]
    found = [(what, price, "modelled") for what, price in rows]
    baselines = results.epochs[results.epochs["kind"] == "baseline"].sort_values("epoch", kind="stable")
    steps = baselines.groupby(["variant", "seed"])["cost_seconds"].diff().fillna(baselines["cost_seconds"]).dropna()
    if len(steps):
        found.append(("a cell that a baseline evaluates (median)", float(steps.median()), "by the records"))
    return pd.DataFrame(found, columns=["work", "seconds", "source"])
