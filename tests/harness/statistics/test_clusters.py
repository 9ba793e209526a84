"""The rank correlation of runs that come in clusters."""

import numpy as np
import pandas as pd
import pytest

from harness.statistics.clusters import clustered_spearman


def sample(clusters: int, runs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(clusters)
    first = generator.normal(size=clusters * runs).round(1)
    return first, (first + generator.normal(size=len(first))).round(1), np.repeat(np.arange(clusters), runs)


def test_the_estimate_is_spearmans_with_ties():
    first, second, clusters = sample(12, 3)
    interval = clustered_spearman(first, second, clusters)
    assert interval.estimate == pytest.approx(pd.Series(first).corr(pd.Series(second), method="spearman"))
    assert interval.low < interval.estimate < interval.high


def test_runs_that_repeat_their_variant_add_nothing():
    first, second, clusters = sample(12, 1)
    once = clustered_spearman(first, second, clusters)
    assert clustered_spearman(*(np.repeat(each, 5) for each in (first, second, clusters))) == pytest.approx(once)
    # Drawn one by one, they would pass for five times as many.
    alone = clustered_spearman(np.repeat(first, 5), np.repeat(second, 5), np.arange(60))
    assert alone.high - alone.low < 0.7 * (once.high - once.low)


def test_a_resample_is_that_of_its_runs(monkeypatch):
    first, second, clusters = sample(5, 2)
    drawn = np.array([[2, 0, 1, 1, 1]])
    monkeypatch.setattr("harness.statistics.clusters.RESAMPLES", 1)
    monkeypatch.setattr("harness.statistics.clusters.resampled_weights", lambda *_: drawn / 5)
    runs = np.repeat(np.arange(10), drawn[0][clusters])
    expected = pd.Series(first[runs]).corr(pd.Series(second[runs]), method="spearman")
    monkeypatch.setattr("harness.statistics.clusters.percentile_interval", lambda estimate, draws, level: draws)
    assert clustered_spearman(first, second, clusters) == pytest.approx([expected])


def test_a_constant_side_has_no_correlation():
    assert clustered_spearman(np.ones(6), np.arange(6.0), np.arange(6)) == (0, 0, 0)
