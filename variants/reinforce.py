"""REINFORCE: a policy gradient on the probabilities of each edge's operation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.api import EDGES, OPERATIONS, Baseline, Cell

ADAM_BETAS = (0.9, 0.999)
ADAM_EPSILON = 1e-8


class Reinforce(Baseline):
    """Sample each edge from its own categorical distribution; follow -(reward - baseline) log p of the sample.

    The baseline is the exponential mean of the rewards, corrected for its start at zero and updated before use. The
    optimiser is Adam (Kingma and Ba 2015), written out because a step on 30 numbers is all overhead elsewhere.
    """

    name = "reinforce"
    citation = (
        "Williams. Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning. "
        "Machine Learning 8, 1992; for architectures Zoph and Le. Neural Architecture Search with Reinforcement "
        "Learning. ICLR 2017, arXiv 1611.01578."
    )
    axis = "multi-trial, policy gradient"
    family = "multi-trial"
    strategy = "reinforcement learning"
    departures = (
        *Baseline.departures,
        "The policy is one table of logits, as in NAS-Bench-201 (Dong and Yang 2020), not a recurrent controller.",
        "The default learning rate is 0.01, that of NATS-Bench (Dong et al. 2021); at 0.5 the policy settles on a cell "
        "too early.",
    )

    class Settings(Baseline.Settings):
        """Settings of the policy."""

        lr: float = Field(default=0.01, gt=0, le=1e3)
        """Learning rate of the logits."""
        baseline_momentum: float = Field(default=0.9, ge=0, lt=1)
        """Share of the old value in each update of the mean reward."""

    def __init__(self, settings: Any, random: np.random.Generator, operations: tuple[str, ...] = OPERATIONS):
        super().__init__(settings, random, operations)
        shape = len(EDGES), len(operations)
        self.logits = 1e-3 * random.standard_normal(shape)
        self.mean, self.mean_weight = 0.0, 0.0
        self.first_moment, self.second_moment, self.steps = np.zeros(shape), np.zeros(shape), 0

    def probabilities(self) -> NDArray[np.float64]:
        """Return the policy, [6, operations]."""
        powers = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def propose(self) -> Cell:
        """Return a sample of the policy."""
        below = self.probabilities().cumsum(axis=1)[:, :-1] <= self.random.random((len(EDGES), 1))
        return Cell(tuple(self.operations[code] for code in below.sum(axis=1)))

    def observe(self, cell: Cell, score: float) -> None:
        """Move the logits towards a cell that is better than the mean, away from one that is worse."""
        momentum = self.settings.baseline_momentum
        self.mean = momentum * self.mean + (1 - momentum) * score
        self.mean_weight = momentum * self.mean_weight + (1 - momentum)
        self._adam_step(self.loss_gradient(cell, advantage=score - self.mean / self.mean_weight))

    def loss_gradient(self, cell: Cell, advantage: float) -> NDArray[np.float64]:
        """Return the gradient of -advantage * log p(cell) for the logits, [6, operations]."""
        gradient = advantage * self.probabilities()
        gradient[range(len(EDGES)), cell.columns(self.operations)] -= advantage
        return gradient

    def _adam_step(self, gradient: NDArray[np.float64]) -> None:
        self.steps += 1
        first, second = ADAM_BETAS
        self.first_moment = first * self.first_moment + (1 - first) * gradient
        self.second_moment = second * self.second_moment + (1 - second) * gradient**2
        direction = self.first_moment / (1 - first**self.steps)
        scale = np.sqrt(self.second_moment / (1 - second**self.steps)) + ADAM_EPSILON
        self.logits -= self.settings.lr * direction / scale
