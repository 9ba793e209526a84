import math

import pandas as pd

from reports.analysis.trajectories import over_seeds


def test_quartiles_over_seeds_ignore_runs_that_ended_and_the_best_so_far_never_falls():
    by_seed = pd.DataFrame(
        {0: [90.0, 50.0, 60.0], 1: [80.0, 92.0, 70.0], 2: [85.0, math.nan, math.nan]}, index=[1, 2, 3]
    )
    found = over_seeds(by_seed)
    assert found["median"].tolist() == [85.0, 71.0, 65.0]
    assert found["lower"].tolist() == [82.5, 60.5, 62.5]
    assert found["upper"].tolist() == [87.5, 81.5, 67.5]
    assert found["best_so_far"].tolist() == [85.0, 91.0, 91.0]
