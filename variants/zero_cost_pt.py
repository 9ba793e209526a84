"""Zero-Cost-PT: the untrained supernet, discretised edge by edge by a score that needs no labels."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, StrictInt
from torch import Tensor

from harness.api import (
    EDGES,
    OPERATIONS,
    Architecture,
    Batch,
    Cell,
    Moment,
    Phase,
    Probed,
    SearchLength,
    SearchView,
    StepView,
    Stop,
    Variant,
    nonzero_operations,
    probe,
)


class ZeroCostPt(Variant):
    """Fix edges in random order to the operation without which the untrained supernet scores lowest; do so some times.

    The score of a network is log |det K|, where K counts for each two images the ReLUs that are on for both or off
    for both (Mellor et al., ICML 2021). Of the proposed cells the answer is the one with the largest sum of scores.
    """

    name = "zero-cost-pt"
    citation = (
        "Xiang, Dudziak, Abdelfattah, Chau, Lane and Wen. Zero-Cost Operation Scoring in Differentiable Architecture "
        "Search. AAAI 2023, arXiv 2106.06799."
    )
    family = "selection"
    axis = "no alpha and no training: perturbation of the initial supernet by a zero-cost score"
    departures = (
        "One epoch passes through the network without moving a weight, so that the run has a loss; then it ends.",
        "Proposed cells are scored with the supernet's initial weights; a network of their own would draw others.",
        "Batches are those of the protocol's training half without augmentation, the same for all that is compared.",
        "A batch of fewer images than asked for, and fewer batches, are taken where the half has no more.",
    )
    passes_per_step = 1.0

    class Settings(Variant.Settings):
        """How many cells are proposed, and how they are scored."""

        proposals: StrictInt = Field(default=10, ge=1, le=10_000)
        """N: proposals, each with noise and an order of the edges of its own."""
        images: StrictInt = Field(default=256, ge=2, le=100_000)
        """Training images of a batch; all of them if there are fewer."""
        batches: StrictInt = Field(default=100, ge=1, le=100_000)
        """V: batches that the proposed cells are scored on; all of an epoch if there are fewer."""

    @classmethod
    def answer_passes(cls, settings: Any, length: SearchLength) -> float:
        """Return what the scores cost if no cell is proposed twice: a forward pass each, a third of a pass a batch."""
        removals = len(EDGES) * len(OPERATIONS) * min(settings.images, length.images)
        total = min(settings.images * settings.batches, length.images)
        return settings.proposals * (removals + total) / length.batch_size / 3

    @classmethod
    def search_passes(cls, settings: Any, length: SearchLength) -> float:
        """Return the passes of one epoch, the only one, and of the answer."""
        return cls.passes_per_step * length.steps + cls.answer_passes(settings, length)

    def architecture_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return nothing: there is no alpha."""
        return {}

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return the plain mean of all operations, for the pass whose loss is recorded."""
        shape = len(EDGES), len(self.operations)
        return torch.full(shape, 1 / len(self.operations), dtype=moment.dtype, device=moment.device)

    def alpha_gradient(self, step: StepView) -> Architecture | None:
        """Return None: there is no alpha step."""
        return None

    def before_weight_step(self, step: StepView) -> None:
        """Keep all weights as they were drawn."""
        step.search.freeze(step.weights)

    def end_of_epoch(self, search: SearchView) -> Stop:
        """End the search: nothing is left to train."""
        return Stop("no weight is trained, the cell comes from the initial ones")

    def derive(self, search: SearchView) -> Cell:
        """Return the proposed cell whose scores sum to most; the first of equal ones."""
        batch = search.data.probe_batch("train", self.settings.images)
        cells = list(dict.fromkeys(self._proposal(search, batch) for _ in range(self.settings.proposals)))
        return cells[0] if len(cells) == 1 else max(cells, key=lambda cell: self._total(search, cell))

    def _proposal(self, search: SearchView, batch: Batch) -> Cell:
        """Fix one edge after another; the op weights of the others are about uniform."""
        moment = search.moment(Phase.DERIVE)
        noise = moment.stream("noise").standard_normal((len(EDGES), len(self.operations)))
        op_weights = torch.softmax(moment.on_device(self.protocol.alpha.init_scale * noise).to(moment.dtype), dim=-1)
        chosen = [0] * len(EDGES)
        for edge in moment.stream("order").permutation(len(EDGES)).tolist():
            left = removal_scores(search, op_weights, edge, batch)
            chosen[edge] = int(np.argmin(left))
            op_weights[edge] = F.one_hot(torch.tensor(chosen[edge]), len(self.operations)).to(op_weights)
        return Cell(tuple(self.operations[column] for column in chosen))

    def _total(self, search: SearchView, cell: Cell) -> float:
        batches = search.data.mixed_batches("train", self.settings.images)
        first = (batch for batch, _ in zip(batches, range(self.settings.batches), strict=False))
        return sum(score(search, search.one_hot(cell), batch, alone=True) for batch in first)


def removal_scores(search: SearchView, op_weights: Tensor, edge: int, batch: Batch) -> list[float]:
    """Return the score of the mixture without each operation of an edge; the other op weights stay as they are."""
    without = [op_weights.clone() for _ in op_weights[edge]]
    for column, left in enumerate(without):
        left[edge, column] = 0
    return [score(search, left, batch) for left in without]


def score(search: SearchView, op_weights: Tensor, batch: Batch, alone: bool = False) -> float:
    """Return log |det K| of the network under op weights on the images of a batch.

    Batch norms do not normalise, as those of a new network in evaluation. With `alone` the ReLUs of operations without
    op weight do not count, as in a network that lacks them. Minus infinity where K is singular.
    """
    images, _ = batch
    search.passes += len(images) / search.data.batch_size / 3
    active = nonzero_operations(op_weights) if alone else None
    parts = probe(search.supernet, images, op_weights, active, statistics="initial")
    value = float(np.linalg.slogdet(agreement(parts).cpu().numpy())[1])
    return -math.inf if math.isnan(value) else value


def agreement(parts: Iterable[Probed]) -> Tensor:
    """Return K, float64 [images, images]: at how many ReLU inputs two images have the same sign, as an unfused net."""
    total: Any = 0
    for part in parts:
        for features, count in part.relu_inputs:
            signs = 2 * (features > 0).flatten(start_dim=1).float() - 1  # exact: their products are whole and small
            total = total + count * (signs @ signs.T + signs.shape[1]).double() / 2
    return total
