"""iDARTS: the alpha gradient by the implicit function theorem, with a short Neumann series for the inverse Hessian."""

from typing import Any

from pydantic import Field

from harness.api import AlphaSettings, Architecture, Protocol, StepView, Variant, neumann, twice_differentiable

PRODUCT = 2.0
"""Forward-backward passes that differentiating a gradient once more takes: through the backward and the forward."""


class IDarts(Variant):
    """Every T weight steps, give alpha dL_valid/d alpha - eta (d2 L_train/d alpha dw) sum_k (1 - eta H)^k dL_valid/dw.

    H is the Hessian of the training loss in the weights, eta their learning rate, and the sum has K + 1 terms.
    """

    name = "idarts"
    citation = (
        "Zhang, Su, Pan, Chang, Abbasnejad and Haffari. iDARTS: Differentiable Architecture Search with Stochastic "
        "Implicit Gradients. ICML 2021, arXiv 2106.10784."
    )
    axis = "alpha gradient: implicit, by a Neumann series"
    family = "gradient estimator"
    departures = (
        "All terms are taken on one training batch, and all products are exact, by a second differentiation; weights "
        "are not moved for them. The authors' code moves copies of the weights and their optimiser, and does not put "
        "them back exactly.",
        "Alpha's learning rate is T times the protocol's, so that alpha, which moves once in T steps, has the same "
        "reach as in DARTS.",
        "Epochs and weight optimiser are the protocol's; eta is its learning rate without momentum.",
    )
    passes_per_step = 3.0

    class Settings(Variant.Settings):
        """Settings of the estimate."""

        steps: int = Field(default=4, ge=1)
        """T: weight steps for each step of alpha."""
        terms: int = Field(default=2, ge=0, le=1000)
        """K: terms of the Neumann series beyond the first; with 0 it is DARTS's second order at the current weights."""
        alpha_lr: float | None = Field(default=None, gt=0, le=1e3)
        """Learning rate of alpha; null: T times the protocol's."""

    def __init__(self, settings: Any, protocol: Protocol):
        super().__init__(settings, protocol)
        self._weight_steps = 0

    def alpha_settings(self, settings: AlphaSettings) -> AlphaSettings:
        """Return the protocol's settings with the method's learning rate."""
        own = self.settings
        return settings.model_copy(update={"lr": own.alpha_lr or own.steps * settings.lr})

    def after_weight_step(self, step: StepView) -> None:
        """Count the weight steps."""
        self._weight_steps += 1

    def alpha_gradient(self, step: StepView) -> Architecture | None:
        """Return the truncated implicit gradient, once in T weight steps."""
        if self._weight_steps % self.settings.steps:
            return None
        step.search.passes += PRODUCT * (self.settings.terms + 1)
        with twice_differentiable(step.search.supernet):
            return neumann(
                step.train_loss,
                step.valid_loss,
                step.weights,
                step.architecture,
                lr=step.learning_rate,
                terms=self.settings.terms,
            )

    def state(self) -> dict[str, Any]:
        """Return how many weight steps were made."""
        return {"weight_steps": self._weight_steps}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self._weight_steps = state["weight_steps"]
