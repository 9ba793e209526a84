"""Which of many things no other beats in both cost and value."""

import numpy as np
from numpy.typing import NDArray


def pareto_front(costs: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the places of those that none beats, from the cheapest; of equal ones the first.

    One beats another if it costs no more, is worth no less, and differs in one of the two. Both [n]; one whose cost or
    value is NaN takes no part.
    """
    known = np.flatnonzero(~(np.isnan(costs) | np.isnan(values)))
    cheapest_first = known[np.lexsort((-values[known], costs[known]))]
    best_before = np.maximum.accumulate(np.concatenate([[-np.inf], values[cheapest_first]]))[:-1]
    return cheapest_first[values[cheapest_first] > best_before]


def best_within(
    costs: NDArray[np.float64], values: NDArray[np.float64], budgets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the largest value [m] of those that cost at most each of the budgets [m]; NaN where there is none."""
    front = pareto_front(costs, values)
    reached = np.concatenate([[np.nan], values[front]])
    found = reached[np.searchsorted(costs[front], budgets, side="right")]
    return np.where(np.isnan(budgets), np.nan, found)
