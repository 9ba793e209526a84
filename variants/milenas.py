"""MiLeNAS: alpha follows the training loss beside the validation loss."""

from pydantic import Field

from harness.api import Architecture, StepView, Variant, first_order


class MiLeNas(Variant):
    """Give alpha dL_valid/d alpha + lambda dL_train/d alpha, both at the current weights."""

    name = "milenas"
    citation = (
        "He, Ye, Shen and Zhang. MiLeNAS: Efficient Neural Architecture Search via Mixed-Level Reformulation. CVPR "
        "2020, arXiv 2003.12238."
    )
    axis = "alpha gradient: mixed level"
    family = "gradient estimator"
    departures = ("Epochs, learning rates and order of the updates are the protocol's.",)
    passes_per_step = 3.0

    class Settings(Variant.Settings):
        """Settings of the mixture of levels."""

        train_weight: float = Field(default=1.0, ge=0, le=1e3)
        """lambda: weight of the training loss; with 0 the method is DARTS."""

    def alpha_gradient(self, step: StepView) -> Architecture | None:
        """Return the sum of the two gradients, one pass each."""
        valid = super().alpha_gradient(step)
        if valid is None or self.settings.train_weight == 0:
            return valid
        train = first_order(step.train_loss, step.weights, step.architecture)
        return {name: slope + self.settings.train_weight * train[name] for name, slope in valid.items()}
