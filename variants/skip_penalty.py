"""Skip penalty: skip_connect is handicapped, in its odds, by a loss term, or in its logit."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from harness.api import SKIP, Architecture, Moment, Variant


class SkipPenalty(Variant):
    """Multiply the odds of skip by gamma on every edge: p = softmax(alpha + log(gamma) on skip).

    Modes: `odds` as above. `hinge`: plain op weights and the loss term lambda * sum_e max(0, p_skip - 1/5). `logit`:
    the skip logit times gamma, which lowers a positive logit and *raises* a negative one.
    """

    name = "skip-penalty"
    citation = (
        "Own definition. Nearest: Chen, Xie, Wu and Tian. Progressive DARTS. ICCV 2019, arXiv 1904.12760 (which "
        "restrains skip by dropout and by a limit in the derived cell)."
    )
    axis = "relaxation: handicap of skip"
    family = "relaxation"
    departures = (
        "There is no paper to follow: gamma halves the odds whatever the sign of the logit.",
        "Cells are derived from the penalised op weights: with a forward handicap of gamma alpha's optimum only moves "
        "up by -log(gamma) on skip, so the argmax of the raw alpha would favour skip more than DARTS does.",
    )

    class Settings(Variant.Settings):
        """Settings of the penalty."""

        mode: Literal["odds", "hinge", "logit"] = "odds"
        """How skip is handicapped, see above."""
        gamma: float = Field(default=0.5, ge=1e-9, le=1)
        """For `odds` the factor on the odds of skip, for `logit` on its logit."""
        strength: float = Field(default=1.0, ge=0, le=1e3)
        """lambda of `hinge`."""
        release: bool = False
        """Let the handicap vanish linearly until the end of the search."""

    def gamma(self, moment: Moment) -> float:
        """Return gamma of the current step; it rises to 1 with `release`."""
        gamma = self.settings.gamma
        return float(gamma + (1 - gamma) * moment.progress) if self.settings.release else float(gamma)

    def _is_skip(self, moment: Moment) -> Tensor:
        return moment.on_device([operation == SKIP for operation in self.operations])

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return the handicapped softmax."""
        logits = architecture["alpha"]
        is_skip = self._is_skip(moment)
        if self.settings.mode == "odds":
            logits = logits + math.log(self.gamma(moment)) * is_skip
        elif self.settings.mode == "logit":
            logits = torch.where(is_skip, self.gamma(moment) * logits, logits)
        return torch.softmax(logits, dim=-1)

    def alpha_penalty(self, architecture: Architecture, moment: Moment) -> Tensor | None:
        """Return the loss term of `hinge`."""
        if self.settings.mode != "hinge":
            return None
        share = 1 - moment.progress if self.settings.release else 1.0
        excess = (torch.softmax(architecture["alpha"], dim=-1) - 1 / len(self.operations)).clamp(min=0)
        return self.settings.strength * share * (excess * self._is_skip(moment)).sum()
