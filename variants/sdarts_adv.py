"""SDARTS-ADV: the weights are trained at the worst op weights near the current ones."""

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harness.api import Architecture, Moment, Phase, Protocol, StepView, Tensors, Variant, constant
from variants.sdarts_rs import SmoothDartsRandom, on_simplex, uniform_noise

ATTACK = 7
FORWARD = 1 / 3
"""What a pass without gradients costs, in forward-backward passes."""


class SmoothDartsAdversarial(SmoothDartsRandom):
    """In a weight step, change the op weights by at most epsilon each so that the training loss grows.

    The change is found by projected gradient ascent from a random start, on the batch of the weight step; it is given
    up where the loss is no larger than without it.
    """

    name = "sdarts-adv"
    axis = "weight step: adversarial change of the op weights"
    family = "regulariser"
    departures: ClassVar[tuple[str, ...]] = (
        "epsilon grows in every step instead of every epoch.",
        "The gradient of the ascent is that of the loss at the op weights after the return to the simplex.",
        "Batch norms use the statistics of the batch during the ascent, as in the step itself; the authors' code puts "
        "the network in evaluation mode.",
        SmoothDartsRandom.departures[-1],
    )
    passes_per_step = 2 + ATTACK + 2 * FORWARD

    class Settings(SmoothDartsRandom.Settings):
        """Settings of the ascent."""

        ascent_steps: int = Field(default=ATTACK, ge=1, le=1000)
        """Steps of the ascent, each of 2 epsilon / ascent_steps in every op weight."""

    def __init__(self, settings: Any, protocol: Protocol):
        super().__init__(settings, protocol)
        self._change: Tensor | None = None

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return the softmax, changed in a weight step."""
        mixture = Variant.op_weights(self, architecture, moment)
        if moment.phase is not Phase.WEIGHTS or self._change is None:
            return mixture
        return on_simplex(mixture, self._change)

    def before_weight_step(self, step: StepView) -> None:
        """Find the change."""
        moment = step.moment(Phase.WEIGHTS)
        weights, architecture = constant(step.weights), constant(step.architecture)
        radius = self.radius(moment)
        change = uniform_noise(Variant.op_weights(self, architecture, moment), moment, radius)
        for _ in range(self.settings.ascent_steps):
            self._change = change.requires_grad_()
            (slope,) = torch.autograd.grad(step.train_loss(weights, architecture), change)
            change = (change.detach() + 2 * radius / self.settings.ascent_steps * slope.sign()).clamp(-radius, radius)
        before = self._loss_at(None, step, weights, architecture)
        after = self._loss_at(change, step, weights, architecture)
        self._change = torch.where(after > before, change, 0.0)

    def _loss_at(self, change: Tensor | None, step: StepView, weights: Tensors, architecture: Tensors) -> Tensor:
        self._change = change
        with torch.no_grad():
            loss = step.train_loss(weights, architecture)
        step.search.passes -= 1 - FORWARD  # no gradient was made
        return loss

    def after_weight_step(self, step: StepView) -> None:
        """Forget the change."""
        self._change = None
