"""ZO-DARTS+: ZO-DARTS with op weights by sparsemax under a falling temperature."""

from typing import ClassVar, Self

from pydantic import Field, model_validator
from torch import Tensor

from harness.api import Architecture, Moment, sparsemax
from variants.zo_darts import ZoDarts

LOWEST_TEMPERATURE = 1e-5
"""Below it alpha / tau is too large for float32 to add 1 to it, and sparsemax finds no largest entry."""


class ZoDartsPlus(ZoDarts):
    """Op weights are sparsemax(alpha / tau): an op weight is exactly zero long before alpha is extreme."""

    name = "zo-darts-plus"
    citation = (
        "Xie, Lomurno, Gambella, Ardagna, Roveri, Matteucci and Shi. An Efficient Neural Architecture Search Model for "
        "Medical Image Classification. ESANN 2024, arXiv 2405.03462."
    )
    axis = "alpha gradient: zeroth order; relaxation: sparsemax"
    family = "gradient estimator"
    departures: ClassVar[tuple[str, ...]] = (
        *ZoDarts.departures,
        "The temperature falls at shares of the search: every 5 epochs of 50, as in the paper, whatever the length.",
    )

    class Settings(ZoDarts.Settings):
        """Settings of the temperature."""

        temperature: float = Field(default=1.5, gt=0, le=1e6)
        """tau at the start."""
        temperature_decay: float = Field(default=0.9, gt=0, le=1)
        """Factor on tau at the end of each period; the paper's medical images: 0.75."""
        temperature_periods: int = Field(default=10, ge=1)
        """Periods of constant tau in the whole search."""

        @model_validator(mode="after")
        def _tau_stays_a_number(self) -> Self:
            last = self.temperature * self.temperature_decay ** (self.temperature_periods - 1)
            if last < LOWEST_TEMPERATURE:
                raise ValueError(
                    f"temperature: expected {LOWEST_TEMPERATURE:g} or more in the last of the temperature_periods, "
                    f"not {last:g}"
                )
            return self

    def temperature(self, moment: Moment) -> float:
        """Return tau of the current epoch."""
        settings = self.settings
        epoch = min(moment.epoch, moment.epochs - 1)
        period = epoch * settings.temperature_periods // moment.epochs
        return float(settings.temperature * settings.temperature_decay**period)

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return sparsemax(alpha / tau)."""
        return sparsemax(architecture["alpha"] / self.temperature(moment))
