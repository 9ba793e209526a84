"""Warm start: train the weights alone first, on convolutions or on all operations alike."""

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from harness.api import (
    EDGES,
    KERNEL_AREA,
    Architecture,
    Moment,
    Phase,
    Protocol,
    StepView,
    UserError,
    Variant,
)


class WarmStart(Variant):
    """Let operations with weights start trained, before alpha compares them with those that have none."""

    name = "warm-start"
    citation = (
        "Defined here, after the warm-up of Xu et al., PC-DARTS, ICLR 2020, arXiv 1907.05737; it separates that part "
        "from early stopping (Liang et al., DARTS+, arXiv 1909.06035)."
    )
    axis = "warm-up"
    family = "schedule"
    departures = ("No paper: the share of the search is that of DrNAS's and P-DARTS's warm-ups, 10 epochs of 50.",)
    passes_per_step = 1.8

    class Settings(Variant.Settings):
        """Settings of the warm-up."""

        warm_up: float = Field(default=10 / 50, ge=0, lt=1)
        """Share of the search, at its beginning, in which alpha rests."""
        mixture: Literal["convolutions", "uniform"] = "convolutions"
        """What the weights are trained on meanwhile: the convolutions, 1/2 each, or all operations equally."""

    def __init__(self, settings: Any, protocol: Protocol):
        super().__init__(settings, protocol)
        if settings.mixture == "convolutions" and not set(KERNEL_AREA) & set(protocol.operations):
            raise UserError("warm-start: mixture convolutions needs one among protocol operations, expected uniform")

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return the fixed mixture while the weights warm up, then the softmax; the derivation always reads alpha."""
        if moment.phase is Phase.WEIGHTS and moment.progress < self.settings.warm_up:
            return self._mixture().to(architecture["alpha"])
        return super().op_weights(architecture, moment)

    def _mixture(self) -> Tensor:
        mixed = [self.settings.mixture == "uniform" or operation in KERNEL_AREA for operation in self.operations]
        shares = torch.tensor(mixed, dtype=torch.float64) / sum(mixed)
        return shares.expand(len(EDGES), -1)

    def alpha_gradient(self, step: StepView) -> Architecture | None:
        """Return the first-order gradient, and none during the warm-up."""
        if step.moment(Phase.ALPHA).progress < self.settings.warm_up:
            return None
        return super().alpha_gradient(step)
