"""Growing a network's channels without losing what it has learned (Chen, Goodfellow and Shlens, Net2Net, ICLR 2016)."""

import torch
from torch import Tensor, nn


def widen(old: nn.Module, new: nn.Module) -> None:
    """Carry the weights of `old` over to `new`, the same network with more channels in some layers.

    Channel j of a wider layer is a copy of channel j mod n of its n old ones. So a layer that is given its old input,
    duplicated in this way, returns its old output, duplicated in the same way. Weights of equal shape are copied.
    """
    learned = old.state_dict()
    with torch.no_grad():
        for name, tensor in new.state_dict().items():
            tensor.copy_(_widened(learned[name], tensor.shape))


def _widened(tensor: Tensor, shape: torch.Size) -> Tensor:
    for dimension, size in enumerate(shape):
        source = torch.arange(size, device=tensor.device) % tensor.shape[dimension]
        tensor = tensor.index_select(dimension, source)
        if dimension == 1:
            # The second dimension of a weight counts inputs: copies of one input share its old weight.
            copies = torch.bincount(source)[source]
            tensor = tensor / copies.view(1, -1, *[1] * (tensor.dim() - 2))
    return tensor
