"""What stays in float32 beside bfloat16.

Under autocast convolutions and the features between them are bfloat16. Batch norms sum in float32 whatever their
input, and so does the loss. An op weight that multiplies features would have its gradient rounded to bfloat16, three
digits; `scaled` and `shifted` keep it.
"""

from typing import Any

import torch
from torch import Tensor


def scaled(factor: Tensor, features: Tensor) -> Tensor:
    """Return features times a factor: one number, or one of a shape that fits.

    Where a number is of a higher precision than the features, the product has theirs, and its gradient its own.
    """
    return _Scaled.apply(factor, features) if _is_finer(factor, features) else factor * features


def shifted(shift: Tensor, features: Tensor) -> Tensor:
    """Return features plus a number, whose gradient has its own precision as in `scaled`."""
    return _Shifted.apply(shift, features) if _is_finer(shift, features) else features + shift


def _is_finer(number: Tensor, features: Tensor) -> bool:
    return number.ndim == 0 and number.dtype != features.dtype and number.requires_grad


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(factor: Tensor, features: Tensor) -> Tensor:
        return factor * features

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (gradient,), (factor, features) = gradients, ctx.saved_tensors
        return (gradient * features.to(factor.dtype)).sum(), factor * gradient


class _Shifted(torch.autograd.Function):
    @staticmethod
    def forward(shift: Tensor, features: Tensor) -> Tensor:
        return features + shift

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.dtype = inputs[0].dtype

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        return gradients[0].sum(dtype=ctx.dtype), gradients[0]
