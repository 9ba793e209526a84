"""Low-rank regulariser: the edges are pushed to share a few preference profiles."""

import torch
from pydantic import Field
from torch import Tensor

from harness.api import Architecture, Moment, Variant


class Orthogonal(Variant):
    """Add lambda * R_q to alpha's loss: what of alpha is orthogonal to its q strongest directions.

    R_q = |A - A V V'|^2 / 30 = (s_{q+1}^2 + ...) / 30, with A the alpha less each row's mean, s its singular values and
    V its first q right singular vectors.
    """

    name = "orthogonal"
    citation = "Own definition. By the theorem of Eckart and Young (Psychometrika 1936), R_q is the distance to rank q."
    axis = "alpha loss: low-rank regulariser"
    family = "regulariser"
    departures = (
        "There is no paper to follow. Each row's mean is taken off first: the softmax does not see it, and what is "
        "left has rank 4 at most.",
        "No gradient flows through V. None is lost where s_q > s_{q+1} (envelope theorem), and the derivative of the "
        "singular vectors, which has terms 1 / (s_i^2 - s_j^2), would be without bound at the start.",
    )

    class Settings(Variant.Settings):
        """Settings of the regulariser."""

        rank: int = Field(default=2, ge=1, le=3)
        """q: directions that cost nothing."""
        strength: float = Field(default=0.1, ge=0, le=1e3)
        """lambda."""

    def alpha_penalty(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return lambda * R_q."""
        return self.settings.strength * tail_energy(architecture["alpha"], self.settings.rank)


def tail_energy(alpha: Tensor, rank: int) -> Tensor:
    """Return R_q of alpha [6, operations] for q = `rank`."""
    centred = alpha - alpha.mean(dim=-1, keepdim=True)
    directions = torch.linalg.svd(centred.detach(), full_matrices=False).Vh[:rank]
    return (centred - centred @ directions.T @ directions).square().sum() / alpha.numel()
