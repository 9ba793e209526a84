"""ZO-DARTS++: ZO-DARTS+ with a cell of its own in each stage and a penalty on the network's size."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from harness.api import (
    CONV3,
    EDGES,
    KERNEL_AREA,
    OPERATIONS,
    Architecture,
    Cell,
    Moment,
    Phase,
    SearchView,
    Shape,
    argmax_cell,
)
from variants.zo_darts_plus import ZoDartsPlus

STAGES = 3


class ZoDartsPlusPlus(ZoDartsPlus):
    """Alpha is [3, 6, operations], one matrix a stage; (15 / tau) * max(0, resource - budget) is added to its loss.

    The resource is the expected size of all search cells over that of cells of 3x3 convolutions alone. The table knows
    networks of one cell: the answer is the argmax of the mean op weights over the stages. The three cells are recorded
    as `stage 1` to `stage 3`.
    """

    name = "zo-darts-pp"
    citation = (
        "Xie, Lomurno, Gambella, Ardagna, Roveri, Matteucci and Shi. ZO-DARTS++: An Efficient and Size-Variable "
        "Zeroth-Order Neural Architecture Search Algorithm. arXiv 2503.06092, 2025."
    )
    axis = "alpha gradient: zeroth order; relaxation: sparsemax; one alpha a stage; size penalty"
    family = "gradient estimator"
    departures: ClassVar[tuple[str, ...]] = (
        *ZoDartsPlus.departures,
        "Kernel sizes beyond the benchmark's and the choice of the number of cells are left out: no table has them.",
        "The table knows networks of one cell, so the answer is the argmax of the mean op weights over the stages.",
        "Size is a share of that of cells of 3x3 convolutions, so that one budget suits every protocol, and only what "
        "exceeds the budget is penalised; the published code counts millions of parameters.",
    )

    class Settings(ZoDartsPlus.Settings):
        """Settings of the size penalty."""

        resource: Literal["parameters", "flops"] = "parameters"
        """What the size is counted in."""
        budget: float = Field(default=0.5, ge=0, le=1)
        """Share of the size of all-3x3 cells that costs nothing; with 0 every weight costs."""
        penalty: float = Field(default=15.0, ge=0, le=1e6)
        """Strength of the penalty, divided by tau."""
        penalty_start: float = Field(default=0.4, ge=0, le=1)
        """Share of the search before the penalty acts: epoch 20 of 50."""

    def architecture_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return one matrix a stage."""
        return {"alpha": (STAGES, len(EDGES), len(self.operations))}

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return the matrix of each cell's stage: [cells, 6, operations]."""
        stages = super().op_weights(architecture, moment)
        return stages.repeat_interleave(self.protocol.network.cells_per_stage, dim=0)

    def alpha_penalty(self, architecture: Architecture, moment: Moment) -> Tensor | None:
        """Return the size penalty."""
        if moment.progress < self.settings.penalty_start:
            return None
        excess = self.expected_size(super().op_weights(architecture, moment)) - self.settings.budget
        return self.settings.penalty / self.temperature(moment) * excess.clamp(min=0)

    def expected_size(self, stages: Tensor) -> Tensor:
        """Return the expected size of the cells over that of all-3x3 cells, from op weights [3, 6, operations]."""
        every = operation_sizes(self.protocol.network.channels, self.settings.resource)
        sizes = every[:, [OPERATIONS.index(operation) for operation in self.operations]].to(stages)
        largest = len(EDGES) * float(every[:, OPERATIONS.index(CONV3)].sum())
        return (stages * sizes[:, None, :]).sum() / largest

    def derived_cells(self, search: SearchView) -> dict[str, Cell]:
        """Return the cell of each stage."""
        with torch.no_grad():
            stages = super().op_weights(search.architecture, search.moment(Phase.DERIVE))
        matrices = stages.cpu().double().numpy()
        return {
            f"stage {number}": argmax_cell(matrix, self.operations) for number, matrix in enumerate(matrices, start=1)
        }


def operation_sizes(channels: int, resource: str) -> Tensor:
    """Return the weights of each operation in each stage, [3, 5], or its multiply-adds up to a common factor."""
    sizes = torch.zeros(STAGES, len(OPERATIONS), dtype=torch.float64)
    for stage, width in enumerate(Shape(channels=channels).stage_channels):
        for operation, area in KERNEL_AREA.items():
            kernel = area * width**2
            # Each stage has a quarter of the pixels of the one before; batch norm is free in multiply-adds.
            size = kernel / 4**stage if resource == "flops" else kernel + 2 * width
            sizes[stage, OPERATIONS.index(operation)] = size
    return sizes
