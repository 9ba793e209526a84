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


def gumbel_softmax(logits: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """Return softmax((log softmax(logits) + noise) / temperature): a draw from a concrete distribution.

    It is a point of the simplex near a corner that is drawn with the probabilities softmax(logits), the same corner at
    every temperature; the lower that is, the nearer the point. Gradients flow through. Maddison, Mnih and Teh, The
    Concrete Distribution, ICLR 2017; Jang, Gu and Poole, Categorical Reparameterization with Gumbel-Softmax, ICLR 2017.

    Args:
        logits: [..., n].
        noise: independent draws from the standard Gumbel distribution, of the shape of `logits`.
        temperature: above 0.
    """
    return torch.softmax((torch.log_softmax(logits, dim=-1) + noise) / temperature, dim=-1)


def straight_through(soft: Tensor) -> Tensor:
    """Return the one-hot corner of the largest entry of the last dimension, exactly, with the gradient of `soft`.

    Bengio, Leonard and Courville, Estimating or Propagating Gradients Through Stochastic Neurons, arXiv 1308.3432.
    """
    column = torch.arange(soft.shape[-1], device=soft.device)
    corner = (column == soft.argmax(dim=-1, keepdim=True)).to(soft.dtype)
    return corner + (soft - soft.detach())


def running_sums(values: Tensor) -> Tensor:
    """Return the sums of the first, of the first two, ... of the last dimension, added up in this order.

    `cumsum` has no fixed order on CUDA.
    """
    return torch.stack(list(accumulate(values.unbind(-1))), dim=-1)
