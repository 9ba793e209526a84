"""DrNAS: op weights are drawn from a Dirichlet distribution, whose concentration is learned."""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence

from harness.api import AlphaSettings, Architecture, Family, Moment, Phase, Variant

SMALLEST = 1e-6
"""Least concentration: draws at zero are not defined."""


class Drnas(Variant):
    """Draw theta ~ Dir(ELU(alpha) + 1) in every pass and learn alpha by the pathwise gradient."""

    name = "drnas"
    citation = (
        "Chen, Wang, Cheng, Tang and Hsieh. DrNAS: Dirichlet Neural Architecture Search. ICLR 2021, arXiv 2006.10355."
    )
    axis = "relaxation: Dirichlet"
    family: ClassVar[Family] = "relaxation"
    departures: ClassVar[tuple[str, ...]] = (
        "Epochs, weight decay of the weights and order of the updates are the protocol's; the protocol drnas has the "
        "paper's 100 epochs.",
    )

    class Settings(Variant.Settings):
        """Settings of the anchor, which keeps the concentration near 1."""

        anchor: Literal["weight-decay", "kl"] = "weight-decay"
        """`weight-decay`: Adam's, which draws alpha to 0, where the concentration is 1; `kl`: the divergence from the
        uniform Dirichlet distribution, without weight decay."""
        kl_scale: float = Field(default=1e-3, ge=0, le=1e3)
        """Factor of the divergence, for the anchor `kl`."""

    def alpha_settings(self, settings: AlphaSettings) -> AlphaSettings:
        """Return alpha's settings, without weight decay where the divergence takes its place."""
        return settings.model_copy(update={"weight_decay": 0.0}) if self.settings.anchor == "kl" else settings

    def concentration(self, architecture: Architecture) -> Tensor:
        """Return b = ELU(alpha) + 1, which is 1 at alpha = 0 (section 3.1)."""
        return (F.elu(architecture["alpha"]) + 1).clamp(min=SMALLEST)

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return a draw from Dir(b), the same for all cells; its mean b / sum b for the derivation."""
        concentration = self.concentration(architecture)
        if moment.phase is Phase.DERIVE:
            return concentration / concentration.sum(dim=-1, keepdim=True)
        seed = int(moment.stream(f"dirichlet/{moment.phase.value}").integers(2**63))
        return sample_dirichlet(concentration, seed)

    def alpha_penalty(self, architecture: Architecture, moment: Moment) -> Tensor | None:
        """Return the scaled KL(Dir(b) || Dir(1)), summed over the edges, for the anchor `kl`."""
        if self.settings.anchor != "kl":
            return None
        concentration = self.concentration(architecture)
        uniform = Dirichlet(torch.ones_like(concentration), validate_args=False)
        divergence = kl_divergence(Dirichlet(concentration, validate_args=False), uniform)
        return self.settings.kl_scale * divergence.sum()


def sample_dirichlet(concentration: Tensor, seed: int) -> Tensor:
    """Return a draw from Dir(b) for each row of b [..., n], with the pathwise gradient with respect to b.

    It is computed on the CPU in float64, so it does not depend on the device; the global stream stays as it was.
    Figurnov, Mohamed and Mnih, Implicit Reparameterization Gradients, NeurIPS 2018.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        # Unchecked: alpha that is no number must not raise here, for the search is then reported as diverged.
        drawn = Dirichlet(concentration.cpu().double(), validate_args=False).rsample()
    return drawn.to(concentration)
