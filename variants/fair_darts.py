"""FairDARTS: every operation has an op weight of its own, and a loss term drives each of them to 0 or 1."""

from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, StrictBool
from torch import Tensor

from harness.api import NONE, Architecture, Cell, Moment, Protocol, SearchView, UserError, Variant, argmax_cell


class FairDarts(Variant):
    """Op weights are sigmoids, so operations need not compete; -w mean (sigmoid(alpha) - 1/2)^2 joins alpha's loss."""

    name = "fair-darts"
    citation = (
        "Chu, Zhou, Zhang and Li. Fair DARTS: Eliminating Unfair Advantages in Differentiable Architecture Search. "
        "ECCV 2020, arXiv 1911.12126."
    )
    axis = "relaxation: sigmoid; alpha loss: zero-one"
    family = "relaxation"
    departures = (
        "The sigmoids are multiplied by 2/5, so that those of an edge sum to 1 at the start: the cells of the paper "
        "normalise what they take in, those of NAS-Bench-201 do not, and features would grow from cell to cell until "
        "convolutions no longer matter. rescale: false is the plain sigmoid.",
        "Each edge keeps its largest op weight, for a cell of NAS-Bench-201 has one operation an edge; the paper keeps "
        "all above 0.85, two edges a node at most. With a threshold an edge below it is none.",
        "Alpha starts as the protocol's noise instead of 0, and its optimiser is the protocol's (the authors' code: "
        "3e-3, betas 0.9 and 0.999).",
    )

    class Settings(Variant.Settings):
        """Settings of the zero-one loss and of the selection."""

        zero_one: Literal["square", "absolute"] = "square"
        """Distance of the sigmoids from 1/2 that is rewarded: its square, or its magnitude."""
        zero_one_weight: float = Field(default=10.0, ge=0, le=1e3)
        """w: weight of the zero-one loss."""
        rescale: StrictBool = True
        """Multiply the sigmoids by 2/5, so that those of an edge sum to 1 at the start."""
        threshold: float | None = Field(default=None, gt=0, lt=1)
        """Sigmoid that an edge's operation must reach, else the edge is `none`; null for no threshold."""

    def __init__(self, settings: Any, protocol: Protocol):
        super().__init__(settings, protocol)
        if settings.threshold is not None and NONE not in protocol.operations:
            raise UserError(
                "fair-darts: threshold makes weak edges none, which protocol operations lack: expected null"
            )
        self._share = 2 / len(self.operations) if settings.rescale else 1.0

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return the sigmoids, scaled."""
        sigmoids = torch.sigmoid(architecture["alpha"])
        return self._share * sigmoids

    def alpha_penalty(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return w times the zero-one loss."""
        distance = torch.sigmoid(architecture["alpha"]) - 0.5
        rewarded = distance.square() if self.settings.zero_one == "square" else distance.abs()
        return -self.settings.zero_one_weight * rewarded.mean()

    def derive(self, search: SearchView) -> Cell:
        """Return the largest sigmoid of each edge, `none` where it is below the threshold."""
        sigmoids = search.derived_op_weights() / self._share
        if self.settings.threshold is not None:
            weak = sigmoids.max(axis=1) < self.settings.threshold
            sigmoids[weak, self.operations.index(NONE)] = np.inf
        return argmax_cell(sigmoids, self.operations)
