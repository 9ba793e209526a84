"""A bilevel problem whose exact hyper-gradient is known.

L_train(w, a) = 1/2 (w - B a)' H (w - B a) with H positive definite, and
L_valid(w, a) = 1/2 |w - t|^2 + w' D a + 1/2 q |a|^2. The inner solution is w*(a) = B a.
"""

import torch
from torch import Tensor

from harness.base.named_tensors import Tensors
from harness.base.streams import stream


class Quadratic:
    """The problem, with matrices drawn from a named stream; weights `w` [weights] and architecture `alpha` [alphas]."""

    def __init__(self, weights: int = 8, alphas: int = 5, seed: int = 0, coupling: float = 0.0):
        """Draw the problem; with `coupling` 0, D is zero and dL_valid/da does not depend on w."""
        random = stream(seed, "theory/quadratic")

        def normal(*shape: int) -> Tensor:
            return torch.from_numpy(random.standard_normal(shape))

        root = normal(weights, weights)
        self.H = root @ root.T / weights + torch.eye(weights, dtype=torch.float64)
        self.B = normal(weights, alphas)
        self.target = normal(weights)
        self.q = 0.3
        self.weights = {"w": normal(weights).requires_grad_()}
        self.architecture = {"alpha": normal(alphas).requires_grad_()}
        self.D = coupling * normal(weights, alphas)

    @property
    def alpha(self) -> Tensor:
        """The architecture parameters, without their gradient."""
        return self.architecture["alpha"].detach()

    def train_loss(self, weights: Tensors, architecture: Tensors) -> Tensor:
        """L_train."""
        gap = weights["w"] - self.B @ architecture["alpha"]
        return 0.5 * gap @ self.H @ gap

    def valid_loss(self, weights: Tensors, architecture: Tensors) -> Tensor:
        """L_valid."""
        w, a = weights["w"], architecture["alpha"]
        return 0.5 * (w - self.target).square().sum() + w @ self.D @ a + 0.5 * self.q * a.square().sum()

    def solution(self) -> Tensor:
        """w*(a)."""
        return self.B @ self.alpha

    def valid_slope(self) -> Tensor:
        """dL_valid/dw at the inner solution."""
        return self.solution() - self.target + self.D @ self.alpha

    def exact(self) -> Tensor:
        """The hyper-gradient at the inner solution: B' dL_valid/dw + D' w* + q a."""
        return self.B.T @ self.valid_slope() + self.D.T @ self.solution() + self.q * self.alpha

    def descend(self, weights: Tensor, alpha: Tensor, lr: float, steps: int) -> Tensor:
        """Return the weights after gradient steps on L_train: w*(a) + (I - lr H)^steps (w - w*(a))."""
        solution = self.B @ alpha
        step = torch.eye(len(weights), dtype=weights.dtype) - lr * self.H
        return solution + torch.linalg.matrix_power(step, steps) @ (weights - solution)

    def settle(self) -> None:
        """Put the weights at the inner solution."""
        with torch.no_grad():
            self.weights["w"].copy_(self.solution())
