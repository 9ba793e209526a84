"""Edge dropout: on random edges the skip, or the whole edge, is left out of a pass."""

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from harness.api import (
    EDGES,
    OPERATIONS,
    SKIP,
    Architecture,
    Controls,
    Moment,
    Phase,
    Protocol,
    Variant,
    nonzero_operations,
    running_sums,
)


class EdgeDropout(Variant):
    """With probability q an edge does without its skip: the softmax is taken over the other operations.

    Modes: `skip_mask` as above, one mask for all cells and a pass. `drop_edge`: the edge's output times m / P(m = 1),
    at least one edge into every node kept. `seed_single_path`: the weights train one operation an edge, with
    probability q a draw from the other operations' op weights, else the argmax; alpha sees the mixture.
    """

    name = "edge-dropout"
    citation = (
        "Own definition. Nearest: Hong, Li, Zhang, Tang, Wang, Li and Yu. DropNAS: Grouped Operation Dropout for "
        "Differentiable Architecture Search. IJCAI 2020."
    )
    axis = "relaxation: random mask of the skip, or of edges"
    family = "relaxation"
    departures = (
        "There is no paper of this name to follow: every mode is written so that alpha's gradient exists.",
        "Cells are derived from the mean op weights over the masks, which are what the weights were trained with.",
        "drop_edge divides by the probability that an edge is kept, which the rule of one edge a node raises above "
        "1 - q, so that the mean output is that of DARTS.",
        "With seed_single_path, operations that a step does not compute rest: neither momentum nor weight decay moves "
        "them, as with any optimiser of PyTorch since version 2.",
    )

    class Settings(Variant.Settings):
        """Settings of the dropout."""

        mode: Literal["skip_mask", "drop_edge", "seed_single_path"] = "skip_mask"
        """What happens on a chosen edge, see above."""
        probability: float = Field(default=0.2, ge=0, lt=1)
        """q: how often an edge is chosen, in each pass."""

    def __init__(self, settings: Any, protocol: Protocol):
        super().__init__(settings, protocol)
        self._drawn: dict[Phase, tuple[int, int, np.ndarray]] = {}

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return the op weights of one draw; those of a derivation are the mean."""
        logits = architecture["alpha"]
        mixture = torch.softmax(logits, dim=-1)
        mode = self.settings.mode
        if mode == "skip_mask":
            return (
                self._mean(logits, mixture) if moment.phase is Phase.DERIVE else self._masked(logits, mixture, moment)
            )
        if mode == "seed_single_path" and moment.phase is Phase.WEIGHTS:
            return self._single_path(logits, mixture, moment)
        return mixture

    def controls(self, architecture: Architecture, moment: Moment) -> Controls:
        """Return the factors of the edges, or let a step compute its single path alone."""
        if self.settings.mode == "seed_single_path" and moment.phase is Phase.WEIGHTS:
            return Controls(active=nonzero_operations(self.op_weights(architecture, moment)))
        if self.settings.mode != "drop_edge" or moment.phase is Phase.DERIVE:
            return Controls()
        q = self.settings.probability
        kept = kept_edges(moment.stream(f"edge-dropout/{moment.phase.value}"), q)
        factors = moment.on_device(kept / keep_probability(q)).to(moment.dtype)
        return Controls(edge_weights=factors)

    def _mean(self, logits: Tensor, mixture: Tensor) -> Tensor:
        q = self.settings.probability
        return (1 - q) * mixture + q * self._without_skip(logits)

    def _masked(self, logits: Tensor, mixture: Tensor, moment: Moment) -> Tensor:
        return torch.where(self._chosen(moment), self._without_skip(logits), mixture)

    def _single_path(self, logits: Tensor, mixture: Tensor, moment: Moment) -> Tensor:
        chosen = self._chosen(moment)
        uniform = moment.on_device(self._draws(moment)[:, 1:]).to(logits.dtype)
        # The first operation whose cumulative weight exceeds the draw; the last sum may round to below 1.
        drawn = (running_sums(self._without_skip(logits)) <= uniform).sum(dim=-1).clamp(max=logits.shape[-1] - 1)
        column = torch.where(chosen[:, 0], drawn, mixture.argmax(dim=-1))
        return F.one_hot(column, logits.shape[-1]).to(logits.dtype)

    def _without_skip(self, logits: Tensor) -> Tensor:
        return without_skip(logits, self.operations)

    def _chosen(self, moment: Moment) -> Tensor:
        return moment.on_device(self._draws(moment)[:, :1] < self.settings.probability)

    def _draws(self, moment: Moment) -> np.ndarray:
        """Return uniform numbers [6, 2], drawn once a step and phase, so that repeated passes agree."""
        epoch, step, draws = self._drawn.get(moment.phase, (-1, -1, np.empty(0)))
        if (epoch, step) != (moment.epoch, moment.step):
            draws = moment.stream(f"edge-dropout/{moment.phase.value}").random((len(EDGES), 2))
            self._drawn[moment.phase] = moment.epoch, moment.step, draws
        return draws


def without_skip(logits: Tensor, operations: tuple[str, ...] = OPERATIONS) -> Tensor:
    """Return the softmax of [6, operations] over those that are no skip; the skip's op weight is 0."""
    mask = torch.tensor([operation == SKIP for operation in operations]).to(logits.device, non_blocking=True)
    return torch.softmax(logits.masked_fill(mask, -torch.inf), dim=-1)


def kept_edges(random: np.random.Generator, q: float) -> np.ndarray:
    """Draw which edges are kept, bool [6]: each with 1 - q; a node left without any gets one back at random."""
    kept = random.random(len(EDGES)) >= q
    for target in (1, 2, 3):
        incoming = [edge for edge, (_, end) in enumerate(EDGES) if end == target]
        rescued = random.choice(incoming)
        if not kept[incoming].any():
            kept[rescued] = True
    return kept


def keep_probability(q: float) -> np.ndarray:
    """Return how likely `kept_edges` keeps each edge: 1 - q + q^n / n for one of n edges into a node."""
    incoming = np.array([target for _, target in EDGES])
    return 1 - q + q**incoming / incoming
