"""IS-DARTS: no alpha; the operations whose outputs vary least over channels are removed until one an edge is left."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.api import (
    Architecture,
    Cell,
    Continue,
    Controls,
    Moment,
    Phase,
    Protocol,
    SearchView,
    StepView,
    Variant,
    every_operation,
    probe,
)

REMOVALS = (22 / 30, 24 / 30, 26 / 30, 28 / 30)
"""Shares of the search after which every edge loses an operation: epochs 22, 24, 26 and 28 of the paper's 30."""


class IsDarts(Variant):
    """Train the weights alone, and shrink the supernet by the information that operations' outputs carry.

    An edge is the sum of its remaining operations over five: the divisor stays, so the signal shrinks with them.
    """

    name = "is-darts"
    citation = (
        "He, Liu, Zhang and Zheng. IS-DARTS: Stabilizing DARTS through Precise Measurement on Candidate Importance. "
        "AAAI 2024, arXiv 2312.12648."
    )
    axis = "no alpha: shrinking by a statistic of operations' outputs"
    family = "selection"
    departures = (
        "The weights learn from the protocol's training half, and the statistic is taken there; the authors' code "
        "trains on all 50,000 images.",
        "Epochs, rate and weight decay are the protocol's; removals stand at the paper's shares of the search.",
        "The statistic is computed in a form without its numerator, which is equal and has no 0/0; `none` is infinite.",
    )
    passes_per_step = 1.0
    # Each removal looks at the training images once, without gradients.
    further_epochs = len(REMOVALS) / 3

    def __init__(self, settings: Any, protocol: Protocol):
        super().__init__(settings, protocol)
        self._remaining = every_operation(self.operations)

    def architecture_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return nothing: there is no alpha."""
        return {}

    def alpha_gradient(self, step: StepView) -> Architecture | None:
        """Return None: there is no alpha step."""
        return None

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return 1 / operations for each remaining one."""
        return moment.on_device(self._remaining).to(moment.dtype) / len(self.operations)

    def controls(self, architecture: Architecture, moment: Moment) -> Controls:
        """Compute the remaining operations alone."""
        return Controls(active=self._remaining)

    def end_of_epoch(self, search: SearchView) -> Continue:
        """Remove an operation of every edge where it is due."""
        for share in REMOVALS[: len(self.operations) - 1]:
            if search.epoch == max(1, round(share * self.protocol.epochs)):
                self._remaining = without_largest(self._measure(search), self._remaining)
        return Continue()

    def _measure(self, search: SearchView) -> np.ndarray:
        """Return the statistic of what remains, [6, operations]: the mean over cells and training images."""
        op_weights = self.op_weights({}, search.moment(Phase.DERIVE))
        total, images = torch.zeros(op_weights.shape, dtype=torch.float64, device=search.device), 0
        for inputs, labels in search.data.mixed_batches("train", search.data.batch_size):
            for part in probe(search.supernet, inputs, op_weights, self._remaining):
                for (edge, column), output in part.outputs.items():
                    total[edge, column] += len(labels) * information(output)
            images += len(labels)
            search.passes += 1 / 3
        return (total / images / search.supernet.spec.shape.cells).cpu().numpy()

    def derive(self, search: SearchView) -> Cell:
        """Return the operations that are left; the first ones of a search that was not finished."""
        return Cell(tuple(self.operations[row.index(True)] for row in self._remaining))

    def state(self) -> dict[str, Any]:
        """Return what is left."""
        return {"remaining": [list(row) for row in self._remaining]}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self._remaining = tuple(tuple(row) for row in state["remaining"])


def information(output: Tensor) -> Tensor:
    """Return the mean over images, channels and pixels of 3 (x - mu)^2 / sigma^6, with mu and sigma over channels.

    The mean of (x - mu)^2 over C channels is (C - 1) / C sigma^2, so this is 3 (C - 1) / C times the mean of sigma^-4.
    Infinite where a pixel's channels are all equal, as in the output of `none`.

    Args:
        output: [batch, channels, height, width]; computed in float64, for sigma^4 underflows early.
    """
    channels = output.shape[1]
    return 3 * (channels - 1) / channels * output.double().var(dim=1).pow(-2).mean()


def without_largest(values: np.ndarray, remaining: tuple[tuple[bool, ...], ...]) -> tuple[tuple[bool, ...], ...]:
    """Return a mask that lacks the remaining operation of each edge's largest value, the first of equal ones."""
    mask = np.array(remaining)
    largest = np.where(mask, values, -math.inf).argmax(axis=1)
    mask[np.arange(len(mask)), largest] = False
    return tuple(tuple(row) for row in mask.tolist())
