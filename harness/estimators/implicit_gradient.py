"""The hyper-gradient by the implicit function theorem, with the inverse Hessian applied by conjugate gradients.

At w* = argmin_w L_train(w, alpha) with a positive definite Hessian H = d2 L_train / dw2,
dF/d alpha = dL_valid/d alpha - (d2 L_train / d alpha dw) H^-1 dL_valid/dw. All products are exact, by differentiating
one training gradient a second time. Too slow for a search: this is what estimators are compared with.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harness.estimators.hypergradient import Loss


@dataclass(frozen=True)
class Solution:
    """What conjugate gradients found for H x = b."""

    x: Tensor
    residual: float
    """|b - H x| / |b|, computed anew from x."""
    products: int
    """Products with H that it took, without the one for the residual."""
    smallest: float
    """Smallest curvature that it met (Ritz value): the smallest eigenvalue of H is at most this."""
    largest: float
    """Largest curvature that it met: the largest eigenvalue of H is at least this."""


@dataclass(frozen=True)
class ImplicitGradient:
    """The hyper-gradient [as alpha], and the solution of its linear system."""

    gradient: Tensor
    solved: Solution


def conjugate_gradient(product: Callable[[Tensor], Tensor], right: Tensor, tolerance: float, limit: int) -> Solution:
    """Solve H x = right for a symmetric positive definite H (Hestenes and Stiefel 1952).

    Args:
        product: v -> H v, for vectors [n].
        right: [n], not zero.
        tolerance: of the residual's norm over that of `right`.
        limit: products at most.

    Raises:
        ValueError: H has a direction without positive curvature.
    """
    x, residual = torch.zeros_like(right), right.clone()
    direction, squared = residual.clone(), residual @ residual
    steps: list[float] = []
    ratios: list[float] = []
    while len(steps) < limit and squared.sqrt() > tolerance * right.norm():
        curved = product(direction)
        curvature = float(direction @ curved)
        if curvature <= 0:
            raise ValueError("the Hessian is not positive definite: a direction has no positive curvature")
        step = float(squared) / curvature
        x += step * direction
        residual -= step * curved
        previous, squared = squared, residual @ residual
        ratio = float(squared / previous)
        direction = residual + ratio * direction
        steps.append(step)
        ratios.append(ratio)
    met = _ritz_values(steps, ratios)
    true_residual = float((right - product(x)).norm() / right.norm())
    return Solution(x, true_residual, len(steps), float(met[0]), float(met[-1]))


def _ritz_values(steps: list[float], ratios: list[float]) -> np.ndarray:
    # The coefficients of conjugate gradients are those of the Lanczos process (Golub and Van Loan, chapter on CG).
    inverse = 1 / np.asarray(steps)
    diagonal = inverse.copy()
    diagonal[1:] += inverse[:-1] * np.asarray(ratios[:-1])
    beside = inverse[:-1] * np.sqrt(ratios[:-1])
    values: np.ndarray = np.linalg.eigvalsh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
    return values


def implicit_gradient(
    train_loss: Loss, valid_loss: Loss, weights: Tensor, alpha: Tensor, *, tolerance: float, limit: int
) -> ImplicitGradient:
    """Return the hyper-gradient at an inner solution.

    Args:
        train_loss: of the weights `w` and the architecture `alpha`, twice differentiable at the solution.
        valid_loss: of the same.
        weights: [n], the inner solution.
        alpha: the architecture parameters.
        tolerance: see `conjugate_gradient`.
        limit: see `conjugate_gradient`.

    Raises:
        ValueError: the Hessian is not positive definite.
    """
    w, a = weights.detach().requires_grad_(), alpha.detach().requires_grad_()
    by_alpha, by_weights = torch.autograd.grad(valid_loss({"w": w}, {"alpha": a}), [a, w])
    (slope,) = torch.autograd.grad(train_loss({"w": w}, {"alpha": a}), w, create_graph=True)

    def product(vector: Tensor) -> Tensor:
        return torch.autograd.grad(slope, w, vector, retain_graph=True)[0]

    solved = conjugate_gradient(product, by_weights, tolerance, limit)
    (mixed,) = torch.autograd.grad(slope, a, solved.x)
    return ImplicitGradient(by_alpha - mixed, solved)
