"""Tests of many differences at once, with p-values that hold for all of them and for the choice of the reference."""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from harness.base.streams import stream
from harness.statistics.estimates import DECIMALS, FloatArray, finite

EXACT_SEEDS = 14
"""Most seeds whose sign patterns are all counted: 2**13, for a pattern and its opposite count as one."""

DRAWN_PATTERNS = 10_000

_CHUNK = 1_000


def adjusted_p_values(
    results: pd.DataFrame, reference: str, candidates: Iterable[str] = (), *, seed: int = 0
) -> pd.Series:
    """Return the adjusted p-value of each method's difference to the reference, NaN without a common seed.

    Args:
        results: [seeds, methods], NaN where a method has no result for a seed.
        reference: the method that the others are compared with.
        candidates: the methods among which these same results chose the reference: the comparisons with each of them
            count, so the chance of any false one stays below the level although the best was chosen.
        seed: of the stream of drawn signs.

    Raises:
        ValueError: a result is infinite, or there is none.
    """
    others = results.columns.drop(reference)
    p_values = pd.Series(np.nan, index=others)
    references = list(dict.fromkeys([reference, *candidates]))
    pairs = [
        (first, second)
        for place, first in enumerate(references)
        for second in results.columns
        if second not in references[: place + 1]
    ]
    if pairs:
        first, second = (results[list(names)].to_numpy(dtype=np.float64) for names in zip(*pairs, strict=True))
        differences = np.round(first - second, DECIMALS)
        adjusted = step_down_sign_flips(np.where(np.isnan(differences), 0.0, differences), seed=seed)
        # The pairs of the reference come first, in the order of the others.
        p_values[:] = adjusted[: len(others)]
        p_values[np.isnan(differences).all(axis=0)[: len(others)]] = np.nan
    return p_values


def step_down_sign_flips(differences: ArrayLike, *, seed: int = 0) -> FloatArray:
    """Return the p-values of mean differences that are not zero, [seeds, comparisons], adjusted for all of them.

    All differences of a seed take one sign together, which keeps how they depend on each other. The statistic of a
    comparison is its sum over the root of its sum of squares, which orders as Student's t does. The p-value of the
    largest is the share of sign patterns under which any comparison is as large; that of the second counts the others
    only, and so on, never falling. So no number of comparisons takes more seeds than one: the smallest p-value stays
    2 / 2^seeds. A zero, as for a seed that a method lacks, changes nothing.

    The chance of any false rejection stays below the level where the differences of equal methods are together as
    likely with either sign, as for runs whose spreads differ but are symmetric. It does not for equal means with
    skewed spreads that differ. Westfall and Young 1993, algorithm 2.8; Romano and Wolf 2005.

    Raises:
        ValueError: see `finite`.
    """
    values = finite(differences, "the table of differences")
    norms = np.sqrt((values**2).sum(axis=0))
    scaled = values / np.where(norms > 0, norms, 1.0)
    observed = np.abs(scaled.sum(axis=0))
    order = np.argsort(-observed, kind="stable")
    bounds = observed[order] - 10.0**-DECIMALS  # equal up to rounding is as large
    counts, patterns = np.zeros(len(order)), 0
    for signs in _sign_patterns(len(values), seed):
        sums = np.abs(signs @ scaled[:, order])
        largest_of_the_rest = np.maximum.accumulate(sums[:, ::-1], axis=1)[:, ::-1]
        counts += (largest_of_the_rest >= bounds).sum(axis=0)
        patterns += len(signs)
    adjusted = np.empty_like(observed)
    adjusted[order] = np.maximum.accumulate(counts / patterns)
    return adjusted


def _sign_patterns(seeds: int, seed: int) -> Iterator[FloatArray]:
    """Yield sign patterns, [patterns, seeds]: all of them, or the one that was observed and drawn ones."""
    if seeds <= EXACT_SEEDS:
        for start in range(0, 2 ** (seeds - 1), _CHUNK):
            numbers = np.arange(start, min(start + _CHUNK, 2 ** (seeds - 1)))
            yield np.where(numbers[:, None] >> np.arange(seeds) & 1, -1.0, 1.0)
        return
    yield np.ones((1, seeds))
    generator = stream(seed, "sign-flips")
    for _ in range(DRAWN_PATTERNS // _CHUNK):
        yield np.where(generator.integers(2, size=(_CHUNK, seeds)), 1.0, -1.0)
