from pathlib import Path

import pytest

from benchmarks import simulated_cluster
from benchmarks.simulated_cluster import main
from tests.benchmarks.pages import quick_page


def test_a_quick_cluster_does_all_runs_within_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated_cluster, "DEATHS", 0.75)
    monkeypatch.setattr(simulated_cluster, "DVC_QUICK", (2,))
    _, table = quick_page(main, tmp_path)
    cluster, commits = table[:2], table[2:]
    assert list(cluster["workers that die"]) == ["0%", "75%"]
    assert list(cluster["done"]) == [8, 8]
    assert (cluster["ratio"] >= 1).all()
    assert cluster["makespan, h"][1] > cluster["makespan, h"][0]
    assert list(commits["DVC runs"]) == [2]
