"""DARTS-PT: the supernet of DARTS, discretised edge by edge by what it loses without an operation."""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from harness.api import (
    EDGES,
    OPERATIONS,
    Architecture,
    Cell,
    Continue,
    Moment,
    Phase,
    Protocol,
    Restart,
    SearchView,
    StepView,
    UserError,
    Variant,
)


class DartsPt(Variant):
    """Search, then fix one random edge after another to the operation whose removal hurts most, and tune in between.

    An operation is removed by setting its op weight to zero in all cells; the others stay as they are. What is left is
    judged by the accuracy on all validation images.
    """

    name = "darts-pt"
    citation = (
        "Wang, Cheng, Chen, Tang and Hsieh. Rethinking Architecture Selection in Differentiable NAS. ICLR 2021, "
        "arXiv 2108.04392."
    )
    axis = "derivation: perturbation of the supernet, edge by edge, with tuning in between"
    family = "selection"
    departures = (
        "The paper tunes for 25 epochs after 100 of search; here a fifth of the protocol's epochs is for tuning.",
        "The rate begins anew once, before the first tuning, and falls over all of it.",
        "The removal leaves running statistics of batch norms alone.",
    )
    # Each of 30 operations is judged by a forward pass over the validation images.
    further_epochs = len(EDGES) * len(OPERATIONS) / 3

    class Settings(Variant.Settings):
        """Settings of the tuning, and of alpha."""

        train_alpha: bool = True
        """Let alpha learn; false is the paper's fixed alpha, whose op weights stay about uniform."""
        tuning: float = Field(default=0.2, gt=0, lt=1)
        """Share of the search, at its end, in which edges are fixed and the weights are tuned: 25 of 125 epochs."""
        tuning_rate: float = Field(default=0.1, gt=0, le=1)
        """Learning rate of the tuning, as a share of the protocol's."""

    def __init__(self, settings: Any, protocol: Protocol):
        super().__init__(settings, protocol)
        if protocol.epochs < 2:
            raise UserError("protocol epochs: darts-pt needs at least 2 epochs, one to search and one to tune")
        self._tuning_epochs = min(max(1, round(settings.tuning * protocol.epochs)), protocol.epochs - 1)
        self._fixed: dict[int, int] = {}
        """Column of the operation that an edge is fixed to, by edge."""

    def first_stage_epochs(self) -> int:
        """Return the epochs before the first edge is fixed."""
        return self.protocol.epochs - self._tuning_epochs

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return the softmax of alpha, and one-hot rows for fixed edges."""
        rows = list(super().op_weights(architecture, moment).unbind())
        units = torch.eye(len(self.operations), dtype=moment.dtype, device=moment.device)
        for edge, column in self._fixed.items():
            rows[edge] = units[column]
        return torch.stack(rows)

    def alpha_gradient(self, step: StepView) -> Architecture | None:
        """Return the first-order gradient, and None for an alpha that does not learn."""
        if not self.settings.train_alpha:
            return None
        return super().alpha_gradient(step)

    def end_of_epoch(self, search: SearchView) -> Continue | Restart:
        """Fix the edges that are due: the first before the tuning, the last after it."""
        due = self._due(search.epoch)
        while len(self._fixed) < due:
            self._fix_an_edge(search)
        if search.epoch == self.first_stage_epochs():
            return Restart(self.settings.tuning_rate, epochs=self._tuning_epochs)
        return Continue()

    def _due(self, epoch: int) -> int:
        """Return how many edges are fixed after this many epochs."""
        tuned = epoch - self.first_stage_epochs()
        return 0 if tuned < 0 else 1 + (len(EDGES) - 1) * tuned // self._tuning_epochs

    def _fix_an_edge(self, search: SearchView) -> None:
        moment = search.moment(Phase.DERIVE)
        open_edges = [edge for edge in range(len(EDGES)) if edge not in self._fixed]
        edge = int(moment.stream("edge").choice(open_edges))
        with torch.no_grad():
            op_weights = self.op_weights(search.architecture, moment)
        left = remaining_accuracies(search, op_weights, edge)
        self._fixed[edge] = min(left, key=lambda column: left[column])

    def derive(self, search: SearchView) -> Cell:
        """Return the operations that the edges are fixed to; alpha's choice for those of an unfinished search."""
        chosen = search.derived_op_weights().argmax(axis=1)
        return Cell(tuple(self.operations[self._fixed.get(edge, int(chosen[edge]))] for edge in range(len(EDGES))))

    def state(self) -> dict[str, Any]:
        """Return the fixed edges, in the order in which they were."""
        return {"fixed": [list(pair) for pair in self._fixed.items()]}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self._fixed = dict(state["fixed"])


def remaining_accuracies(search: SearchView, op_weights: Tensor, edge: int) -> Mapping[int, float]:
    """Return the accuracy (percent) on all validation images without each operation of an edge, by its column."""
    found = {}
    for column in range(op_weights.shape[-1]):
        without = op_weights.clone()
        without[edge, column] = 0
        batches = search.data.mixed_batches("valid", search.data.batch_size)
        found[column] = search.one_shot_accuracy(without, batches)
    return found
