"""P-DARTS: search in three stages that grow deeper and keep fewer operations, with dropout on skip connections."""

import math
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, StrictInt
from torch import Tensor

from harness.api import (
    Architecture,
    Cell,
    Continue,
    Controls,
    Moment,
    Phase,
    Protocol,
    Rebuild,
    SearchView,
    Stages,
    StepView,
    SupernetSpec,
    Variant,
    every_operation,
    keep_largest,
    skip_cap,
)

PROPORTIONS = {"paper": (1, 1, 1), "growing": (8, 25, 50)}
DEPTHS = (1 / 5, 3 / 5, 1.0)
"""Cells a stage of the network, as shares of the protocol's: 1, 3 and 5 of NAS-Bench-201's 5."""
KEPT = (5, 4, 3)
"""Operations an edge; the derivation picks one of the last three."""

Rate = Annotated[float, Field(ge=0, lt=1)]


class PDarts(Variant):
    """Approach the depth of the final network in stages, and drop the weakest operations in between."""

    name = "p-darts"
    citation = (
        "Chen, Xie, Wu and Tian. Progressive Differentiable Architecture Search: Bridging the Depth Gap between Search "
        "and Evaluation. ICCV 2019, arXiv 1904.12760."
    )
    axis = "stages of depth and operations, skip dropout, skip cap"
    family = "schedule"
    departures = (
        "The paper's 5, 11 and 17 cells are 1/5, 3/5 and all of the protocol's cells a stage, at least one.",
        "The paper keeps 8, 5 and 3 operations; the five of NAS-Bench-201 become 5, 4 and 3.",
        "The paper never derives `none`; here it competes like any operation, as in all variants.",
        "The stages share the protocol's epochs; schedules run over shares of a stage, and dropout falls every step.",
        "The gradient of alpha is not clipped, and the learning rates are the protocol's (the paper: 6e-4 for alpha).",
    )
    passes_per_step = 1.6

    class Settings(Variant.Settings):
        """Settings of the stages."""

        schedule: Literal["paper", "growing"] = "paper"
        """Epochs of the stages: `paper` equal, `growing` in proportion 8 : 25 : 50."""
        skip_dropout: tuple[Rate, Rate, Rate] = (0.0, 0.4, 0.7)
        """Initial dropout rate of skip connections in each stage."""
        warm_up: float = Field(default=10 / 25, ge=0, lt=1)
        """Share of each stage, at its beginning, in which alpha rests: the paper's 10 of 25 epochs."""
        max_skips: StrictInt = Field(default=2, ge=0)
        """M: most skip connections of the derived cell."""

    def __init__(self, settings: Any, protocol: Protocol):
        super().__init__(settings, protocol)
        self._stages = Stages.divide(protocol.epochs, PROPORTIONS[settings.schedule])
        self._stage = 0
        self._active = every_operation(self.operations)
        self._whole: SupernetSpec

    def supernet_spec(self, spec: SupernetSpec) -> SupernetSpec:
        """Return the shallow net of the first stage."""
        self._whole = spec
        return self._spec()

    def _spec(self) -> SupernetSpec:
        depth = max(1, round(DEPTHS[self._stage] * self._whole.shape.cells_per_stage))
        return replace(self._whole, shape=replace(self._whole.shape, cells_per_stage=depth))

    def first_stage_epochs(self) -> int:
        """Return the length of the first stage."""
        return self._stages.lengths[0]

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return the softmax over the operations that are left."""
        dropped = moment.on_device(self._active).logical_not()
        return torch.softmax(architecture["alpha"].masked_fill(dropped, -math.inf), dim=-1)

    def controls(self, architecture: Architecture, moment: Moment) -> Controls:
        """Return the operations that are left, and the dropout of skip connections."""
        return Controls(active=self._active, skip_masks=self._skip_masks(moment))

    def _skip_masks(self, moment: Moment) -> tuple[Tensor, ...] | None:
        share = self._stages.share(self._stage, moment)
        rate = dropout_rate(self.settings.skip_dropout[self._stage], share, self.settings.warm_up)
        if rate == 0 or moment.phase is Phase.DERIVE:
            return None
        # Millions of draws a step: a torch generator on the device makes them. In bfloat16 such cells are not compiled.
        seed = int(moment.stream(f"skip-dropout/{moment.phase.value}").integers(2**63))
        generator = torch.Generator(moment.device).manual_seed(seed)
        masks = []
        for batch, channels, height, width in self._spec().feature_shapes(moment.batch_size):
            # Channels last is the memory format of the features.
            shape = len(self._active), batch, height, width, channels
            mask = torch.empty(shape, dtype=moment.dtype, device=moment.device)
            masks.append(mask.bernoulli_(1 - rate, generator=generator).div_(1 - rate).movedim(-1, 2))
        return tuple(masks)

    def alpha_gradient(self, step: StepView) -> Architecture | None:
        """Return the first-order gradient, and none while a stage warms up."""
        if self._stages.share(self._stage, step.moment(Phase.ALPHA)) < self.settings.warm_up:
            return None
        return super().alpha_gradient(step)

    def end_of_epoch(self, search: SearchView) -> Continue | Rebuild:
        """Begin the next stage where one ends: fewer operations, more cells, fresh weights and alpha."""
        if not self._stages.ends_with(self._stage, search.epoch):
            return Continue()
        self._active = keep_largest(search.derived_op_weights(), KEPT[self._stage + 1])
        self._stage += 1
        return Rebuild(self._spec(), epochs=self._stages.lengths[self._stage])

    def derive(self, search: SearchView) -> Cell:
        """Return the argmax cell with at most M skip connections."""
        return skip_cap(search.derived_op_weights(), self.settings.max_skips, self.operations)

    def derived_cells(self, search: SearchView) -> dict[str, Cell]:
        """Return the cell with one skip connection at most, the count that most of the best cells have."""
        return {"skip-cap-1": skip_cap(search.derived_op_weights(), 1, self.operations)}

    def state(self) -> dict[str, Any]:
        """Return the stage and the operations that are left."""
        return {"stage": self._stage, "active": [list(row) for row in self._active]}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self._stage, self._active = state["stage"], tuple(tuple(row) for row in state["active"])


def dropout_rate(initial: float, share: float, warm_up: float) -> float:
    """Return the authors' rate: p (25 - e - 1) / 25 in epochs e < 10 of 25, then p exp(-0.2 (e - 10)); e = 25 share."""
    if share < warm_up:
        return initial * max(0.0, 1 - share - 1 / 25)
    return initial * math.exp(-0.2 * 25 * (share - warm_up))
