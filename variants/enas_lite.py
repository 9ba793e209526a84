"""ENAS without its recurrent controller: REINFORCE on one table of logits, rewarded by the shared weights."""

from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from harness.api import Architecture, Cell, Moment, Phase, Protocol, StepView, Variant, gradient, gumbel_cells
from variants.rsps import RandomSearchWithSharing, one_hot


class EnasLite(RandomSearchWithSharing):
    """Train the weights on cells of the policy softmax(alpha), and alpha by the policy gradient.

    The reward is the one-shot accuracy of a cell of the policy on the step's validation batch. Alpha descends
    -(reward - baseline) log p(cell) - entropy_weight H(p), with an exponential mean of the rewards as the baseline. The
    answer is the best of many cells of the policy by one-shot accuracy.
    """

    name = "enas-lite"
    citation = (
        "Pham, Guan, Zoph, Le and Dean. Efficient Neural Architecture Search via Parameter Sharing. "
        "ICML 2018, arXiv 1802.03268."
    )
    axis = "alpha gradient: REINFORCE with shared weights"
    family = "weight-sharing control"
    strategy = "reinforcement learning"
    departures = (
        "The policy is one table of logits, alpha; the paper's is an LSTM, which can make one edge's choice depend on "
        "another's.",
        "Each step updates the weights and then alpha or the reverse, as the protocol says; the paper alternates whole "
        "epochs of the two.",
        "Alpha's optimiser is the protocol's, with its weight decay, as for every other variant here.",
        "All candidates for the answer are scored on one validation batch, and by its statistics, as in rsps; the "
        "published code rewards and scores in evaluation mode, which `running_statistics: true` does.",
        "Operations that a step does not compute rest; in the published codes, whose zeroed gradients are numbers, "
        "momentum and weight decay go on moving them, and those whose output a `none` discards.",
    )
    passes_per_step = 4 / 3

    class Settings(RandomSearchWithSharing.Settings):
        """Settings of the policy gradient."""

        baseline_momentum: float = Field(default=0.99, ge=0, lt=1)
        """Share of the old value in each update of the mean reward."""
        entropy_weight: float = Field(default=1e-4, ge=0, le=1e3)
        """Weight of the policy's entropy, in nats, against a reward between 0 and 1."""

    def __init__(self, settings: Any, protocol: Protocol):
        super().__init__(settings, protocol)
        self._mean_reward: float | None = None

    def architecture_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return alpha's, the logits of the policy."""
        return Variant.architecture_shapes(self)

    def policy(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return softmax(alpha)."""
        return torch.softmax(architecture["alpha"], dim=-1)

    def draw_cells(self, architecture: Architecture, generator: np.random.Generator, count: int) -> list[Cell]:
        """Return draws from the policy."""
        probabilities = torch.softmax(architecture["alpha"].detach(), dim=-1).cpu().double().numpy()
        return gumbel_cells(probabilities, count, generator, self.operations)

    def alpha_gradient(self, step: StepView) -> Architecture:
        """Return the policy gradient of one drawn cell."""
        (cell,) = self.draw_cells(step.architecture, step.moment(Phase.ALPHA).stream("rewarded-cell"), 1)
        advantage = self._advantage(self._reward(step, cell))
        logarithms = torch.log_softmax(step.architecture["alpha"], dim=-1)
        chosen = (one_hot(cell, self.operations).to(logarithms.device) * logarithms).sum()
        entropy = -(logarithms.exp() * logarithms).sum()
        return gradient(-advantage * chosen - self.settings.entropy_weight * entropy, step.architecture)

    def _reward(self, step: StepView, cell: Cell) -> float:
        search, images = step.search, len(step.valid_batch[1])
        running = self.settings.running_statistics
        accuracy = search.one_shot_accuracy(search.one_hot(cell), [step.valid_batch], running_statistics=running)
        reward = accuracy / 100
        search.meter.count("valid/correct", reward * images)
        search.meter.count("valid/images", float(images))
        return reward

    def _advantage(self, reward: float) -> float:
        # The mean starts at the first reward and is updated before use.
        momentum = self.settings.baseline_momentum
        mean = reward if self._mean_reward is None else momentum * self._mean_reward + (1 - momentum) * reward
        self._mean_reward = mean
        return reward - mean

    def state(self) -> dict[str, Any]:
        """Return the mean reward."""
        return {"mean_reward": self._mean_reward}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back the mean reward."""
        self._mean_reward = state["mean_reward"]
