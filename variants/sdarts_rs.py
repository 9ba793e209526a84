"""SDARTS-RS: the weights are trained at op weights with random noise, so that alpha's loss becomes smooth."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harness.api import Architecture, Moment, Phase, Variant


class SmoothDartsRandom(Variant):
    """In a weight step, add to each op weight a draw from U(-epsilon, epsilon) and return to the simplex."""

    name = "sdarts-rs"
    citation = (
        "Chen and Hsieh. Stabilizing Differentiable Architecture Search via Perturbation-based Regularization. ICML "
        "2020, arXiv 2002.05283."
    )
    axis = "weight step: random noise on the op weights"
    family = "regulariser"
    departures: ClassVar[tuple[str, ...]] = (
        "epsilon grows in every step instead of every epoch.",
        "An edge whose five op weights all fall to 0 keeps those without noise.",
        "Epochs, weight decay of the weights and order of the updates are the protocol's; the protocol drnas has those "
        "of the authors' code.",
    )

    class Settings(Variant.Settings):
        """Settings of the noise."""

        radius: float = Field(default=0.03, ge=0, le=1)
        """epsilon at the start: the largest change of an op weight, before the return to the simplex."""
        last_radius: float = Field(default=0.3, ge=0, le=1)
        """epsilon at the end, which is approached linearly."""

    def radius(self, moment: Moment) -> float:
        """Return epsilon of the current step."""
        first, last = self.settings.radius, self.settings.last_radius
        return float(first + (last - first) * moment.progress)

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return the softmax, with noise in a weight step: the same for all cells."""
        mixture = super().op_weights(architecture, moment)
        if moment.phase is not Phase.WEIGHTS:
            return mixture
        return on_simplex(mixture, uniform_noise(mixture, moment, self.radius(moment)))


def uniform_noise(like: Tensor, moment: Moment, radius: float) -> Tensor:
    """Draw numbers of U(-radius, radius) of the shape of a mixture, on its device."""
    drawn = moment.stream("perturbation").uniform(-radius, radius, size=tuple(like.shape))
    return moment.on_device(drawn).to(like.dtype)


def on_simplex(mixture: Tensor, change: Tensor) -> Tensor:
    """Return op weights changed, cut off at 0 and 1, and divided by their sum; unchanged where that is 0."""
    cut = (mixture + change).clamp(0, 1)
    total = cut.sum(dim=-1, keepdim=True)
    # The divisor is never 0, for the gradient of the branch that is not taken must be a number too.
    return torch.where(total > 0, cut / torch.where(total > 0, total, 1.0), mixture)
