"""DrNAS, progressive: partial channels that grow once, when the weakest operations are dropped."""

from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harness.api import (
    Architecture,
    Continue,
    Controls,
    Decision,
    Moment,
    Phase,
    Protocol,
    Rebuild,
    SearchView,
    Stages,
    StepView,
    SupernetSpec,
    every_operation,
    keep_largest,
    widen,
)
from variants.drnas import Drnas

CHANNEL_DIVISORS = (4, 2)
"""K of each stage."""
KEPT = (5, 3)
"""Operations an edge in each stage."""


class DrnasProgressive(Drnas):
    """Search with 1/4 of the channels and 5 operations, then with 1/2 and 3; wider by Net2Wider (section 3.3)."""

    name = "drnas-progressive"
    axis = "relaxation: Dirichlet; stages of channels and operations"
    family = "schedule"
    departures: ClassVar[tuple[str, ...]] = (
        *Drnas.departures,
        "The two stages are halves of the protocol's epochs (the authors: 50 each).",
        "The momentum of the weights starts from zero in the second stage; the authors migrate it. Alpha and its "
        "optimiser go on, and so does the learning rate.",
        "New channels repeat the old ones in order and share their input weights, as Net2Wider says; the authors draw "
        "them at random and do not divide.",
    )
    passes_per_step = 1.8

    class Settings(Drnas.Settings):
        """Settings of the stages."""

        warm_up: float = Field(default=10 / 50, ge=0, lt=1)
        """Share of each stage, at its beginning, in which alpha rests: the authors' 10 of 50 epochs."""

    def __init__(self, settings: Any, protocol: Protocol):
        super().__init__(settings, protocol)
        self._stages = Stages.divide(protocol.epochs, (1, 1))
        self._stage = 0
        self._active = every_operation(self.operations)

    def supernet_spec(self, spec: SupernetSpec) -> SupernetSpec:
        """Return the net of the first stage."""
        return replace(spec, partial_channels=CHANNEL_DIVISORS[0])

    def _columns(self, device: torch.device) -> Tensor:
        kept = [[column for column, active in enumerate(row) if active] for row in self._active]
        return torch.tensor(kept).to(device, non_blocking=True)

    def concentration(self, architecture: Architecture) -> Tensor:
        """Return the concentrations of the operations that are left, [6, operations]."""
        every = super().concentration(architecture)
        return every.gather(1, self._columns(every.device))

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return a draw in which dropped operations have no weight.

        Parts of a Dirichlet vector, normalised to sum 1, follow the Dirichlet distribution of their concentrations: so
        this is the authors' zeroing and renormalising.
        """
        drawn = super().op_weights(architecture, moment)
        return torch.zeros_like(architecture["alpha"]).scatter(1, self._columns(drawn.device), drawn)

    def controls(self, architecture: Architecture, moment: Moment) -> Controls:
        """Return the operations that are left."""
        return Controls(active=self._active)

    def alpha_gradient(self, step: StepView) -> Architecture | None:
        """Return the pathwise gradient, and none while a stage warms up."""
        if self._stages.share(self._stage, step.moment(Phase.ALPHA)) < self.settings.warm_up:
            return None
        return super().alpha_gradient(step)

    def end_of_epoch(self, search: SearchView) -> Decision:
        """Begin the second stage in the middle: fewer operations on more channels."""
        if not self._stages.ends_with(self._stage, search.epoch):
            return Continue()
        self._active = keep_largest(search.derived_op_weights(), KEPT[self._stage + 1])
        self._stage += 1
        spec = replace(search.supernet.spec, partial_channels=CHANNEL_DIVISORS[self._stage])
        return Rebuild(spec, epochs=None, fresh_alpha=False, transfer=widen)

    def state(self) -> dict[str, Any]:
        """Return the stage and the operations that are left."""
        return {"stage": self._stage, "active": [list(row) for row in self._active]}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self._stage, self._active = state["stage"], tuple(tuple(row) for row in state["active"])
