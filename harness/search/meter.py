"""What an epoch adds up: losses, hits, gradient norms."""

import math

import torch
from torch import Tensor


class Meter:
    """Sums of an epoch. What comes from the device stays there, numbers stay numbers, so that no step waits."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor | float] = {}

    def count(self, name: str, amount: Tensor | float) -> None:
        """Add to one sum."""
        value = amount.detach().to(torch.float64) if isinstance(amount, Tensor) else amount
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
