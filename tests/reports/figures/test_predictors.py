import math

import numpy as np
import pandas as pd
import pytest

from reports.figures import predictors


@pytest.mark.parametrize("values", [[0.1, 10.0], [-2.0, 0.0, 0.1], [-1.0], [math.nan]])
def test_eigenvalues_without_a_logarithm_stand_apart(values):
    from matplotlib.figure import Figure

    series = pd.Series(values)
    panel = Figure().add_subplot()
    positions = predictors.signed_log_axis([panel], series)
    positive = series > 0
    assert np.allclose(positions[positive], np.log10(series[positive]))
    assert (positions[series <= 0] < positions[positive].min()).all() or not positive.any()
    assert (positions[series <= 0] < panel.get_xticks()[1]).all()
    assert positions.isna().equals(series.isna())
    assert ("≤ 0" in [label.get_text() for label in panel.get_xticklabels()]) == bool((series <= 0).any())
