"""Rules that read a cell off op weights [6, 5]."""

from collections.abc import Callable
from functools import partial

import numpy as np

from harness.space.cell import NONE, OPERATIONS, SKIP, Cell


def argmax_cell(op_weights: np.ndarray) -> Cell:
    """Return the cell of the largest op weight of each edge; the first of equal ones."""
    return Cell(tuple(OPERATIONS[column] for column in op_weights.argmax(axis=1)))


def argmax_without_none(op_weights: np.ndarray) -> Cell:
    """Return the argmax cell over the four operations that pass something on."""
    allowed = op_weights.copy()
    allowed[:, OPERATIONS.index(NONE)] = -np.inf
    return argmax_cell(allowed)


def skip_cap(op_weights: np.ndarray, limit: int) -> Cell:
    """Return the argmax cell with at most `limit` skip connections (Chen et al., P-DARTS, ICCV 2019).

    While there are more, the skip with the smallest op weight gives way to the second choice of its edge.
    """
    allowed, skip = op_weights.astype(float), OPERATIONS.index(SKIP)
    while True:
        chosen = np.flatnonzero(allowed.argmax(axis=1) == skip)
        if len(chosen) <= limit:
            return argmax_cell(allowed)
        weakest = chosen[allowed[chosen, skip].argmin()]
        allowed[weakest, skip] = -np.inf


def gumbel_cells(op_weights: np.ndarray, draws: int, random: np.random.Generator) -> list[Cell]:
    """Return cells drawn with each edge's op weights as probabilities, by the Gumbel-max trick.

    argmax of (log p + G) / t with Gumbel noise G is an exact draw from p at every temperature t > 0, since dividing
    by t moves no maximum (Maddison, Tarlow and Minka, A* Sampling, NeurIPS 2014). So there is none to choose.
    """
    with np.errstate(divide="ignore"):
        logits = np.log(op_weights)
    return [argmax_cell(logits + noise) for noise in random.gumbel(size=(draws, *op_weights.shape))]


CHEAP_RULES: dict[str, Callable[[np.ndarray], Cell]] = {
    "argmax": argmax_cell,
    "argmax-without-none": argmax_without_none,
    "skip-cap-2": partial(skip_cap, limit=2),
}
"""The rules that cost nothing, applied to every run."""
