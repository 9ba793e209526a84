"""Random search with parameter sharing: the shared weights of DARTS without its alpha."""

from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from harness.api import (
    EDGES,
    OPERATIONS,
    Architecture,
    Cell,
    Controls,
    Moment,
    Phase,
    Protocol,
    SearchLength,
    SearchView,
    StepView,
    Strategy,
    Variant,
    best_of_k,
    nonzero_operations,
    random_cell,
)


class RandomSearchWithSharing(Variant):
    """Train the weights on one random cell a step, the same at all positions; answer with the best of many cells.

    A cell is scored by its one-shot accuracy: that of the shared weights under the cell's one-hot op weights. What
    DARTS finds beyond this control comes from alpha.
    """

    name = "rsps"
    citation = "Li and Talwalkar. Random Search and Reproducibility for NAS. UAI 2019, arXiv 1902.07638."
    axis = "no alpha: weights trained on random cells, best of many by one-shot accuracy"
    family = "weight-sharing control"
    strategy: ClassVar[Strategy] = "random"
    departures: ClassVar[tuple[str, ...]] = (
        "All candidates are scored on one batch, which the seed fixes, so that their scores differ by the cell alone; "
        "NAS-Bench-201 takes the next batch for each.",
        "Scores use the statistics of their batch, since running ones mix all cells that were trained; the published "
        "codes score in evaluation mode, which `running_statistics: true` does.",
        "100 candidates, as in NAS-Bench-201 (Dong and Yang 2020); the paper trains its best candidates again.",
        "Operations that a step does not compute rest; in the published codes, whose zeroed gradients are numbers, "
        "momentum and weight decay go on moving them, and those whose output a `none` discards.",
    )
    passes_per_step = 1.0

    class Settings(Variant.Settings):
        """How the answer is chosen."""

        candidates: int = Field(default=100, ge=1)
        """Cells drawn at the end, of which the one with the best one-shot accuracy is the answer."""
        candidate_images: int = Field(default=512, ge=1)
        """Validation images that the candidates are scored on; all of them if there are fewer."""
        running_statistics: bool = False
        """Score cells in evaluation mode, as the published codes do: by running statistics where the batch norms keep
        them, in the search cells only with the protocol's `batch_statistics: false`."""

    def __init__(self, settings: Any, protocol: Protocol):
        super().__init__(settings, protocol)
        self._drawn_at: tuple[int, int] | None = None
        self._drawn: Cell

    def architecture_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return nothing: there is no alpha."""
        return {}

    def alpha_gradient(self, step: StepView) -> Architecture | None:
        """Return None: there is no alpha step."""
        return None

    def draw_cells(self, architecture: Architecture, generator: np.random.Generator, count: int) -> list[Cell]:
        """Return uniform draws."""
        return [random_cell(generator, self.operations) for _ in range(count)]

    def cell_of_step(self, architecture: Architecture, moment: Moment) -> Cell:
        """Return the cell that the weights are trained on in this step; drawn once, so that repeated passes agree."""
        if self._drawn_at != (moment.epoch, moment.step):
            self._drawn_at = moment.epoch, moment.step
            (self._drawn,) = self.draw_cells(architecture, moment.stream("trained-cell"), 1)
        return self._drawn

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return one-hot op weights for a weight step, else those of `policy`."""
        if moment.phase is not Phase.WEIGHTS:
            return self.policy(architecture, moment)
        return one_hot(self.cell_of_step(architecture, moment), self.operations).to(
            moment.device, moment.dtype, non_blocking=True
        )

    def policy(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return the probability of each operation when a cell is drawn, [6, operations]."""
        shape = len(EDGES), len(self.operations)
        return torch.full(shape, 1 / len(self.operations), dtype=moment.dtype, device=moment.device)

    def controls(self, architecture: Architecture, moment: Moment) -> Controls:
        """Let a weight step compute its cell alone."""
        if moment.phase is not Phase.WEIGHTS:
            return super().controls(architecture, moment)
        return Controls(active=nonzero_operations(one_hot(self.cell_of_step(architecture, moment), self.operations)))

    @classmethod
    def answer_passes(cls, settings: Any, length: SearchLength) -> float:
        """Return what scoring the candidates costs: a forward pass each, a third of a pass a batch."""
        return settings.candidates * min(settings.candidate_images, length.images) / length.batch_size / 3

    def derive(self, search: SearchView) -> Cell:
        """Return the candidate with the best one-shot accuracy."""
        generator = search.moment(Phase.DERIVE).stream("candidates")
        cells = self.draw_cells(search.architecture, generator, self.settings.candidates)
        batch = search.data.probe_batch("valid", self.settings.candidate_images)
        return best_of_k(search, cells, [batch], running_statistics=self.settings.running_statistics)


def one_hot(cell: Cell, operations: tuple[str, ...] = OPERATIONS) -> Tensor:
    """Return the op weights [6, operations] that select one cell, integers on the host."""
    return F.one_hot(torch.tensor(cell.columns(operations)), len(operations))
