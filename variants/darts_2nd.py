"""DARTS, second order: the alpha gradient looks one weight step ahead."""

from pydantic import Field

from harness.api import Architecture, StepView, Variant, unrolled


class DartsSecondOrder(Variant):
    """Differentiate the validation loss after one unrolled weight step; the Hessian product is a difference."""

    name = "darts-2nd"
    citation = "Liu, Simonyan and Yang. DARTS: Differentiable Architecture Search. ICLR 2019, arXiv 1806.09055."
    axis = "alpha gradient: one unrolled step"
    family = "gradient estimator"
    departures = (
        "It follows the protocol's order of the two steps; the benchmark's code took alpha first for this variant.",
        "Running statistics of batch norms, where the protocol tracks them, move in weight steps only.",
    )
    passes_per_step = 5.0

    class Settings(Variant.Settings):
        """Settings of the finite difference."""

        radius: float = Field(default=0.01, ge=1e-9, le=1e3)
        """R times the norm of the validation gradient: the paper's 0.01."""

    def alpha_gradient(self, step: StepView) -> Architecture:
        """Return equation 7, with equation 8 for its second term."""
        weights = self.protocol.weights
        return unrolled(
            step.train_loss,
            step.valid_loss,
            step.weights,
            step.architecture,
            lr=step.learning_rate,
            momentum=weights.momentum,
            momentum_buffers=step.momentum_buffers,
            weight_decay=weights.weight_decay,
            radius=self.settings.radius,
        )
