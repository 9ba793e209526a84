"""Estimators of the alpha gradient: the gradient of L_valid(w*(alpha), alpha), w* = argmin_w L_train(w, alpha).

Each works on pure functions of (weights, architecture), so the same code runs on a supernet and on a toy problem
whose exact hyper-gradient is known. Weights and architecture are dictionaries of named tensors. Nothing here
writes to a tensor it was given, so weights are bit-identical afterwards.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from harness.base.named_tensors import Tensors, constant, gradient

Loss = Callable[[Tensors, Tensors], Tensor]
"""(weights, architecture) -> scalar loss."""


def first_order(valid_loss: Loss, weights: Tensors, architecture: Tensors) -> dict[str, Tensor]:
    """Return d L_valid / d alpha at the current weights (DARTS, equation 6 with xi = 0)."""
    return gradient(valid_loss(constant(weights), architecture), architecture)


def unrolled(
    train_loss: Loss,
    valid_loss: Loss,
    weights: Tensors,
    architecture: Tensors,
    *,
    lr: float,
    momentum: float,
    momentum_buffers: Tensors,
    weight_decay: float,
    radius: float = 0.01,
) -> dict[str, Tensor]:
    """Return the second-order DARTS gradient with a finite-difference product (DARTS, equations 7 and 8).

    One step is unrolled, w' = w - lr (momentum * buffer + dL_train/dw + weight_decay * w), and
    G = dL_valid(w')/d alpha - lr * [dL_train(w + R v)/d alpha - dL_train(w - R v)/d alpha] / (2 R) with
    v = dL_valid/dw' and R = radius / ||v||. The unrolled step has no Nesterov look-ahead, as in the authors' code.

    Args:
        momentum_buffers: the optimiser's buffers before this step; a missing one counts as zero.
        radius: R times the norm of v.
    """
    train_gradient = gradient(train_loss(weights, constant(architecture)), weights)
    with torch.no_grad():
        stepped = {}
        for name, weight in weights.items():
            direction = train_gradient[name] + weight_decay * weight
            if name in momentum_buffers:
                direction = direction + momentum * momentum_buffers[name]
            stepped[name] = weight - lr * direction
    for tensor in stepped.values():
        tensor.requires_grad_()
    both = gradient(valid_loss(stepped, architecture), _both(stepped, architecture))
    vector = {name: both[f"w/{name}"] for name in weights}
    curvature = mixed_product(train_loss, weights, architecture, vector, radius)
    return {name: both[f"a/{name}"] - lr * curvature[name] for name in architecture}


def mixed_product(
    train_loss: Loss, weights: Tensors, architecture: Tensors, vector: Tensors, radius: float
) -> dict[str, Tensor]:
    """Return (d2 L_train / d alpha dw) vector by central differences of step R = radius / ||vector||.

    The error is O(R^2). A zero vector gives zero.
    """
    norm = torch.nn.utils.get_total_norm(vector.values())
    step = radius / norm.clamp_min(torch.finfo(norm.dtype).tiny)
    sides = []
    for sign in (1.0, -1.0):
        moved = {name: (weight + sign * step * vector[name]).detach() for name, weight in weights.items()}
        sides.append(gradient(train_loss(moved, architecture), architecture))
    plus, minus = sides
    return {
        name: torch.where(norm > 0, (plus[name] - minus[name]) / (2 * step), torch.zeros_like(plus[name]))
        for name in architecture
    }


def neumann(
    train_loss: Loss, valid_loss: Loss, weights: Tensors, architecture: Tensors, *, lr: float, terms: int
) -> dict[str, Tensor]:
    """Return the implicit gradient with the inverse Hessian as a Neumann series (Zhang et al., iDARTS, ICML 2021).

    v_0 = dL_valid/dw, v_k = v_{k-1} - lr (d2 L_train/dw2) v_{k-1}, and
    G = dL_valid/d alpha - lr (d2 L_train/d alpha dw) (v_0 + ... + v_K). The products are exact, by a second
    differentiation of one training gradient. The series converges where lr is below 2 over the largest curvature.

    Args:
        lr: step of the inner gradient descent, eta in the paper.
        terms: K; with 0 this is the second-order gradient of DARTS at w instead of w'.
    """
    valid = gradient(valid_loss(weights, architecture), _both(weights, architecture))
    vector = {name: valid[f"w/{name}"] for name in weights}
    slope = _differentiable_gradient(train_loss(weights, architecture), weights)
    total = dict(vector)
    for _ in range(terms):
        curved = gradient(_inner(slope, vector), weights, retain_graph=True)
        vector = {name: vector[name] - lr * curved[name] for name in vector}
        total = {name: total[name] + vector[name] for name in total}
    mixed = gradient(_inner(slope, total), architecture)
    return {name: valid[f"a/{name}"] - lr * mixed[name] for name in architecture}


def zeroth_order(
    valid_loss: Loss,
    weights: Tensors,
    twin_weights: Tensors,
    architecture: Tensors,
    *,
    direction: Tensors,
    mu: Tensor | float,
) -> dict[str, Tensor]:
    """Return G = h z, where h estimates the derivative along z (Xie et al., ZO-DARTS, ICASSP 2023).

    h = <dL_valid/d alpha, z> + <(w~ - w) / mu, dL_valid/dw>, with w~ trained at alpha + mu z and otherwise like w.
    For z uniform on the unit sphere of d dimensions the mean of G is the hyper-gradient over d. The weights differ
    little, so their difference is taken and summed in float64.

    Args:
        twin_weights: w~, by the names of `weights`.
        direction: z, by the names of `architecture`.
        mu: how far along z the twin's alpha lies.
    """
    tangent = {
        name: (twin_weights[name].detach().double() - weight.detach().double()) / mu for name, weight in weights.items()
    }
    return along_direction(valid_loss, weights, tangent, architecture, direction=direction)


def along_direction(
    valid_loss: Loss, weights: Tensors, tangent: Tensors, architecture: Tensors, *, direction: Tensors
) -> dict[str, Tensor]:
    """Return G = h z with h = <dL_valid/d alpha, z> + <w', dL_valid/dw>, the derivative along z, summed in float64.

    Args:
        tangent: w', how the weights move with alpha along z, by the names of `weights`.
        direction: z, by the names of `architecture`.
    """
    valid = gradient(valid_loss(weights, architecture), _both(weights, architecture))
    moved = _both(tangent, direction)
    slope = torch.stack([(valid[name].double() * moved[name].double()).sum() for name in valid]).sum()
    return {name: (slope * direction[name].double()).to(value.dtype) for name, value in architecture.items()}


def moving_gradient(
    train_loss: Loss, weights: Tensors, architecture: Tensors, *, tangent: Tensors, direction: Tensors
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return dL_train/dw, and its derivative where w moves along `tangent` and alpha along `direction`.

    Second derivatives are symmetric, so this is the gradient in w of the slope of L_train along the two: one second
    differentiation. Weights that the loss does not depend on are left out of both.
    """
    both = _both(weights, architecture)
    slopes = _differentiable_gradient(train_loss(weights, architecture), both)
    turning = gradient(_inner(slopes, _both(tangent, direction)), weights)
    used = [name for name in weights if f"w/{name}" in slopes]
    return {name: slopes[f"w/{name}"].detach() for name in used}, {name: turning[name] for name in used}


def _differentiable_gradient(loss: Tensor, inputs: Tensors) -> dict[str, Tensor]:
    found = torch.autograd.grad(loss, list(inputs.values()), create_graph=True, allow_unused=True)
    return {name: slope for name, slope in zip(inputs, found, strict=True) if slope is not None}


def _inner(slope: Tensors, vector: Tensors) -> Tensor:
    return torch.stack([(part * vector[name]).sum() for name, part in slope.items()]).sum()


def _both(weights: Tensors, architecture: Tensors) -> dict[str, Tensor]:
    return {**_prefixed("w", weights), **_prefixed("a", architecture)}


def _prefixed(prefix: str, tensors: Tensors) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}
