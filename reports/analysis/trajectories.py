"""What changes over the epochs of a search: truth of the current cell, diagnostics, op weights; the seeds together."""

import math

import numpy as np
import pandas as pd

from harness.results.folder import Results, TruthColumn

DIAGNOSTICS = ("skip_mass", "entropy", "margin")
"""Columns of the epochs that are shares from 0 to 1, entropy as a share of its largest value."""


def truth_by_seed(results: Results, kind: str, column: TruthColumn) -> pd.DataFrame:
    """Return the truth of the current cell of every run: variant, seed, epoch, truth, last, returned.

    For searches that is the argmax cell of each epoch, for baselines the best so far by their own signal. `last` tells
    the last epoch of a run, `returned` is the truth of the cell that it returns, NaN without a result.
    """
    epochs = results.epochs[results.epochs["kind"] == kind]
    rows = epochs[["variant", "seed", "epoch"]].assign(truth=epochs[column.key])
    finished = results.finished[["variant", "seed", column.key]].rename(columns={column.key: "returned"})
    rows = rows.merge(finished, on=["variant", "seed"], how="left")
    last = rows["epoch"] == rows.groupby(["variant", "seed"])["epoch"].transform("max")
    return rows.assign(last=last)


def truth_over_seeds(by_seed: pd.DataFrame) -> pd.DataFrame:
    """Return the truth over the seeds: variant, epoch, measure (truth), low, median, high, best_so_far.

    `by_seed` as of `truth_by_seed`; low and high are quartiles, as of `over_seeds`.
    """
    frames = [
        over_seeds(own.pivot(index="epoch", columns="seed", values="truth")).assign(variant=variant)
        for variant, own in by_seed.groupby("variant", sort=False)
    ]
    quarters = pd.concat(frames).reset_index().rename(columns={"lower": "low", "upper": "high"})
    return quarters.assign(measure="truth")


def over_seeds(by_seed: pd.DataFrame) -> pd.DataFrame:
    """Return, index epoch, the lower and upper quartile and the median over the seeds, and best_so_far.

    `by_seed`: a column per seed, NaN where a run has ended or a value is unknown; those do not count. `best_so_far` is
    the median over the seeds of each run's best until then.
    """
    quarters = by_seed.quantile(np.array([0.25, 0.5, 0.75]), axis=1).T
    quarters.columns = pd.Index(["lower", "median", "upper"])
    return quarters.assign(best_so_far=by_seed.cummax().median(axis=1))


def median_and_range(values: pd.DataFrame, keys: list[str], name: str) -> pd.DataFrame:
    """Return the median and the ends of a column in every group: the keys, low, median, high."""
    found = values.groupby(keys)[name].agg(["min", "median", "max"])
    return found.rename(columns={"min": "low", "max": "high"}).reset_index()


def diagnostics(results: Results) -> pd.DataFrame:
    """Return `DIAGNOSTICS` of the searches over the epochs: variant, epoch, measure, seeds, low, median, high.

    `seeds`: runs of the variant with a diagnostic.
    """
    epochs = results.epochs[results.epochs["kind"] == "search"].dropna(subset=list(DIAGNOSTICS), how="all")
    epochs = epochs.assign(entropy=epochs["entropy"] / math.log(len(results.operations)))
    frames = [median_and_range(epochs, ["variant", "epoch"], name).assign(measure=name) for name in DIAGNOSTICS]
    seeds = epochs.groupby("variant")["seed"].nunique().rename("seeds")
    return pd.concat(frames, ignore_index=True).join(seeds, on="variant")


def op_weights(alpha: pd.DataFrame) -> pd.DataFrame:
    """Return the op weights of one variant: edge, operation, epoch, low, median, high.

    Where cells have alphas of their own, a seed's value is the mean over its cells.
    """
    by_seed = alpha.groupby(["edge", "operation", "epoch", "seed"])["weight"].mean().reset_index()
    return median_and_range(by_seed, ["edge", "operation", "epoch"], "weight")


MEASURES = ("entropy", "margin", "skip_mass", "discretisation_gap", "hessian_largest")
"""Columns of the epochs that the page of a variant shows beside the truth."""


def measures(epochs: pd.DataFrame, column: TruthColumn, operations: int) -> pd.DataFrame:
    """Return truth and `MEASURES` of one variant over the epochs: measure, epoch, low, median, high.

    `epochs`: its rows of `Results.epochs`; `operations`: how many an edge chooses from. Only what was measured; entropy
    is a share of the logarithm of that number.
    """
    scaled = epochs.assign(entropy=epochs["entropy"] / math.log(operations))
    frames = [
        median_and_range(scaled.dropna(subset=[name]), ["epoch"], name).assign(measure=name)
        for name in (column.key, *MEASURES)
    ]
    return pd.concat(frames, ignore_index=True)
