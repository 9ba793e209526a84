"""Shapley-NAS: alpha follows what operations contribute to the accuracy, by sampled Shapley values."""

from itertools import cycle
from typing import Any

import numpy as np
import torch
from pydantic import Field, StrictInt
from torch import Tensor

from harness.api import (
    EDGES,
    NONE,
    OPERATIONS,
    Architecture,
    Batch,
    Continue,
    Decision,
    Phase,
    Protocol,
    SearchLength,
    SearchView,
    StepView,
    Variant,
)


class ShapleyNas(Variant):
    """After each epoch alpha moves along the Shapley values of the 30 operations in the game "validation accuracy".

    The value of a set of operations is the accuracy of the supernet with the op weights of all others set to 0. In
    random order operations are taken out one by one; what the accuracy loses each time, in the mean over orders, is
    the operation's value (Castro, Gomez and Tejada 2009).
    """

    name = "shapley-nas"
    citation = (
        "Xiao, Wang, Zhu, Zhou and Lu. Shapley-NAS: Discovering Operation Contribution for Neural Architecture Search. "
        "CVPR 2022, arXiv 2206.09811."
    )
    axis = "alpha gradient: none, sampled Shapley values instead"
    family = "gradient estimator"
    departures = (
        "Alpha moves after an epoch by its own rule; the optimiser of alpha, with its weight decay, is not used.",
        "The values are the mean over the orders; the authors' code takes off their standard deviation.",
        "Batches are taken from the front of the validation images in a fixed order and without augmentation.",
        "Before standardising, values that are all equal count as 0.",
        "Epochs are the protocol's, of which alpha rests in the first half, as in 25 of the paper's 50.",
    )
    passes_per_step = 1.0

    class Settings(Variant.Settings):
        """Settings of the sampling and of alpha's steps."""

        orders: StrictInt = Field(default=10, ge=1, le=10_000)
        """Random orders of the operations, each on one batch."""
        images: StrictInt = Field(default=1024, ge=1)
        """Validation images of a batch; all of them if there are fewer."""
        truncation: float = Field(default=0.5, ge=0, le=1)
        """Share of the whole mixture's accuracy below which the operations that are left count as 0."""
        momentum: float = Field(default=0.8, ge=0, lt=1)
        """Share of the old values in each update of their mean over epochs."""
        step_size: float = Field(default=0.1, gt=0, le=1e3)
        """Factor on the mean values that are added to alpha."""
        warm_up: float = Field(default=25 / 50, ge=0, lt=1)
        """Share of the search, at its beginning, in which alpha rests: the paper's 25 of 50 epochs."""

    def __init__(self, settings: Any, protocol: Protocol):
        super().__init__(settings, protocol)
        self._mean = [[0.0] * len(self.operations) for _ in EDGES]

    @classmethod
    def further_passes(cls, settings: Any, length: SearchLength) -> float:
        """Return what the forward passes cost if nothing is truncated: a third of a pass each."""
        epochs = length.epochs - int(settings.warm_up * length.epochs)
        looks = 1 + len(EDGES) * (len(OPERATIONS) - 1)  # `none` is never looked at
        images = min(settings.images, length.images)
        return epochs * settings.orders * looks * images / length.batch_size / 3

    def alpha_gradient(self, step: StepView) -> Architecture | None:
        """Return None: alpha moves after an epoch."""
        return None

    def end_of_epoch(self, search: SearchView) -> Decision:
        """Estimate the values, and move alpha along their mean over epochs."""
        if search.epoch <= self.settings.warm_up * self.protocol.epochs:
            return Continue()
        momentum = self.settings.momentum
        mean = momentum * np.array(self._mean) + (1 - momentum) * standardised(self._values(search))
        self._mean = mean.tolist()
        alpha = search.architecture["alpha"]
        with torch.no_grad():
            alpha.add_(torch.as_tensor(self.settings.step_size * mean).to(alpha))
        return Continue()

    def _values(self, search: SearchView) -> np.ndarray:
        """Return the mean marginal contribution of each operation, [6, operations], in points of accuracy."""
        moment = search.moment(Phase.DERIVE)
        with torch.no_grad():
            op_weights = self.op_weights(search.architecture, moment)
        random = moment.stream("orders")
        batches = cycle(search.data.mixed_batches("valid", self.settings.images))
        found = [
            self._of_order(search, op_weights, random.permutation(op_weights.numel()), batch)
            for batch, _ in zip(batches, range(self.settings.orders), strict=False)
        ]
        return np.mean(found, axis=0)

    def _of_order(self, search: SearchView, op_weights: Tensor, order: np.ndarray, batch: Batch) -> np.ndarray:
        left = op_weights.clone()
        whole = accuracy = self._accuracy(search, left, batch)
        marginal = np.zeros(tuple(left.shape))
        for player in order:
            edge, column = divmod(int(player), len(self.operations))
            left[edge, column] = 0
            if self.operations[column] == NONE:
                continue  # nothing is lost with it, so nobody need look
            before, accuracy = accuracy, self._accuracy(search, left, batch)
            marginal[edge, column] = before - accuracy
            if accuracy < self.settings.truncation * whole:
                break
        return marginal

    def _accuracy(self, search: SearchView, op_weights: Tensor, batch: Batch) -> float:
        return search.one_shot_accuracy(op_weights, [batch])

    def state(self) -> dict[str, Any]:
        """Return the mean values."""
        return {"mean": self._mean}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take them back."""
        self._mean = state["mean"]


def standardised(values: np.ndarray) -> np.ndarray:
    """Return values less their mean, over their standard deviation; zeros where all are equal."""
    deviation = values.std()
    return (values - values.mean()) / deviation if deviation > 0 else np.zeros_like(values)
