"""DARTS-ES: stop the search when the loss becomes sharp in alpha, by the largest eigenvalue of its Hessian."""

import math
from typing import Any

import numpy as np
from pydantic import Field, StrictInt, field_validator

from harness.api import (
    Cell,
    Continue,
    Decision,
    Protocol,
    SearchLength,
    SearchView,
    StepView,
    Stop,
    Variant,
    alpha_hessian,
    argmax_cell,
)

PASSES = 60
"""Forward-backward passes of its images that a Hessian costs: two for each of its 30 rows."""


class DartsEarlyStopping(Variant):
    """Stop when the local mean of the largest eigenvalue has grown by a factor; answer with the cell from before.

    The mean around a measurement takes `window` of them, fewer at the beginning. It is compared with that `lag`
    measurements earlier, whose cell is the answer.
    """

    name = "darts-es"
    citation = (
        "Zela, Elsken, Saikia, Marrakchi, Brox and Hutter. Understanding and Robustifying Differentiable Architecture "
        "Search. ICLR 2020, arXiv 1909.09656."
    )
    axis = "stopping rule: curvature in alpha; weight decay of the weights"
    family = "schedule"
    departures = (
        "The steps of alpha are of first order; the paper's are of second order.",
        "The Hessian is that of the validation loss without alpha's weight decay, which would add 0.001 to every "
        "eigenvalue, on the same images at every measurement.",
        "A mean that is not positive stops nothing, for then its growth says nothing.",
        "Epochs between two measurements and before the first answer are shares of the search, in whole epochs.",
        "R-DARTS(L2) is one value of weight_decay_factor a run; the paper searches with five and trains the cells to "
        "choose.",
    )

    class Settings(Variant.Settings):
        """Settings of the stopping rule, and of the regularisation that the paper joins to it."""

        factor: float = Field(default=1.3, gt=0, le=1e3)
        """Growth of the mean that stops the search."""
        interval: float = Field(default=2 / 50, gt=0, le=1)
        """Share of the search between two measurements, in whole epochs, at least one; the paper's 2 epochs."""
        window: StrictInt = Field(default=5, ge=1, le=1001)
        """Measurements in a mean, an odd number."""
        lag: StrictInt = Field(default=4, ge=1, le=1000)
        """Measurements between the two means that are compared."""
        earliest_answer: float = Field(default=10 / 50, ge=0, le=1)
        """Share of the search before which no cell is the answer of an early stop; the paper's 10 epochs."""
        images: StrictInt = Field(default=64, ge=2)
        """Validation images for the Hessian; all of them if there are fewer."""
        weight_decay_factor: float = Field(default=1.0, ge=0, le=1e3)
        """Factor on the weight decay of the weights, R-DARTS(L2): the paper's ladder is 1, 3, 9, 27 and 81."""

        @field_validator("window")
        @classmethod
        def _has_a_centre(cls, window: int) -> int:
            if window % 2 == 0:
                raise ValueError(f"expected an odd number, for a mean lies around its centre, not {window}")
            return window

    def __init__(self, settings: Any, protocol: Protocol):
        super().__init__(settings, protocol)
        self._eigenvalues: list[float] = []
        self._cells: list[str] = []
        self._answer: str | None = None

    @classmethod
    def further_passes(cls, settings: Any, length: SearchLength) -> float:
        """Return what the Hessians cost if nothing stops the search."""
        measurements = length.epochs // interval(settings, length.epochs)
        return measurements * PASSES * min(settings.images, length.images) / length.batch_size

    def before_weight_step(self, step: StepView) -> None:
        """Set the weight decay of the weights."""
        decay = self.settings.weight_decay_factor * self.protocol.weights.weight_decay
        step.search.weight_optimizer.settings["weight_decay"] = decay

    def end_of_epoch(self, search: SearchView) -> Decision:
        """Measure where it is due, and stop where the rule applies."""
        epochs = interval(self.settings, self.protocol.epochs)
        if search.epoch % epochs:
            return Continue()
        images = search.data.probe_batch("valid", self.settings.images)
        hessian = alpha_hessian(search, images)
        assert hessian is not None  # the softmax is smooth
        search.passes += PASSES * len(images[1]) / search.data.batch_size
        self._eigenvalues.append(largest_eigenvalue(hessian))
        self._cells.append(str(argmax_cell(search.derived_op_weights(), self.operations)))
        first = math.ceil(self.settings.earliest_answer * self.protocol.epochs / epochs - 1e-9) - 1
        answer = stopped_at(self._eigenvalues, self.settings, first)
        if answer is None:
            return Continue()
        self._answer = self._cells[answer]
        return Stop(f"largest eigenvalue grew, answer of epoch {(answer + 1) * epochs}, in epoch {search.epoch}")

    def derive(self, search: SearchView) -> Cell:
        """Return the cell from before the growth; the current one if nothing stopped the search."""
        return Cell.from_string(self._answer) if self._answer else super().derive(search)

    def state(self) -> dict[str, Any]:
        """Return the measurements."""
        return {"eigenvalues": self._eigenvalues, "cells": self._cells, "answer": self._answer}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take them back."""
        self._eigenvalues, self._cells, self._answer = state["eigenvalues"], state["cells"], state["answer"]


def interval(settings: DartsEarlyStopping.Settings, epochs: int) -> int:
    """Return the epochs between two measurements, in a search of so many."""
    return max(1, round(settings.interval * epochs))


def largest_eigenvalue(hessian: np.ndarray) -> float:
    """Return that of a symmetric matrix; NaN, which stops nothing, where an entry is no number."""
    return float(np.linalg.eigvalsh(hessian)[-1]) if np.isfinite(hessian).all() else math.nan


def stopped_at(eigenvalues: list[float], settings: DartsEarlyStopping.Settings, first: int) -> int | None:
    """Return the position of the measurement whose cell is the answer if the search stops now, else None.

    Args:
        eigenvalues: of all measurements until now.
        first: the smallest position that may be the answer.
    """
    half = settings.window // 2
    centre = len(eigenvalues) - 1 - half
    before = centre - settings.lag
    if before < max(first, 0):
        return None
    then, now = (float(np.mean(eigenvalues[max(0, at - half) : at + half + 1])) for at in (before, centre))
    return before if then > 0 and now / then > settings.factor else None
