"""The derivative of SGD's weights along one direction, carried from step to step: forward differentiation of training.

What a twin network estimates by a difference of two trainings, this gives exactly, at the price of one
Hessian-vector product a step. Differences need steps so small that rounding stays out and kinks of ReLU too;
derivatives need none.
"""

import torch
from torch import Tensor

from harness.base.named_tensors import Tensors

CLIP_EPSILON = 1e-6
"""What `torch.nn.utils.clip_grad_norm_` adds to a norm before it divides by it."""


class SgdTangent:
    """How weights that `torch.optim.SGD` moves depend on one number: their derivative, and that of their momentum.

    With g' the derivative of the clipped gradient, d' = g' + weight_decay w', b' = momentum b' + d', and w' falls by
    lr (d' + momentum b') with Nesterov, by lr b' without.
    """

    def __init__(self, weights: Tensors):
        """Begin where nothing depends on the number yet."""
        self.weights = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        self.buffers = {name: torch.zeros_like(weight) for name, weight in weights.items()}

    def step(
        self,
        gradient: Tensors,
        derivative: Tensors,
        *,
        lr: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        clip: float | None,
    ) -> None:
        """Follow one step of the optimiser; weights without a gradient rest, as they do there.

        Args:
            gradient: of the training loss before clipping.
            derivative: that of `gradient`, see `moving_gradient`.
            clip: largest norm of the gradient of all weights; None for no clipping.
        """
        if clip is not None:
            derivative = clipped_derivative(gradient, derivative, clip)
        for name, turning in derivative.items():
            direction = turning + weight_decay * self.weights[name]
            self.buffers[name] = momentum * self.buffers[name] + direction
            moved = direction + momentum * self.buffers[name] if nesterov else self.buffers[name]
            self.weights[name] = self.weights[name] - lr * moved


def clipped_derivative(gradient: Tensors, derivative: Tensors, clip: float) -> dict[str, Tensor]:
    """Return the derivative of s g, with s = min(1, clip / (|g| + epsilon)) for all of g together."""
    norm = torch.nn.utils.get_total_norm(list(gradient.values()))
    scale = clip / (norm + CLIP_EPSILON)
    growth = torch.stack([(gradient[name] * derivative[name]).sum() for name in gradient]).sum() / norm
    clipped = scale < 1
    shrinking = torch.where(clipped, -scale * growth / (norm + CLIP_EPSILON), torch.zeros_like(norm))
    scale = torch.where(clipped, scale, torch.ones_like(norm))
    return {name: scale * derivative[name] + shrinking * gradient[name] for name in gradient}
