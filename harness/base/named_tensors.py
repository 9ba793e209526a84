"""Tensors by name: the weights of a network, the architecture parameters, and their gradients."""

from collections.abc import Mapping

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]


def gradient(loss: Tensor, inputs: Tensors, *, retain_graph: bool = False) -> dict[str, Tensor]:
    """Return d loss / d inputs by name; zero where the loss does not depend on an input."""
    if not loss.requires_grad:  # it depends on none of them: a cell may be cut off from its input
        return {name: torch.zeros_like(value) for name, value in inputs.items()}
    gradients = torch.autograd.grad(loss, list(inputs.values()), allow_unused=True, retain_graph=retain_graph)
    return {
        name: torch.zeros_like(value) if found is None else found
        for (name, value), found in zip(inputs.items(), gradients, strict=True)
    }


def constant(tensors: Tensors) -> dict[str, Tensor]:
    """Return the same values as constants: what a loss is not differentiated by costs nothing."""
    return {name: value.detach() for name, value in tensors.items()}
