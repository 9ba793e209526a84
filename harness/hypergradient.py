"""Estimators of the alpha gradient: the gradient of L_valid(w*(alpha), alpha), w* = argmin_w L_train(w, alpha).

Each works on pure functions of (weights, architecture), so the same code runs on a supernet and on a toy problem
whose exact hyper-gradient is known. Weights and architecture are dictionaries of named tensors. Nothing here
writes to a tensor it was given, so weights are bit-identical afterwards.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]
Loss = Callable[[Tensors, Tensors], Tensor]
"""(weights, architecture) -> scalar loss."""


def gradient(loss: Tensor, inputs: Tensors) -> dict[str, Tensor]:
    """Return d loss / d inputs by name; zero where the loss does not depend on an input."""
    gradients = torch.autograd.grad(loss, list(inputs.values()), allow_unused=True)
    return {
        name: torch.zeros_like(value) if found is None else found
        for (name, value), found in zip(inputs.items(), gradients, strict=True)
    }


def first_order(valid_loss: Loss, weights: Tensors, architecture: Tensors) -> dict[str, Tensor]:
    """Return d L_valid / d alpha at the current weights (DARTS, equation 6 with xi = 0)."""
    return gradient(valid_loss(weights, architecture), architecture)


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
    train_gradient = gradient(train_loss(weights, architecture), weights)
    with torch.no_grad():
        stepped = {}
        for name, weight in weights.items():
            direction = train_gradient[name] + weight_decay * weight
            if name in momentum_buffers:
                direction = direction + momentum * momentum_buffers[name]
            stepped[name] = weight - lr * direction
    for tensor in stepped.values():
        tensor.requires_grad_()
    both = gradient(valid_loss(stepped, architecture), {**_prefixed("w", stepped), **_prefixed("a", architecture)})
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


def _prefixed(prefix: str, tensors: Tensors) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}
