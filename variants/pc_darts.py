"""PC-DARTS: only a part of the channels passes through the operations, and edges are weighed against each other."""

from dataclasses import replace

import torch
from pydantic import Field, StrictBool, StrictInt
from torch import Tensor

from harness.api import EDGES, Architecture, Controls, Moment, Phase, StepView, SupernetSpec, Variant


class PcDarts(Variant):
    """Mix operations on 1/K of an edge's channels and let the rest pass by (Xu et al. 2020, equations 2 and 3)."""

    name = "pc-darts"
    citation = (
        "Xu, Xie, Zhang, Chen, Qi, Tian and Xiong. PC-DARTS: Partial Channel Connections for Memory-Efficient "
        "Architecture Search. ICLR 2020, arXiv 1907.05737."
    )
    axis = "edges: partial channels, normalised among each other"
    family = "supernet"
    departures = (
        "The paper speaks of sampled channels and its results come from code that takes the first C/K and shuffles "
        "them afterwards: that is the default here, and random_channels samples them.",
        "Batch size, learning rates and weight decay are the protocol's (the paper: batch 256, 0.1 for the weights, "
        "6e-4 for alpha), so that variants differ in their method alone.",
        "Cells of NAS-Bench-201 keep every edge, so edge weights act on the search only; the paper also selects two "
        "edges a node by them.",
        "Average pooling has no batch norm, as everywhere on NAS-Bench-201.",
    )
    passes_per_step = 1.7

    class Settings(Variant.Settings):
        """Settings of partial channels."""

        channel_divisor: StrictInt = Field(default=4, ge=1)
        """K: 1/K of the channels of each edge passes through the operations. The protocol's channels must be a multiple
        of it."""
        random_channels: StrictBool = False
        """Draw the channels of each edge in every pass; if not, take the first C/K and shuffle afterwards."""
        edge_normalisation: StrictBool = True
        """Weigh the edges that enter a node by the softmax of the architecture parameters beta."""
        warm_up: float = Field(default=15 / 50, ge=0, lt=1)
        """Share of the search, at its beginning, in which alpha and beta rest: the paper's 15 of 50 epochs."""

    def supernet_spec(self, spec: SupernetSpec) -> SupernetSpec:
        """Return the net with operations of 1/K of the channels."""
        return replace(spec, partial_channels=self.settings.channel_divisor)

    def architecture_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return alpha, and beta [6] where edges are weighed."""
        beta = {"beta": (len(EDGES),)} if self.settings.edge_normalisation else {}
        return {**super().architecture_shapes(), **beta}

    def controls(self, architecture: Architecture, moment: Moment) -> Controls:
        """Return the edge weights and the choice of channels."""
        return Controls(
            edge_weights=edge_weights(architecture["beta"]) if self.settings.edge_normalisation else None,
            channel_order=self._channel_keys(moment) if self.settings.random_channels else None,
        )

    def _channel_keys(self, moment: Moment) -> Tensor:
        network = self.protocol.network
        shape = (3 * network.cells_per_stage, len(EDGES), 4 * network.channels)
        if moment.phase is Phase.DERIVE:
            return torch.arange(shape[-1], device=moment.device).expand(shape)
        return moment.on_device(moment.stream(f"channels/{moment.phase.value}").random(shape))

    def alpha_gradient(self, step: StepView) -> Architecture | None:
        """Return the first-order gradient, and none during the warm-up."""
        if step.moment(Phase.ALPHA).progress < self.settings.warm_up:
            return None
        return super().alpha_gradient(step)


def edge_weights(beta: Tensor) -> Tensor:
    """Return the softmax of beta [6] among the edges that enter the same node (equation 3)."""
    # Edges are ordered by their target: nodes 1, 2 and 3 have one, two and three.
    return torch.cat([torch.softmax(entering, dim=0) for entering in beta.split((1, 2, 3))])
