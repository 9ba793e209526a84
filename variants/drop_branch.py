"""DropBranch: dropout of the whole skip branch, for each sample by itself."""

from typing import Literal

import torch
from pydantic import Field

from harness.api import EDGES, SKIP, Architecture, Controls, Moment, Phase, Variant


class DropBranch(Variant):
    """Multiply the skip output by m / (1 - p) with m ~ Bernoulli(1 - p), for each cell, edge and sample."""

    name = "drop-branch"
    citation = (
        "Own definition. Nearest: Chen, Xie, Wu and Tian. Progressive DARTS. ICCV 2019, arXiv 1904.12760 (dropout of "
        "the elements of the skip output)."
    )
    axis = "network: dropout of the skip branch"
    family = "supernet"
    departures = (
        "There is no paper of this name to follow: the output is divided by 1 - p, so that its mean and that of "
        "alpha's gradient are those of DARTS, and nothing but the skip branch is touched.",
    )

    class Settings(Variant.Settings):
        """Settings of the dropout."""

        probability: float = Field(default=0.2, ge=0, lt=1)
        """p, at the start of the search."""
        schedule: Literal["constant", "decaying"] = "decaying"
        """`decaying`: p falls linearly to 0 at the end."""

    def probability(self, moment: Moment) -> float:
        """Return p of the current step."""
        share = 1.0 if self.settings.schedule == "constant" else 1 - moment.progress
        return float(self.settings.probability * share)

    def controls(self, architecture: Architecture, moment: Moment) -> Controls:
        """Return the factors of the skip outputs; a fresh draw in each of the two phases of a step."""
        probability = self.probability(moment)
        if moment.phase is Phase.DERIVE or probability == 0:
            return Controls()
        cells = 3 * self.protocol.network.cells_per_stage
        stream = moment.stream(f"drop-branch/{moment.phase.value}")
        kept = stream.random((cells, len(EDGES), moment.batch_size)) >= probability
        shape = cells, len(EDGES), len(self.operations), moment.batch_size
        scale = torch.ones(shape, dtype=moment.dtype, device=moment.device)
        if SKIP in self.operations:
            column = self.operations.index(SKIP)
            scale[:, :, column] = moment.on_device(kept / (1 - probability)).to(scale.dtype)
        return Controls(operation_scale=scale)
