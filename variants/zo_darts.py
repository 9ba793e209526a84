"""ZO-DARTS: the alpha gradient along a random direction, from a twin network trained beside the search."""

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field

from harness.api import AlphaSettings, Architecture, Phase, StepView, Tangent, Twin, Variant


class ZoDarts(Variant):
    """Estimate how alpha moves the trained weights by a finite difference along a random direction z.

    Every T weight steps G = h z, h = <dL_valid/d alpha, z> + <(w~ - w) / mu, dL_valid/dw>, where the twin weights w~
    made the same T steps at alpha + mu z. Then a new z, and a new twin that starts from w. `estimate: tangent` has the
    exact derivative dw/d alpha z in the place of (w~ - w) / mu.
    """

    name = "zo-darts"
    citation = "Xie, Huang, Xu and Shi. ZO-DARTS: Differentiable Architecture Search with Zeroth-Order. ICASSP 2023."
    axis = "alpha gradient: zeroth order, a twin network"
    family = "gradient estimator"
    departures: ClassVar[tuple[str, ...]] = (
        "The twin starts with a copy of the momentum buffers and takes the same Nesterov steps, and its alpha is "
        "frozen: in the published code its optimiser starts afresh, without Nesterov, and trains the twin's alpha too, "
        "so that the difference of the weights shows the difference of the optimisers.",
        "mu has a floor: at the start 0.005 times the norm of alpha is about 3e-5, and float32 weights that differ by "
        "so little differ mostly by rounding. At such a mu the twin takes other sides of ReLU's kinks than the search, "
        "and h is mostly that, as in the published code; `estimate: tangent` is the derivative itself.",
        "Batch size, weight optimiser and number of epochs are the protocol's; the paper's are 256, 0.1 to 0.001, 50.",
        "Alpha's learning rate follows the protocol's, so that alpha has the same reach as in DARTS; the paper's 0.015 "
        "has about that reach (7) in its own batches of 256, and five times as much in batches of 64.",
    )
    passes_per_step = 2.1

    class Settings(Variant.Settings):
        """Settings of the estimate."""

        steps: int = Field(default=10, ge=1)
        """T: weight steps between two steps of alpha, and the twin's length of life."""
        estimate: Literal["twin", "tangent"] = "twin"
        """How the motion of the weights with alpha is found: `twin`, by the difference of a second training; `tangent`,
        by the exact derivative of the training, at one pass more a step."""
        mu_scale: float = Field(default=0.005, gt=0, le=1e3)
        """mu of a twin over the L2 norm of alpha."""
        mu_floor: float = Field(default=0.01, ge=0, le=1e3)
        """Smallest mu of a twin."""
        alpha_lr: float | None = Field(default=None, gt=0, le=1e3)
        """Learning rate of alpha; null: T times the protocol's, for alpha moves once in T steps."""

    _beside: Twin | Tangent | None = None

    def alpha_settings(self, settings: AlphaSettings) -> AlphaSettings:
        """Return the protocol's settings with the method's learning rate."""
        own = self.settings
        return settings.model_copy(update={"lr": own.alpha_lr or own.steps * settings.lr})

    def before_weight_step(self, step: StepView) -> None:
        """Draw a direction and start a twin or a tangent, if there is none; let it make this step."""
        if self._beside is None:
            self._beside = self._started(step, unit_direction(step))
        self._beside.follow(step)

    def _started(self, step: StepView, direction: Architecture) -> Twin | Tangent:
        if self.settings.estimate == "tangent":
            return Tangent(step, direction)
        norm = torch.nn.utils.get_total_norm([value.detach() for value in step.architecture.values()])
        return Twin(step, direction, (self.settings.mu_scale * norm.double()).clamp(min=self.settings.mu_floor))

    def alpha_gradient(self, step: StepView) -> Architecture | None:
        """Return G after T steps, and begin anew."""
        beside = self._beside
        if beside is None or beside.steps < self.settings.steps:
            return None
        self._beside = None
        return beside.gradient(step)

    def state(self) -> dict[str, Any]:
        """Return the twin or the tangent."""
        return {"beside": self._beside and self._beside.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take it back."""
        kind = Tangent if self.settings.estimate == "tangent" else Twin
        self._beside = state["beside"] and kind.restored(state["beside"])


def unit_direction(step: StepView) -> Architecture:
    """Draw z uniformly from the unit sphere of all architecture parameters together."""
    moment = step.moment(Phase.WEIGHTS)
    random = moment.stream("direction")
    normal = {name: random.standard_normal(tuple(value.shape)) for name, value in step.architecture.items()}
    norm = sum(float((part**2).sum()) for part in normal.values()) ** 0.5
    return {name: moment.on_device(part / norm).to(moment.dtype) for name, part in normal.items()}
