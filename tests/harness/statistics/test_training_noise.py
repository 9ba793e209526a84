import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.statistics import training_noise
from harness.statistics.training_noise import (
    BEYOND,
    LIKE,
    UNKNOWN,
    WITHIN,
    allowed_difference,
    called,
    error_of_mean,
    errors_of_means,
    pooled_sd,
)

NAN = math.nan


def runs(*cells: tuple[int, float, float]) -> pd.DataFrame:
    return pd.DataFrame(cells, columns=["cell", "error", "freedom"])


def test_the_error_of_a_mean_is_its_own_spread_by_the_root_of_the_trainings() -> None:
    found = errors_of_means(np.array([54.3, 90.0]), np.array([13.2, 0.2]), np.array([3.0, 2.0]))
    np.testing.assert_allclose(found.error, [13.2 / math.sqrt(3), 0.2 / math.sqrt(2)])
    np.testing.assert_array_equal(found.freedom, [2, 1])


def test_a_cell_that_was_trained_once_counts_with_the_spread_of_cells_of_its_accuracy() -> None:
    means = np.array([50.0, 51.0, 90.0, 91.0, 90.5])
    sds = np.array([8.0, 6.0, 0.3, 0.4, NAN])
    trainings = np.array([3.0, 2.0, 3.0, 2.0, 1.0])
    found = errors_of_means(means, sds, trainings)
    # Fewer than `LIKE` cells have a spread, so all of them stand in.
    assert found.error[4] == pytest.approx(math.sqrt((2 * 64 + 36 + 2 * 0.09 + 0.16) / 6))
    assert found.freedom[4] == 6


def test_only_the_nearest_cells_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_noise, "LIKE", 2)
    means = np.array([50.0, 51.0, 90.0, 91.0, 90.5, 10.0, 99.0])
    sds = np.array([8.0, 6.0, 0.3, 0.4, NAN, NAN, NAN])
    trainings = np.array([3.0, 3.0, 3.0, 3.0, 1.0, 1.0, 1.0])
    found = errors_of_means(means, sds, trainings)
    near, low = math.sqrt((0.09 + 0.16) / 2), math.sqrt((64 + 36) / 2)
    np.testing.assert_allclose(found.error[4:], [near, low, near])
    assert LIKE == 200


def test_of_a_mean_alone_nothing_is_known() -> None:
    found = errors_of_means(np.array([90.0, 91.0]), np.array([NAN, NAN]), np.array([NAN, 1.0]))
    assert np.isnan(found.error).all()
    assert np.isnan(found.freedom[0])


def test_two_cells_are_compared_as_by_welch() -> None:
    first, second = np.array([61.21, 39.13, 62.55]), np.array([70.0, 71.0])
    sides = [runs((cell, np.std(x, ddof=1) / math.sqrt(len(x)), len(x) - 1)) for cell, x in enumerate((first, second))]
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert allowed_difference(*sides) == pytest.approx((interval.high - interval.low) / 2)


def test_more_runs_that_find_the_same_cell_do_not_help() -> None:
    one, other = runs((1, 7.6, 2)), runs((2, 0.1, 2))
    assert allowed_difference(pd.concat([one] * 10), other) == pytest.approx(allowed_difference(one, other))


def test_runs_that_find_different_cells_do() -> None:
    same = allowed_difference(runs((1, 0.2, 50)), runs((2, 0.2, 50)))
    spread = allowed_difference(runs((1, 0.2, 50), (3, 0.2, 50)), runs((2, 0.2, 50), (4, 0.2, 50)))
    assert spread == pytest.approx(same / math.sqrt(2), rel=0.03)


def test_a_cell_of_both_sides_cancels() -> None:
    assert allowed_difference(runs((1, 7.6, 2)), runs((1, 7.6, 2))) == 0
    half = allowed_difference(runs((1, 7.6, 2), (2, 0.2, 2)), runs((1, 7.6, 2), (3, 0.2, 2)))
    assert half == pytest.approx(stats.t.ppf(0.975, 4) * math.sqrt(2 * 0.1**2))


def test_what_is_not_known_is_not_called_small() -> None:
    assert math.isnan(allowed_difference(runs((1, NAN, NAN)), runs((2, 0.1, 2))))
    assert math.isnan(allowed_difference(runs((NAN, 0.1, 2)), runs((2, 0.1, 2))))  # type: ignore[arg-type]
    assert allowed_difference(runs((1, NAN, NAN)), runs((1, NAN, NAN))) == 0
    assert [called(-0.1, NAN), called(-0.1, 0.2), called(-1.0, 0.2)] == [UNKNOWN, WITHIN, BEYOND]
    assert called(0.0, 0.0) == WITHIN  # of the same cells


def test_cells_without_any_spread_allow_none() -> None:
    assert allowed_difference(runs((1, 0.0, 2)), runs((2, 0.0, 2))) == 0


def test_a_side_without_a_run_is_refused() -> None:
    with pytest.raises(ValueError, match="a side of the difference has no run"):
        allowed_difference(runs(), runs((1, 0.1, 2)))
    with pytest.raises(ValueError, match="the level is 5"):
        allowed_difference(runs((1, 0.1, 2)), runs((2, 0.1, 2)), level=5)


@pytest.mark.slow
def test_chance_in_training_exceeds_what_is_allowed_as_often_as_stated() -> None:
    generator = np.random.default_rng(0)
    exceeded = 0
    for _ in range(2000):
        drawn = generator.normal(90.0, 0.2, (2, 3))
        sides = [runs((cell, own.std(ddof=1) / math.sqrt(3), 2)) for cell, own in enumerate(drawn)]
        exceeded += abs(drawn[0].mean() - drawn[1].mean()) > allowed_difference(*sides)
    assert 0.02 < exceeded / 2000 < 0.06


def test_the_pooled_spread_weighs_cells_by_their_freedom() -> None:
    assert pooled_sd(np.array([1.0, 2.0, NAN, NAN]), np.array([3.0, 2.0, 1.0, NAN])) == pytest.approx(math.sqrt(6 / 3))
    assert math.isnan(pooled_sd(np.array([NAN]), np.array([1.0])))


def test_the_error_of_a_mean_over_runs_counts_each_cell_as_often_as_it_was_found() -> None:
    found = error_of_mean(runs((1, 0.3, 2), (1, 0.3, 2), (2, 0.6, 2)))
    assert found == pytest.approx(math.sqrt((2 / 3 * 0.3) ** 2 + (1 / 3 * 0.6) ** 2))
    assert math.isnan(error_of_mean(runs((1, 0.3, 2), (2, NAN, NAN))))
