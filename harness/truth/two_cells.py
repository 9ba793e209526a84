"""What training noise allows of the difference between two cells."""

from typing import Any

import numpy as np
import pandas as pd

from harness.space.cell import CELL_COUNT, Cell
from harness.statistics.training_noise import allowed_difference, called, errors_of_means
from harness.truth.table import Column, Truth


def describe_difference(truth: Truth, first: Cell, second: Cell) -> list[dict[str, Any]]:
    """Return for each column how far the first cell is above the second, ready for JSON.

    `difference`: of the means, points; `training_noise`: what chance in training exceeds in 5 % of all cases, points,
    None where that is not known; `called`: see `training_noise.called`.
    """
    return [_describe(truth, first, second, column) for column in truth.columns()]


def _describe(truth: Truth, first: Cell, second: Cell, column: Column) -> dict[str, Any]:
    means = truth.accuracy(np.arange(CELL_COUNT), **column._asdict())
    trainings, sds = truth.spread(**column._asdict())
    errors = errors_of_means(means, sds, trainings)
    one, other = (
        pd.DataFrame({"cell": [cell.index], "error": errors.error[cell.index], "freedom": errors.freedom[cell.index]})
        for cell in (first, second)
    )
    difference, allowed = means[first.index] - means[second.index], allowed_difference(one, other)
    return {
        **column._asdict(),
        "difference": None if np.isnan(difference) else float(difference),
        "training_noise": None if np.isnan(allowed) else allowed,
        "called": called(difference, allowed),
    }
