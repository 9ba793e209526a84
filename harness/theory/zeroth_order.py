"""How near a twin must stand for its difference to be the derivative that a zeroth-order search wants.

The outer function is F(alpha) = L_valid(w_T(alpha), alpha) with w_T the weights after T steps of SGD with momentum from
a fixed start, as in a search; its gradient comes exactly from differentiating through the steps. A twin trains at
alpha + mu z and takes the difference. Where it stands on another side of a kink of ReLU than the search, the difference
measures that, and T steps make it large; a smooth network has none.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from harness.base.named_tensors import Tensors
from harness.estimators import hypergradient
from harness.estimators.tangent import SgdTangent
from harness.theory.supernet import PRETRAINING_LR, WEIGHT_DECAY, SupernetProblem

CHANNELS = 8
"""Of the first stage, as in the protocol `quick`."""
ALPHA_SD = 1e-3
"""As at the start of a search; so are the weights, which are drawn and hardly trained."""
PRETRAINING = 1
STEPS = 10
"""T (Xie et al., ZO-DARTS, ICASSP 2023)."""
MOMENTUM = 0.9


class TrainedProblem:
    """The losses of a supernet as functions of alpha, by way of T steps of the weights."""

    def __init__(self, problem: SupernetProblem):
        self.problem = problem
        self.alpha = problem.alpha

    def train_loss(self, weights: Tensors, architecture: Tensors) -> Tensor:
        """Cross-entropy on the training half; the optimiser decays the weights."""
        return self.problem.cross_entropy("train", weights, architecture)

    def valid_loss(self, weights: Tensors, architecture: Tensors) -> Tensor:
        """Cross-entropy on the validation half."""
        return self.problem.cross_entropy("valid", weights, architecture)

    def trained(self, alpha: Tensor, *, differentiable: bool = False) -> Tensor:
        """Return the weights after the steps at this alpha; with `differentiable`, as a function of it."""
        weights, buffer = self.problem.start, torch.zeros_like(self.problem.start)
        for _ in range(STEPS):
            if not differentiable:
                weights, buffer = weights.detach(), buffer.detach()
            weights = weights if weights.requires_grad else weights.detach().requires_grad_()
            loss = self.train_loss({"w": weights}, {"alpha": alpha})
            (slope,) = torch.autograd.grad(loss, weights, create_graph=differentiable)
            buffer = MOMENTUM * buffer + slope + WEIGHT_DECAY * weights
            weights = weights - PRETRAINING_LR * buffer
        return weights if differentiable else weights.detach()

    def exact(self) -> Tensor:
        """Return dF/d alpha, [6, 5]."""
        alpha = self.alpha.clone().requires_grad_()
        loss = self.valid_loss({"w": self.trained(alpha, differentiable=True)}, {"alpha": alpha})
        return torch.autograd.grad(loss, alpha)[0]

    def by_twin(self, direction: Tensor, mu: float) -> float:
        """Return h, the slope along z by the weights' difference."""
        moved = {"w": self.trained(self.alpha + mu * direction)}
        found = hypergradient.zeroth_order(
            self.valid_loss, self._end, moved, self._variable_alpha(), direction={"alpha": direction}, mu=mu
        )
        return float((found["alpha"] * direction).sum())

    def by_tangent(self, direction: Tensor) -> float:
        """Return h, the slope along z by the weights' derivative."""
        z, alpha = {"alpha": direction}, self._variable_alpha()
        motion = SgdTangent({"w": self.problem.start})
        weights, buffer = self.problem.start, torch.zeros_like(self.problem.start)
        for _ in range(STEPS):
            here = {"w": weights.detach().requires_grad_()}
            slope, turning = hypergradient.moving_gradient(
                self.train_loss, here, alpha, tangent=motion.weights, direction=z
            )
            motion.step(
                slope,
                turning,
                lr=PRETRAINING_LR,
                momentum=MOMENTUM,
                nesterov=False,
                weight_decay=WEIGHT_DECAY,
                clip=None,
            )
            buffer = MOMENTUM * buffer + slope["w"] + WEIGHT_DECAY * weights
            weights = weights - PRETRAINING_LR * buffer
        end = {"w": weights.requires_grad_()}
        found = hypergradient.along_direction(self.valid_loss, end, motion.weights, alpha, direction=z)
        return float((found["alpha"] * direction).sum())

    @cached_property
    def _end(self) -> dict[str, Tensor]:
        return {"w": self.trained(self.alpha).requires_grad_()}

    def _variable_alpha(self) -> dict[str, Tensor]:
        return {"alpha": self.alpha.clone().requires_grad_()}


def slopes_over_mu(problem: SupernetProblem, directions: Tensor, mus: Sequence[float]) -> pd.DataFrame:
    """Compare the slopes of twins at each mu, and of the tangent, with the exact ones, with ReLU and with softplus.

    Args:
        problem: the network, its images and its start.
        directions: z, [N, 30], unit vectors.
        mus: how far along z the twins' alpha lies.

    Returns:
        A row an estimate: activations (`ReLU` or `softplus`); estimate (`twin` or `tangent`); mu, NaN for the tangent;
        size, the root mean square of the estimates over that of the exact slopes; error, the same of the differences;
        correlation with the exact slopes; directions, how many there are.
    """
    rows = []
    for activations, of_kind in (("ReLU", problem.with_relu()), ("softplus", problem)):
        trained = TrainedProblem(of_kind)
        drawn = list(directions.reshape(-1, *trained.alpha.shape))
        gradient = trained.exact()
        exact = np.array([float((gradient * z).sum()) for z in drawn])
        found = {("twin", mu): np.array([trained.by_twin(z, mu) for z in drawn]) for mu in mus}
        found["tangent", np.nan] = np.array([trained.by_tangent(z) for z in drawn])
        for (estimate, mu), slopes in found.items():
            rows.append({"activations": activations, "estimate": estimate, "mu": mu, **_compared(slopes, exact)})
    return pd.DataFrame(rows)


def _compared(slopes: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    def size(values: np.ndarray) -> float:
        return float(np.sqrt((values**2).mean()))

    return {
        "size": size(slopes) / size(exact),
        "error": size(slopes - exact) / size(exact),
        "correlation": float(np.corrcoef(slopes, exact)[0, 1]),
        "directions": len(slopes),
    }
