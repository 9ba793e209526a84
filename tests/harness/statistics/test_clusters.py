"""The rank correlation of runs that come in clusters."""

import numpy as np
import pandas as pd
import pytest

from harness.statistics.clusters import clustered_spearman, spearman_within


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


class TestWithin:
    def test_what_differs_between_clusters_counts_for_nothing(self):
        first, second, clusters = sample(6, 8)
        found = spearman_within(first, second, clusters)
        assert spearman_within(first + 100 * clusters, second - 50 * clusters, clusters) == found
        assert found.low < found.estimate < found.high

    def test_of_one_cluster_it_is_spearmans_with_ties(self):
        first, second, _ = sample(1, 30)
        found = spearman_within(first, second, np.zeros(30))
        assert found.estimate == pytest.approx(pd.Series(first).corr(pd.Series(second), method="spearman"))

    def test_of_several_it_is_the_correlation_of_the_ranks_in_each(self):
        first, second, clusters = sample(5, 9)
        table = pd.DataFrame({"first": first, "second": second}).groupby(clusters).rank()
        assert spearman_within(first, second, clusters).estimate == pytest.approx(table.corr().loc["first", "second"])

    def test_clusters_without_spread_are_left_out(self):
        first, second, clusters = sample(3, 8)
        more = [np.append(first, np.arange(8.0)), np.append(second, np.ones(8)), np.append(clusters, [9] * 8)]
        assert spearman_within(*more) == spearman_within(first, second, clusters)
        assert spearman_within(np.ones(6), np.arange(6.0), np.zeros(6)) == (0, 0, 0)

    def test_a_resample_is_that_of_runs_within_their_clusters(self, monkeypatch):
        first, second, clusters = sample(2, 5)
        drawn = [[2, 0, 1, 1, 1], [0, 3, 1, 0, 1]]
        given = iter(np.array([row]) / 5 for row in drawn)
        monkeypatch.setattr("harness.statistics.clusters.RESAMPLES", 1)
        monkeypatch.setattr("harness.statistics.clusters.resampled_weights", lambda *_: next(given))
        monkeypatch.setattr("harness.statistics.clusters.percentile_interval", lambda estimate, draws, level: draws)
        runs = np.repeat(np.arange(10), np.concatenate(drawn))
        ranks = pd.DataFrame({"first": first[runs], "second": second[runs]}).groupby(clusters[runs]).rank()
        expected = ranks.corr().loc["first", "second"]
        assert spearman_within(first, second, clusters) == pytest.approx([expected])

    def test_a_cluster_that_a_resample_makes_constant_counts_as_left_out(self, monkeypatch):
        first, second, clusters = sample(2, 5)
        given = iter(np.array([row]) / 5 for row in ([1, 1, 1, 1, 1], [5, 0, 0, 0, 0]))
        monkeypatch.setattr("harness.statistics.clusters.RESAMPLES", 1)
        monkeypatch.setattr("harness.statistics.clusters.resampled_weights", lambda *_: next(given))
        monkeypatch.setattr("harness.statistics.clusters.percentile_interval", lambda estimate, draws, level: draws)
        alone = pd.Series(first[:5]).corr(pd.Series(second[:5]), method="spearman")
        assert spearman_within(first, second, clusters) == pytest.approx([alone])

    def test_it_seldom_sees_what_is_not_there(self, monkeypatch):
        monkeypatch.setattr("harness.statistics.clusters.RESAMPLES", 500)
        generator, clusters = np.random.default_rng(0), np.repeat(np.arange(4), 12)
        boards = 400
        found = [spearman_within(*generator.normal(size=(2, 48)) + 5 * clusters, clusters) for _ in range(boards)]
        assert np.mean([not each.low <= 0 <= each.high for each in found]) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / boards)
