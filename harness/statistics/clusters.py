"""Intervals over values that come in clusters, such as the runs of several variants."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.statistics.estimates import FloatArray, Interval, percentile_interval, resampled_weights, resampling

RESAMPLES = 2_000
CONSTANT = 1e-12
"""Variances of ranks up to here are rounding."""


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
    found = _rho(_rank_moments(first, second, np.vstack([np.ones_like(drawn[0]), drawn])))
    return percentile_interval(float(found[0]), found[1:], level)


def spearman_within(
    first: FloatArray, second: FloatArray, clusters: NDArray[Any], *, level: float = 0.95, seed: int = 0
) -> Interval:
    """Return Spearman's rho within clusters with its bootstrap interval, drawing values within each; all [values].

    A value is ranked among those of its cluster alone, as a share of them, so what differs between clusters counts for
    nothing. Covariances and variances of these ranks are added over the clusters. One in which a side is constant says
    nothing and is left out, also of a resample; where that leaves none, rho is 0.

    Raises:
        ValueError: the level is not within 0 and 1.
    """
    generator = resampling(level, RESAMPLES, seed)
    moments = np.zeros((3, 1 + RESAMPLES))
    for cluster in np.unique(clusters):
        own, other = first[clusters == cluster], second[clusters == cluster]
        if np.ptp(own) > 0 and np.ptp(other) > 0:
            drawn = resampled_weights(generator, len(own), RESAMPLES)
            found = _rank_moments(own, other, np.vstack([np.ones_like(drawn[0]), drawn]))
            moments += len(own) * np.where((found[1:] > CONSTANT).all(axis=0), found, 0.0)
    rho = _rho(moments)
    return percentile_interval(float(rho[0]), rho[1:], level)


def _rank_moments(first: FloatArray, second: FloatArray, weights: FloatArray) -> FloatArray:
    """Return covariance and variances of the ranks under each row of weights, [3, resamples]; ranks are shares."""
    shares = weights / weights.sum(axis=1, keepdims=True)
    centred = []
    for values in (first, second):
        ranks = shares @ ((np.sign(values[:, None] - values[None, :]) + 1) / 2).T
        centred.append(ranks - (shares * ranks).sum(axis=1, keepdims=True))
    one, other = centred
    return np.stack([(shares * product).sum(axis=1) for product in (one * other, one**2, other**2)])


def _rho(moments: FloatArray) -> FloatArray:
    """Return the correlation of each column; 0 where one side is constant."""
    product, *variances = moments
    norm = np.sqrt(np.prod(variances, axis=0))
    return np.divide(product, norm, out=np.zeros_like(product), where=norm > CONSTANT)
