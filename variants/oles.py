"""OLES: operations stop learning one by one, as soon as they begin to overfit."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import torch
from pydantic import Field, StrictInt
from torch import Tensor

from harness.api import Architecture, Protocol, StepView, Tensors, Variant, gradient


class Oles(Variant):
    """Freeze an operation's weights for good once its gradients on training and validation images point apart.

    Operations with weights overfit while alpha is trained, skip connections cannot: alpha comes to prefer these. The
    two gradients are those of the last weight step and of this alpha step, so that no further pass is needed.
    """

    name = "oles"
    citation = (
        "Jiang, Ji, Zhu, Yuan and Huang. Operation-Level Early Stopping for Robustifying Differentiable NAS. "
        "NeurIPS 2023."
    )
    axis = "weights of overfitting operations are frozen"
    family = "regulariser"
    departures = (
        "The authors' code covers the DARTS space alone; the settings here are those of that space.",
        "A window has exactly as many checks as it says; the first one of the authors' code holds one more.",
        "Weights without a gradient, such as a bias before a batch norm, have no part in an operation's score.",
    )

    class Settings(Variant.Settings):
        """When an operation is frozen."""

        window: StrictInt = Field(default=20, ge=1)
        """M: alpha steps whose mean cosine decides; then counting begins anew."""
        threshold: float = Field(default=0.4, ge=-1, le=1)
        """Mean cosine below which an operation is frozen."""

    def __init__(self, settings: Any, protocol: Protocol):
        super().__init__(settings, protocol)
        self._trained: dict[str, Tensor] = {}
        """Gradients of the last weight step, of operations that are not frozen."""
        self._scores: dict[str, Tensor] = {}
        """Sum of cosines of the window, by operation."""
        self._checks = 0

    def weight_gradients(self, step: StepView) -> Mapping[str, Tensor | None]:
        """Return the training gradient, and keep that of the operations."""
        found = step.weight_gradients()
        self._trained = {name: own for name, own in found.items() if own is not None and operation_of(name)}
        return found

    def alpha_gradient(self, step: StepView) -> Architecture | None:
        """Return the first-order gradient; what the same pass says of the weights decides what is frozen."""
        if not self._trained:  # no weight step was made yet, or nothing is left to freeze
            return super().alpha_gradient(step)
        own = {name: step.weights[name] for name in self._trained}
        slope = gradient(step.valid_loss(step.weights, step.architecture), {**own, **step.architecture})
        for operation, cosine in operation_cosines(self._trained, slope).items():
            self._scores[operation] = self._scores.get(operation, torch.zeros_like(cosine)) + cosine
        self._checks += 1
        if self._checks == self.settings.window:
            self._freeze_overfitting(step)
        return {name: slope[name] for name in step.architecture}

    def _freeze_overfitting(self, step: StepView) -> None:
        means = torch.stack(list(self._scores.values())) / self._checks
        low = (means < self.settings.threshold).tolist()
        chosen = {operation for operation, below in zip(self._scores, low, strict=True) if below}
        step.search.freeze(name for name in step.weights if operation_of(name) in chosen)
        self._trained = {name: own for name, own in self._trained.items() if operation_of(name) not in chosen}
        self._scores, self._checks = {}, 0

    def state(self) -> dict[str, Any]:
        """Return the window so far, and the gradients that the next check compares with."""
        return {"trained": self._trained, "scores": self._scores, "checks": self._checks}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self._trained, self._scores, self._checks = state["trained"], state["scores"], state["checks"]


def operation_of(name: str) -> str:
    """Return the operation that a weight belongs to, `cells.CELL.edges.EDGE.OPERATION`; "" for one outside of cells."""
    parts = name.split(".")
    return ".".join(parts[:5]) if parts[0] == "cells" else ""


def operation_cosines(one: Tensors, other: Tensors) -> dict[str, Tensor]:
    """Return how far two gradients agree, by operation: from -1 to 1.

    For each weight the cosine along its first dimension, averaged over the others; then the mean over the operation's
    weights (the paper's code). A column of zeros counts as 0.

    Args:
        one: gradients by weight name, those of an operation side by side.
        other: gradients of at least these weights.
    """
    found = {}
    for operation, names in groupby(one, key=operation_of):
        cosines = [torch.cosine_similarity(one[name], other[name], dim=0).mean() for name in names]
        found[operation] = torch.stack(cosines).mean()
    return found
