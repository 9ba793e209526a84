"""DARTS-: an auxiliary skip beside every edge, which fades out, so that skip_connect need not play its part."""

from pydantic import Field
from torch import Tensor

from harness.api import SKIP, Architecture, Moment, Phase, Variant


class DartsMinus(Variant):
    """Add beta x to the output of every edge with source x; beta falls linearly to 0.

    The skip of NAS-Bench-201 is the identity, so beta x + sum_o p_o o(x) is the plain mixture with p_skip + beta in
    the place of p_skip. The cell is read from p alone.
    """

    name = "darts-minus"
    citation = (
        "Chu, Wang, Zhang, Lu, Wei and Yan. DARTS-: Robustly Stepping out of Performance Collapse Without Indicators. "
        "ICLR 2021, arXiv 2009.01027."
    )
    axis = "edges: an auxiliary skip that fades out"
    family = "supernet"
    departures = (
        "beta falls in every step instead of every epoch.",
        "Epochs, learning rates and order of the updates are the protocol's.",
    )

    class Settings(Variant.Settings):
        """Settings of the auxiliary skip."""

        auxiliary_skip: float = Field(default=1.0, ge=0, le=1e3)
        """beta at the start; it falls linearly to 0 at the end."""

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return the softmax, with beta added to skip in the passes of a step; without it for a derivation."""
        mixture = super().op_weights(architecture, moment)
        if moment.phase is Phase.DERIVE:
            return mixture
        beta = self.settings.auxiliary_skip * (1 - moment.progress)
        return mixture + beta * moment.on_device([operation == SKIP for operation in self.operations])
