"""SNAS: op weights are drawn from a concrete distribution, whose temperature falls."""

from pydantic import Field
from torch import Tensor

from harness.api import EDGES, Architecture, Moment, Phase, Variant, gumbel_softmax


class Snas(Variant):
    """Draw Z = softmax((log softmax(alpha) + Gumbel noise) / tau) in every pass and learn alpha through the draw."""

    name = "snas"
    citation = "Xie, Zheng, Liu and Lin. SNAS: Stochastic Neural Architecture Search. ICLR 2019, arXiv 1812.09926."
    axis = "relaxation: concrete distribution"
    family = "relaxation"
    departures = (
        "Alpha learns from the validation half, as in the re-implementation that the published rows on NAS-Bench-201 "
        "come from (Chen et al., DrNAS, ICLR 2021); the paper learns weights and alpha from the same training loss.",
        "The paper's penalty on the resources of a cell is left out, as there.",
        "tau falls from 10 to 1, as there, in every step instead of every epoch.",
        "Cells are derived from softmax(alpha), whose argmax is the most frequent corner, and that of the mean draw.",
    )

    class Settings(Variant.Settings):
        """Settings of the temperature."""

        temperature: float = Field(default=10.0, ge=1e-3, le=1e6)
        """tau at the start."""
        last_temperature: float = Field(default=1.0, ge=1e-3, le=1e6)
        """tau at the end, which is approached linearly."""

    def temperature(self, moment: Moment) -> float:
        """Return tau of the current step."""
        first, last = self.settings.temperature, self.settings.last_temperature
        return float(first + (last - first) * moment.progress)

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return a draw, the same for all cells of a pass; the probabilities of its corners for a derivation."""
        if moment.phase is Phase.DERIVE:
            return super().op_weights(architecture, moment)
        drawn = moment.stream(f"gumbel/{moment.phase.value}").gumbel(size=(len(EDGES), len(self.operations)))
        noise = moment.on_device(drawn).to(moment.dtype)
        return gumbel_softmax(architecture["alpha"], noise, self.temperature(moment))
