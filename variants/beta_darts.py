"""beta-DARTS: a term in alpha's loss that holds the largest op weights down, more and more."""

from pydantic import Field
from torch import Tensor

from harness.api import Architecture, Moment, Variant


class BetaDarts(Variant):
    """Add lambda * mean over the edges of logsumexp(alpha) to alpha's loss; lambda rises linearly from 0.

    The gradient of the mean is the op weights, p / 6 each, so the largest op weight of an edge is pushed down most.
    """

    name = "beta-darts"
    citation = (
        "Ye, Li, Li, Chen, Fan and Ouyang. beta-DARTS: Beta-Decay Regularization for Differentiable Architecture "
        "Search. CVPR 2022, arXiv 2203.01665."
    )
    axis = "alpha loss: logsumexp of alpha"
    family = "regulariser"
    departures = (
        "lambda rises in every step over the whole search; in the authors' code it rises by half a unit an epoch, to "
        "the same 50 after their 100 epochs.",
        "Epochs, weight decay of the weights and order of the updates are the protocol's; the protocol drnas has those "
        "of the authors' code.",
    )

    class Settings(Variant.Settings):
        """Settings of the regulariser."""

        strength: float = Field(default=50.0, ge=0, le=1e3)
        """lambda at the end of the search."""

    def alpha_penalty(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return lambda * mean_e log sum_o exp(alpha_eo)."""
        return self.settings.strength * moment.progress * architecture["alpha"].logsumexp(dim=-1).mean()
