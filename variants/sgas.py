"""SGAS: edge after edge is decided during the search, the surest first, and stays as it was decided."""

from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import Field, StrictInt, model_validator
from torch import Tensor

from harness.api import (
    EDGES,
    NONE,
    OPERATIONS,
    Architecture,
    Continue,
    Controls,
    Decision,
    Moment,
    Protocol,
    SearchView,
    StepView,
    Variant,
)


class Sgas(Variant):
    """Decide one edge at a time: that with the largest score gets its best operation, which is never `none`.

    The score is the product of how much the edge passes on, how certain its choice is, and (criterion 2) how stable
    its op weights were over the last epochs, each scaled to 0 ... 1 over the edges. The other operations of a decided
    edge leave the network, and the search goes on with less.
    """

    name = "sgas"
    citation = (
        "Li, Qian, Delgadillo, Mueller, Thabet and Ghanem. SGAS: Sequential Greedy Architecture Search. CVPR 2020, "
        "arXiv 1912.00195."
    )
    axis = "selection: greedy, edge by edge during the search"
    family = "selection"
    departures = (
        "All six edges stay, for a cell of NAS-Bench-201 has every edge; the paper keeps two a node.",
        "The paper's first decision after 9 epochs and one every 5 from then on are shares of 40 epochs, which six "
        "edges take.",
        "The batch size stays what the protocol says; the paper raises it by 8 at every decision.",
        "In the scaling of a score, a decided edge counts with the op weights that it was decided by.",
    )
    passes_per_step = 1 + 34 / 40

    class Settings(Variant.Settings):
        """Settings of the decisions."""

        criterion: Literal[1, 2] = 2
        """1: importance and certainty; 2: stability too."""
        first_decision: float = Field(default=9 / 40, gt=0, le=1)
        """Share of the search after which the first edge is decided, in whole epochs; the paper's 9 epochs."""
        interval: float = Field(default=5 / 40, ge=0, le=1)
        """Share of the search between two decisions, in whole epochs; the paper's 5 epochs."""
        history: StrictInt = Field(default=4, ge=1, le=10_000)
        """Epochs that stability looks back."""

        @model_validator(mode="after")
        def _every_edge_is_decided(self) -> Self:
            last = self.first_decision + (len(EDGES) - 1) * self.interval
            if last > 1:
                raise ValueError(f"interval: expected first_decision + 5 interval at most 1, not {last:g}")
            return self

    def __init__(self, settings: Any, protocol: Protocol):
        super().__init__(settings, protocol)
        self._decided: dict[int, int] = {}
        self._past: list[list[list[float]]] = []

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return the softmax, and one-hot rows for decided edges."""
        mixture = super().op_weights(architecture, moment)
        column = moment.on_device(np.array([[self._decided.get(edge, -1)] for edge in range(len(EDGES))]))
        chosen = torch.arange(len(self.operations), device=mixture.device) == column
        return torch.where(column >= 0, chosen.to(mixture.dtype), mixture)

    def controls(self, architecture: Architecture, moment: Moment) -> Controls:
        """Leave out what a decided edge no longer has."""
        columns = range(len(self.operations))
        rows = [tuple(self._decided.get(edge, column) == column for column in columns) for edge in range(len(EDGES))]
        return Controls(active=tuple(rows))

    def alpha_gradient(self, step: StepView) -> Architecture | None:
        """Return the first-order gradient, and none once there is nothing left to decide."""
        return super().alpha_gradient(step) if len(self._decided) < len(EDGES) else None

    def end_of_epoch(self, search: SearchView) -> Decision:
        """Decide the edges that are due, by the op weights of now and of the last epochs."""
        now = torch.softmax(search.architecture["alpha"].detach().double(), dim=-1).cpu().numpy()
        for edge in self._decided:
            now[edge] = self._past[-1][edge]
        ranking = np.argsort(-scores(now, self._past, self.settings.criterion, self.operations), kind="stable")
        waiting = [int(edge) for edge in ranking if edge not in self._decided]
        for edge in waiting[: self._due(search.epoch) - len(self._decided)]:
            self._decided[edge] = int(without_none(now, self.operations)[edge].argmax())
        self._past = [*self._past, now.tolist()][-self.settings.history :]
        return Continue()

    def _due(self, epoch: int) -> int:
        """Return how many edges are decided after an epoch."""
        shares = [self.settings.first_decision + number * self.settings.interval for number in range(len(EDGES))]
        # Rounded down to whole epochs; a product such as 0.475 * 40 may lie below its number by rounding.
        return sum(int(share * self.protocol.epochs + 1e-9) <= epoch for share in shares)

    def state(self) -> dict[str, Any]:
        """Return the decisions and the op weights of the last epochs."""
        return {"decided": self._decided, "past": self._past}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self._decided, self._past = state["decided"], state["past"]


def without_none(op_weights: np.ndarray, operations: tuple[str, ...] = OPERATIONS) -> np.ndarray:
    """Return op weights [..., 6, operations] with those of `none` set to 0, and the others divided by their sum."""
    kept = np.where([operation != NONE for operation in operations], op_weights, 0.0)
    return kept / kept.sum(axis=-1, keepdims=True)


def scores(
    op_weights: np.ndarray, past: list[list[list[float]]], criterion: int, operations: tuple[str, ...] = OPERATIONS
) -> np.ndarray:
    """Return how surely each edge can be decided, [6], from 0 to 1.

    Args:
        op_weights: [6, operations], of now.
        past: the same of the epochs before.
        criterion: 1 without stability, 2 with it.
        operations: those of the columns.
    """
    shares = without_none(op_weights, operations)
    logarithms = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    passing = [operation != NONE for operation in operations]
    importance = op_weights[:, passing].sum(axis=1)
    certainty = 1 + (shares * logarithms).sum(axis=1) / np.log(max(sum(passing), 2))  # of one alone it is 1
    score = scaled(importance) * scaled(certainty)
    if criterion == 2 and past:
        overlap = np.minimum(shares, without_none(np.array(past), operations)).sum(axis=-1)
        score = score * scaled(overlap.mean(axis=0))
    return score


def scaled(values: np.ndarray) -> np.ndarray:
    """Return values mapped to 0 for the smallest and 1 for the largest; 1 where all are equal up to rounding."""
    span = values.max() - values.min()
    return (values - values.min()) / span if span > 1e-9 else np.ones_like(values)
