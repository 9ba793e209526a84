import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.statistics.pareto import best_within, pareto_front

NUMBERS = st.one_of(st.integers(0, 4).map(float), st.just(np.nan))
POINTS = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12)


def columns(points: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(points, dtype=float).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def beaten(cost: float, value: float, costs: np.ndarray, values: np.ndarray) -> bool:
    return any(c <= cost and v >= value and (c, v) != (cost, value) for c, v in zip(costs, values, strict=True))


@given(points=POINTS)
def test_the_front_is_what_brute_force_finds(points: list[tuple[float, float]]) -> None:
    costs, values = columns(points)
    front = pareto_front(costs, values)
    expected = {(c, v) for c, v in points if not np.isnan(c + v) and not beaten(c, v, costs, values)}
    assert [(costs[place], values[place]) for place in front] == sorted(expected)


@given(points=POINTS, budget=NUMBERS)
def test_the_best_within_a_budget_is_what_brute_force_finds(points: list[tuple[float, float]], budget: float) -> None:
    costs, values = columns(points)
    within = [v for c, v in points if not np.isnan(v) and c <= budget]
    assert best_within(costs, values, np.array([budget])) == pytest.approx(max(within, default=np.nan), nan_ok=True)


def test_of_equal_ones_the_first_is_on_the_front() -> None:
    assert pareto_front(np.array([2.0, 1.0, 1.0]), np.array([5.0, 3.0, 3.0])).tolist() == [1, 0]
