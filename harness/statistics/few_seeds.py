"""How far a ranking by few seeds agrees with the ranking by all of them."""

from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.base.streams import stream
from harness.statistics.estimates import FloatArray, finite

FEWEST_SEEDS = 4
"""Below this, three of the seeds are no part of them worth a look."""

SUBSETS = 1_000
SIZES = (1, 2, 3, 5, 8, 13, 21, 34)
TOLERANCE = 1e-9
"""Means closer than this are equal: the order of additions differs between subsets."""


def few_seeds(values: FloatArray, apart: NDArray[np.bool_], *, seed: int = 0) -> pd.DataFrame:
    """Return how rankings by k of the n seeds differ from the ranking by all: index k, in `SIZES` and below n.

    subsets             subsets of k seeds: all of them up to `SUBSETS`, else as many drawn ones
    other_winner        share whose highest mean is another method's than with all seeds; equal winners share
    winner_apart        share whose winner all seeds tell apart from theirs
    tau, _low, _high    Kendall's tau-b between the two rankings: mean, 2.5 and 97.5 percentile; constant ones left out
    reversed            share of the pairs told apart that are the wrong way round; NaN without such a pair
    other_best          share whose highest best-of-k is another method's than the winner by the mean of all seeds

    Args:
        values: accuracies [methods, seeds], higher is better.
        apart: whether all seeds tell two methods apart, symmetric [methods, methods].
        seed: of the drawn subsets.

    Raises:
        ValueError: a value is not finite, there are fewer than 2 methods or `FEWEST_SEEDS` seeds, or `apart` has
            another shape.
    """
    values = finite(values, "the accuracies")
    if values.ndim != 2 or values.shape[0] < 2 or values.shape[1] < FEWEST_SEEDS:
        raise ValueError(f"the accuracies have shape {values.shape}, expected at least (2, {FEWEST_SEEDS})")
    methods, seeds = values.shape
    if apart.shape != (methods, methods):
        raise ValueError(f"the pairs told apart have shape {apart.shape}, expected {(methods, methods)}")
    means = values.mean(axis=1)
    winners = _winners(means[None])[0] > 0
    worse = apart[winners].any(axis=0) & ~winners
    first, second = np.triu_indices(methods, 1)
    order = _signs(means[None], first, second)[0]
    known = apart[first, second] & (order != 0)
    rows = []
    for size in (size for size in SIZES if size < seeds):
        chosen = values[:, subsets(seeds, size, seed=seed)]
        some = chosen.mean(axis=2).T
        shares = _winners(some)
        signs = _signs(some, first, second)
        tau = _tau_b(signs, order)
        tau = tau[~np.isnan(tau)]
        low, high = np.quantile(tau, [0.025, 0.975]) if len(tau) else (np.nan, np.nan)
        rows.append(
            {
                "k": size,
                "subsets": len(some),
                "other_winner": shares[:, ~winners].sum(axis=1).mean(),
                "winner_apart": shares[:, worse].sum(axis=1).mean(),
                "tau": tau.mean() if len(tau) else np.nan,
                "tau_low": low,
                "tau_high": high,
                "reversed": (signs[:, known] == -order[known]).mean() if known.any() else np.nan,
                "other_best": _winners(chosen.max(axis=2).T)[:, ~winners].sum(axis=1).mean(),
            }
        )
    return pd.DataFrame(rows).set_index("k")


def subsets(seeds: int, size: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Return places of `size` of the seeds, [subsets, size]: every subset up to `SUBSETS`, else as many drawn ones."""
    if comb(seeds, size) <= SUBSETS:
        return np.array(list(combinations(range(seeds), size)), dtype=np.int64)
    keys = stream(seed, f"few-seeds-{size}").random((SUBSETS, seeds))
    return np.argsort(keys, axis=1)[:, :size]


def _winners(scores: FloatArray) -> FloatArray:
    """Return each method's share of the first place, [rankings, methods]."""
    first = scores >= scores.max(axis=1, keepdims=True) - TOLERANCE
    return first / first.sum(axis=1, keepdims=True)


def _signs(scores: FloatArray, first: NDArray[np.int64], second: NDArray[np.int64]) -> FloatArray:
    """Return which of each pair is ahead, [rankings, pairs]: 1 the first, -1 the second, 0 neither."""
    ahead = scores[:, first] - scores[:, second]
    return np.where(np.abs(ahead) <= TOLERANCE, 0.0, np.sign(ahead))


def _tau_b(signs: FloatArray, order: FloatArray) -> FloatArray:
    """Return tau-b of every ranking with one, [rankings]; NaN where a side is constant. Kendall 1945."""
    norm = np.sqrt(np.abs(signs).sum(axis=1) * np.abs(order).sum())
    return np.divide(signs @ order, norm, out=np.full(len(signs), np.nan), where=norm > 0)
