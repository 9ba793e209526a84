"""Maps from logits to op weights other than the softmax."""

from itertools import accumulate

import torch
from torch import Tensor


def sparsemax(logits: Tensor) -> Tensor:
    """Return the Euclidean projection of the last dimension on the probability simplex; it has exact zeros.

    Martins and Astudillo, From Softmax to Sparsemax, ICML 2016, algorithm 1. Gradients flow through.
    """
    ordered = logits.sort(dim=-1, descending=True).values
    rank = torch.arange(1, logits.shape[-1] + 1, dtype=logits.dtype, device=logits.device)
    sums = running_sums(ordered) - 1
    support = (rank * ordered > sums).sum(dim=-1, keepdim=True)
    threshold = sums.gather(-1, support - 1) / support
    return (logits - threshold).clamp(min=0)


def running_sums(values: Tensor) -> Tensor:
    """Return the sums of the first, of the first two, ... of the last dimension, added up in this order.

    `cumsum` has no fixed order on CUDA.
    """
    return torch.stack(list(accumulate(values.unbind(-1))), dim=-1)
