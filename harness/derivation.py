"""Rules that read a cell off op weights [6, 5]."""

import numpy as np

from harness.cell import NONE, OPERATIONS, Cell


def argmax_cell(op_weights: np.ndarray) -> Cell:
    """Return the cell of the largest op weight of each edge; the first of equal ones."""
    return Cell(tuple(OPERATIONS[column] for column in op_weights.argmax(axis=1)))


def argmax_without_none(op_weights: np.ndarray) -> Cell:
    """Return the argmax cell over the four operations that pass something on."""
    allowed = op_weights.copy()
    allowed[:, OPERATIONS.index(NONE)] = -np.inf
    return argmax_cell(allowed)


CHEAP_RULES = {"argmax": argmax_cell, "argmax-without-none": argmax_without_none}
"""The rules that cost nothing, applied to every run."""
