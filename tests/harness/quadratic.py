"""A bilevel problem whose exact hyper-gradient is known.

L_train(w, a) = 1/2 (w - B a)' H (w - B a) with H positive definite, L_valid(w, a) = 1/2 |w - t|^2 + 1/2 q |a|^2.
The inner solution is w*(a) = B a, so F(a) = L_valid(w*(a), a) has the gradient B'(B a - t) + q a.
"""

import torch
from torch import Tensor


class Quadratic:
    def __init__(self, weights: int = 8, alphas: int = 5, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, dtype=torch.float64, generator=generator)

        root = normal(weights, weights)
        self.H = root @ root.T / weights + torch.eye(weights, dtype=torch.float64)
        self.B = normal(weights, alphas)
        self.target = normal(weights)
        self.q = 0.3
        self.weights = {"w": normal(weights).requires_grad_()}
        self.architecture = {"alpha": normal(alphas).requires_grad_()}

    def train_loss(self, weights, architecture) -> Tensor:
        gap = weights["w"] - self.B @ architecture["alpha"]
        return 0.5 * gap @ self.H @ gap

    def valid_loss(self, weights, architecture) -> Tensor:
        return 0.5 * (weights["w"] - self.target).square().sum() + 0.5 * self.q * architecture["alpha"].square().sum()

    def exact(self) -> Tensor:
        """The hyper-gradient at the inner solution."""
        a = self.architecture["alpha"].detach()
        return self.B.T @ (self.B @ a - self.target) + self.q * a

    def settle(self) -> None:
        """Put the weights at the inner solution."""
        with torch.no_grad():
            self.weights["w"].copy_(self.B @ self.architecture["alpha"])
