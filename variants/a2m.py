"""A2M: alpha looks for flat minima, by the validation loss a step uphill of where it stands."""

from pydantic import Field
from torch import Tensor

from harness.api import Architecture, StepView, Tensors, Variant, first_order


class ArchitectureAwareMinimisation(Variant):
    """Minimise L_valid(alpha + rho dL_valid/d alpha): alpha is at a good place if its neighbours uphill are good too.

    With g = dL_valid/d alpha and g~ the same at alpha + rho g, alpha is given g~ + rho H g~, where H is the Hessian in
    alpha and H g~ a central difference. All four passes are on one validation batch.
    """

    name = "a2m"
    citation = (
        "Gambella, Pittorino and Roveri. Architecture-Aware Minimization (A2M): How to Find Flat Minima in Neural "
        "Architecture Search. arXiv 2503.10404, 2025."
    )
    axis = "alpha gradient: flatness in alpha"
    family = "gradient estimator"
    departures = (
        "H g~ is taken at alpha, as in the authors' code, and not at the point uphill.",
        "Epochs, weight decay of the weights and order of the updates are the protocol's.",
    )
    passes_per_step = 5.0

    class Settings(Variant.Settings):
        """Settings of the look uphill."""

        ascent: float = Field(default=0.01, ge=0, le=1e3)
        """rho: step uphill, a factor on the raw gradient; with 0 the gradient is that of DARTS."""
        difference: float = Field(default=0.01, ge=1e-9, le=1e3)
        """Half the distance, in units of g~, between the two points whose gradients tell the curvature."""

    def alpha_gradient(self, step: StepView) -> Architecture:
        """Return g~ + rho H g~."""
        ascent, difference = self.settings.ascent, self.settings.difference

        def slope(architecture: Tensors) -> dict[str, Tensor]:
            return first_order(step.valid_loss, step.weights, architecture)

        uphill = slope(moved(step.architecture, ascent, slope(step.architecture)))
        plus, minus = (slope(moved(step.architecture, sign * difference, uphill)) for sign in (1, -1))
        return {name: value + ascent * (plus[name] - minus[name]) / (2 * difference) for name, value in uphill.items()}


def moved(architecture: Tensors, distance: float, direction: Tensors) -> dict[str, Tensor]:
    """Return the architecture parameters some way along a direction, as leaves to differentiate by."""
    return {
        name: (value.detach() + distance * direction[name]).requires_grad_() for name, value in architecture.items()
    }
