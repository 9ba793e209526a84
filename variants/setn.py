"""SETN: weights trained on uniformly random cells, alpha on the mixture, and the best of the most probable cells."""

import numpy as np
import torch
from torch import Tensor

from harness.api import EDGES, OPERATIONS, Architecture, Cell, Moment, SearchView, StepView, Variant, best_of_k
from variants.rsps import RandomSearchWithSharing


class Setn(RandomSearchWithSharing):
    """Answer with the best by one-shot accuracy of the cells that softmax(alpha) makes most probable.

    The weights are trained on one uniformly random cell a step, so that no operation falls behind; alpha gets the
    first-order gradient of the mixture of all operations.
    """

    name = "setn"
    citation = (
        "Dong and Yang. One-Shot Neural Architecture Search via Self-Evaluated Template Network. ICCV 2019, "
        "arXiv 1910.05733."
    )
    axis = "weights trained on random cells; selection: best of the most probable by one-shot accuracy"
    family = "weight-sharing control"
    strategy = "gradient"
    departures = (
        "All candidates are scored on one batch, which the seed fixes, so that their scores differ by the cell alone; "
        "NAS-Bench-201 takes the next batch for each.",
        "Scores use the statistics of their batch, since running ones mix all cells that were trained.",
        "Epochs and clipping are the protocol's; NAS-Bench-201 searched for 250 epochs without clipping.",
    )
    passes_per_step = 2.0

    def architecture_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return alpha's, the logits of the cells' probabilities."""
        return Variant.architecture_shapes(self)

    def alpha_gradient(self, step: StepView) -> Architecture | None:
        """Return the first-order gradient of the mixture."""
        return Variant.alpha_gradient(self, step)

    def policy(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return softmax(alpha), what alpha's steps and derivations mix by."""
        return torch.softmax(architecture["alpha"], dim=-1)

    def derive(self, search: SearchView) -> Cell:
        """Return the candidate with the best one-shot accuracy."""
        cells = most_probable(search.derived_op_weights(), self.settings.candidates, self.operations)
        return best_of_k(search, cells, [search.data.probe_batch("valid", self.settings.candidate_images)])


def most_probable(op_weights: np.ndarray, count: int, operations: tuple[str, ...] = OPERATIONS) -> list[Cell]:
    """Return the cells of largest probability, the most probable first, where each edge draws by its op weights.

    Of equally probable ones the first in the order of operations; all cells if there are fewer than `count`.
    """
    with np.errstate(divide="ignore"):
        logarithms = np.log(op_weights)
    total = np.zeros(())
    for edge in range(len(EDGES)):
        total = total[..., np.newaxis] + logarithms[edge]
    order = np.argsort(-total, axis=None, kind="stable")[:count]
    codes = np.stack(np.unravel_index(order, total.shape), axis=1)
    return [Cell(tuple(operations[code] for code in row)) for row in codes]
