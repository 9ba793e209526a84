"""Rules that read a cell off op weights [6, operations], of a space with these operations."""

from collections.abc import Callable

import numpy as np

from harness.space.cell import NONE, OPERATIONS, SKIP, Cell

Operations = tuple[str, ...]
"""Those of the columns."""


def argmax_cell(op_weights: np.ndarray, operations: Operations = OPERATIONS) -> Cell:
    """Return the cell of the largest op weight of each edge; the first of equal ones."""
    return Cell(tuple(operations[column] for column in op_weights.argmax(axis=1)))


def argmax_without_none(op_weights: np.ndarray, operations: Operations = OPERATIONS) -> Cell:
    """Return the argmax cell over the operations that pass something on."""
    passes_on = [operation != NONE for operation in operations]
    return argmax_cell(np.where(passes_on, op_weights, -np.inf), operations)


def skip_cap(op_weights: np.ndarray, limit: int, operations: Operations = OPERATIONS) -> Cell:
    """Return the argmax cell with at most `limit` skip connections (Chen et al., P-DARTS, ICCV 2019).

    While there are more, the skip with the smallest op weight gives way to the second choice of its edge.
    """
    allowed = op_weights.astype(float)
    while True:
        cell = argmax_cell(allowed, operations)
        chosen = [edge for edge, operation in enumerate(cell.operations) if operation == SKIP]
        if len(chosen) <= limit:
            return cell
        skip = operations.index(SKIP)
        weakest = chosen[allowed[chosen, skip].argmin()]
        allowed[weakest, skip] = -np.inf


def two_skips(op_weights: np.ndarray, operations: Operations = OPERATIONS) -> Cell:
    """Return the argmax cell with two skip connections at most, the number of P-DARTS."""
    return skip_cap(op_weights, 2, operations)


def gumbel_cells(
    op_weights: np.ndarray, draws: int, random: np.random.Generator, operations: Operations = OPERATIONS
) -> list[Cell]:
    """Return cells drawn with each edge's op weights as probabilities, by the Gumbel-max trick.

    argmax of (log p + G) / t with Gumbel noise G is an exact draw from p at every temperature t > 0, since dividing
    by t moves no maximum (Maddison, Tarlow and Minka, A* Sampling, NeurIPS 2014). So there is none to choose.
    """
    with np.errstate(divide="ignore"):
        logits = np.log(op_weights)
    return [argmax_cell(logits + noise, operations) for noise in random.gumbel(size=(draws, *op_weights.shape))]


CHEAP_RULES: dict[str, Callable[..., Cell]] = {
    "argmax": argmax_cell,
    "argmax-without-none": argmax_without_none,
    "skip-cap-2": two_skips,
}
"""The rules that cost nothing, applied to every run."""
