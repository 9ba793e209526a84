"""GAEA: mirror descent on the simplex, so that alpha's steps multiply op weights and make them sparse."""

import torch
from pydantic import Field

from harness.api import AlphaSettings, Architecture, Moment, Phase, StepView, Tensors, Variant, constant, gradient

MIXTURE = "mixture"
"""Op weights in the place of those that alpha gives, to differentiate by."""


class Gaea(Variant):
    """Move the op weights theta by theta exp(-eta dL/dtheta), normalised: exponentiated gradient descent.

    Alpha is log theta, up to a constant an edge. In it the step is plain SGD with the gradient *by theta*, without the
    Jacobian of the softmax: that would slow down what is nearly decided.
    """

    name = "gaea"
    citation = (
        "Li, Khodak, Balcan and Talwalkar. Geometry-Aware Gradient Algorithms for Neural Architecture Search. "
        "ICLR 2021, arXiv 2004.07802."
    )
    axis = "alpha's optimiser: exponentiated gradient on the simplex"
    family = "gradient estimator"
    departures = (
        "Bilevel or single-level, and with or without `none`, as the protocol says. The paper's better rows on this "
        "benchmark are single-level and without `none`, which alone raises the accuracy of a random answer by 2.4 "
        "points on CIFAR-10: the protocol gaea is theirs.",
        "The op weights start at the softmax of the protocol's small noise instead of at 1/5 exactly, so that seeds "
        "differ as those of all methods do.",
        "Epochs, channels and order of the two updates are the protocol's (the paper: 25 epochs, 24 channels, alpha "
        "first).",
    )

    class Settings(Variant.Settings):
        """Settings of the descent."""

        alpha_lr: float = Field(default=0.1, gt=0, le=1e3)
        """Eta, the rate of the descent; constant. The protocol's rate is for Adam, and does not count here."""
        floor: float = Field(default=1e-5, ge=1e-30, lt=0.2)
        """Smallest op weight before they are normalised: what falls to zero could never rise again."""

    def alpha_settings(self, settings: AlphaSettings) -> AlphaSettings:
        """Return plain SGD: Adam would rescale the gradient."""
        own = {"optimizer": "sgd", "lr": self.settings.alpha_lr, "weight_decay": 0.0}
        return settings.model_copy(update=own)

    def op_weights(self, architecture: Architecture, moment: Moment) -> torch.Tensor:
        """Return theta [6, operations], or what stands in its place."""
        if MIXTURE in architecture:
            return architecture[MIXTURE]
        return super().op_weights(architecture, moment)

    def alpha_gradient(self, step: StepView) -> Architecture | None:
        """Return the difference to the next logarithm of theta, as a gradient for a step of rate eta.

        Where no op weight meets the floor it is dL/dtheta, up to a constant an edge that the softmax takes out again.
        """
        rate = self.settings.alpha_lr
        theta = self.op_weights(step.architecture, step.moment(Phase.ALPHA)).detach()
        moved = exponentiated_step(theta, self._slope(step, theta), rate, self.settings.floor)
        alpha = step.architecture["alpha"].detach()
        return {"alpha": (alpha - moved.log()) / rate}

    def _slope(self, step: StepView, theta: torch.Tensor) -> torch.Tensor:
        leaf: Tensors = {MIXTURE: theta.clone().requires_grad_()}
        loss = step.valid_loss(constant(step.weights), {**constant(step.architecture), **leaf})
        return gradient(loss, leaf)[MIXTURE]


def exponentiated_step(theta: torch.Tensor, slope: torch.Tensor, rate: float, floor: float) -> torch.Tensor:
    """Return the op weights after a step along their slope: multiplied, lifted to the floor, normalised."""
    # A common factor of an edge falls out; without the largest exponent no exponential overflows.
    exponent = -rate * slope
    scaled = theta * (exponent - exponent.amax(dim=-1, keepdim=True)).exp()
    lifted = (scaled / scaled.sum(dim=-1, keepdim=True)).clamp(min=floor)
    return lifted / lifted.sum(dim=-1, keepdim=True)
