"""What an epoch adds up: losses, hits, gradient norms."""

import math

import torch
from torch import Tensor


class Meter:
    """Sums of an epoch, kept on the device so that no step waits for the host."""

    def __init__(self, device: torch.device):
        self._sums: dict[str, Tensor] = {}
        self._device = device

    def count(self, name: str, amount: Tensor | float) -> None:
        """Add to one sum."""
        value = torch.as_tensor(amount, dtype=torch.float64, device=self._device).detach()
        self._sums[name] = self._sums[name] + value if name in self._sums else value

    def add(self, half: str, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count one batch of one half of the data."""
        self.count(f"{half}/loss", loss)
        self.count(f"{half}/correct", (logits.detach().argmax(dim=1) == labels).sum())
        self.count(f"{half}/images", float(len(labels)))
        self.count(f"{half}/batches", 1.0)

    def ratio(self, above: str, below: str) -> float:
        """Return one sum over another; NaN where nothing was counted."""
        if below not in self._sums:
            return math.nan
        return float(self._sums[above] / self._sums[below])
