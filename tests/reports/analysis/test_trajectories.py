import math

import pandas as pd
import pytest

from harness.results.folder import Results, load_results
from reports.analysis.trajectories import diagnostics, median_and_range, op_weights, over_seeds, truth_by_seed
from tests.reports.simulate import Simulation


def test_quartiles_over_seeds_ignore_runs_that_ended_and_the_best_so_far_never_falls():
    by_seed = pd.DataFrame(
        {0: [90.0, 50.0, 60.0], 1: [80.0, 92.0, 70.0], 2: [85.0, math.nan, math.nan]}, index=[1, 2, 3]
    )
    found = over_seeds(by_seed)
    assert found["median"].tolist() == [85.0, 71.0, 65.0]
    assert found["lower"].tolist() == [82.5, 60.5, 62.5]
    assert found["upper"].tolist() == [87.5, 81.5, 67.5]
    assert found["best_so_far"].tolist() == [85.0, 91.0, 91.0]


def test_the_median_and_the_ends_of_every_group():
    values = pd.DataFrame({"epoch": [1, 1, 1, 2], "value": [3.0, 1.0, 9.0, math.nan]})
    found = median_and_range(values, ["epoch"], "value")
    assert found.iloc[0].tolist() == [1.0, 1.0, 3.0, 9.0]
    assert list(found) == ["epoch", "low", "median", "high"] and found.iloc[1, 1:].isna().all()


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    folder = tmp_path_factory.mktemp("results")
    Simulation(seeds=(0, 1), epochs=3, evaluations=3, lost={("darts", 1): ("failed", "x")}).write(folder)
    return load_results(folder)


def test_a_run_returns_its_cell_at_its_last_epoch_and_a_lost_one_none(results):
    found = truth_by_seed(results, "search", results.main)
    ends = found[found["last"]].set_index(["variant", "seed"])
    runs = results.runs.set_index(["variant", "seed"])
    assert (found.groupby(["variant", "seed"])["last"].sum() == 1).all()
    assert ends.loc[("darts", 0), "returned"] == runs.loc[("darts", 0), results.main.key]
    assert math.isnan(ends.loc[("darts", 1), "returned"])


def test_shares_lie_between_0_and_1_and_entropy_is_one_of_ln_5(results):
    found = diagnostics(results)
    assert set(found["measure"]) == {"skip_mass", "entropy", "margin"}
    assert found[["low", "median", "high"]].stack().between(0, 1 + 1e-9).all()
    assert (found["low"] <= found["high"]).all()
    raw = results.epochs.loc[(results.epochs["variant"] == "darts") & (results.epochs["epoch"] == 1), "entropy"]
    own = found[(found["variant"] == "darts") & (found["epoch"] == 1) & (found["measure"] == "entropy")].iloc[0]
    assert own["high"] == pytest.approx(raw.max() / math.log(5)) and own["seeds"] == 2


def test_cells_with_alphas_of_their_own_count_as_their_mean():
    rows = [
        ("0>1", "none", 1, seed, weight) for seed, weights in enumerate([(0.1, 0.3), (0.6, 0.8)]) for weight in weights
    ]
    alpha = pd.DataFrame(rows, columns=["edge", "operation", "epoch", "seed", "weight"])
    (row,) = op_weights(alpha)[["low", "median", "high"]].to_numpy()
    assert row == pytest.approx([0.2, 0.45, 0.7])
