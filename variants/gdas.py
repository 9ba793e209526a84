"""GDAS: every pass computes one cell that is drawn from alpha, and a straight-through estimator teaches alpha."""

from typing import Any

import numpy as np
import torch
from pydantic import Field, StrictBool
from torch import Tensor

from harness.api import (
    EDGES,
    Architecture,
    Controls,
    Moment,
    Phase,
    Protocol,
    Variant,
    gumbel_softmax,
    nonzero_operations,
    straight_through,
)


class Gdas(Variant):
    """Draw an operation an edge with probability softmax(alpha), anew for each pass, and compute it alone.

    Its op weight is h = 1 with the gradient of y = softmax((log softmax(alpha) + Gumbel noise) / tau) at the drawn
    operation; the logits of the other operations learn through the softmax.
    """

    name = "gdas"
    citation = (
        "Dong and Yang. Searching for a Robust Neural Architecture in Four GPU Hours. CVPR 2019, arXiv 1910.04465."
    )
    axis = "relaxation: one drawn operation, straight through"
    family = "relaxation"
    departures = (
        "An operation that was not drawn has no part in the gradient. The code behind the published rows on "
        "NAS-Bench-201 adds its h, which is 0, to the feature map as a number: as if it had returned ones everywhere. "
        "as_published: true does so too.",
        "tau falls in every step instead of every epoch.",
        "Epochs are the protocol's; NAS-Bench-201 searched for 250, as the protocol gdas does.",
    )

    class Settings(Variant.Settings):
        """Settings of the draws."""

        temperature: float = Field(default=10.0, ge=1e-3, le=1e6)
        """tau at the start."""
        last_temperature: float = Field(default=0.1, ge=1e-3, le=1e6)
        """tau at the end, which is approached linearly."""
        as_published: StrictBool = False
        """Add the term of the published code to alpha's gradient: each operation that was not drawn counts as ones."""

    def __init__(self, settings: Any, protocol: Protocol):
        super().__init__(settings, protocol)
        self._drawn: dict[Phase, tuple[int, int, np.ndarray]] = {}

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return h of the drawn operations and constants 0 of the others; the probabilities for a derivation."""
        if moment.phase is Phase.DERIVE:
            return super().op_weights(architecture, moment)
        choice = self._choice(architecture, moment)
        return torch.where(choice != 0, choice, 0.0)

    def controls(self, architecture: Architecture, moment: Moment) -> Controls:
        """Compute the drawn operations alone, so that the weights of the others rest."""
        if moment.phase is Phase.DERIVE:
            return super().controls(architecture, moment)
        choice = self._choice(architecture, moment)
        others = torch.where(choice != 0, 0.0, choice).sum(dim=-1)
        return Controls(
            active=nonzero_operations(choice),
            edge_shift=others if self.settings.as_published else None,
        )

    def _choice(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return h of all operations, [6, operations]: one-hot rows with the gradient of y."""
        first, last = self.settings.temperature, self.settings.last_temperature
        noise = moment.on_device(self._noise(moment)).to(moment.dtype)
        soft = gumbel_softmax(architecture["alpha"], noise, first + (last - first) * moment.progress)
        return straight_through(soft)

    def _noise(self, moment: Moment) -> np.ndarray:
        """Return Gumbel noise [6, operations], drawn once a step and phase, so that repeated passes agree."""
        epoch, step, noise = self._drawn.get(moment.phase, (-1, -1, np.empty(0)))
        if (epoch, step) != (moment.epoch, moment.step):
            noise = moment.stream(f"gumbel/{moment.phase.value}").gumbel(size=(len(EDGES), len(self.operations)))
            self._drawn[moment.phase] = moment.epoch, moment.step, noise
        return noise
