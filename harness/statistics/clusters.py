"""Intervals over values that come in clusters, such as the runs of several variants."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.statistics.estimates import FloatArray, Interval, percentile_interval, resampled_weights, resampling

RESAMPLES = 2_000


def clustered_spearman(
    first: FloatArray, second: FloatArray, clusters: NDArray[Any], *, level: float = 0.95, seed: int = 0
) -> Interval:
    """Return Spearman's rho of two lists with its bootstrap interval, drawing whole clusters; all [values].

    Values of a cluster, such as the runs of a variant, resemble each other: drawn one by one they would count as more
    than they are. A resample in which one side is constant counts as 0. Field and Welsh 2007, section 3.1.

    Raises:
        ValueError: the level is not within 0 and 1.
    """
    _, cluster = np.unique(clusters, return_inverse=True)
    count = int(cluster.max()) + 1
    drawn = resampled_weights(resampling(level, RESAMPLES, seed), count, RESAMPLES)[:, cluster]
    estimate = _weighted_spearman(first, second, np.ones((1, len(first))))[0]
    return percentile_interval(float(estimate), _weighted_spearman(first, second, drawn), level)


def _weighted_spearman(first: FloatArray, second: FloatArray, weights: FloatArray) -> FloatArray:
    """Return rho under each row of weights, [resamples, values]; 0 where one side is constant."""
    shares = weights / weights.sum(axis=1, keepdims=True)
    centred = []
    for values in (first, second):
        ranks = weights @ ((np.sign(values[:, None] - values[None, :]) + 1) / 2).T
        centred.append(ranks - (shares * ranks).sum(axis=1, keepdims=True))
    product = (shares * centred[0] * centred[1]).sum(axis=1)
    norm = np.sqrt(np.prod([(shares * ranks**2).sum(axis=1) for ranks in centred], axis=0))
    return np.divide(product, norm, out=np.zeros_like(product), where=norm > 1e-12)
