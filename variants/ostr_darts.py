"""OStr-DARTS: the supernet of DARTS, read by the strength of its operations instead of alpha."""

from itertools import islice
from typing import Any

from pydantic import Field

from harness.api import Cell, SearchLength, SearchView, Variant, argmax_without_none, operation_strength


class OStrDarts(Variant):
    """Keep on each edge the operation whose removal would change the validation loss most, to first order."""

    name = "ostr-darts"
    citation = (
        "Yang, Zheng, Han, Song, Huang and Li. OStr-DARTS: Differentiable Neural Architecture Search Based on "
        "Operation Strength. IEEE Transactions on Cybernetics 2024, arXiv 2409.14433."
    )
    axis = "derivation: operation strength"
    family = "selection"
    departures = (
        "The strength is |sum over cells of p dL/dp|, the first-order effect of removing an operation from all cells: "
        "the paper's idea in our own formula, for its exact formula was not at hand.",
        "`none` has strength 0 by construction, for its output is zero, and is never selected.",
    )

    class Settings(Variant.Settings):
        """Settings of the strength."""

        batches: int | None = Field(default=None, ge=20)
        """Validation batches that the strength is the mean of; null for all there are."""
        absolute_in_cells: bool = False
        """Sum the magnitudes of the cells' effects, so that effects of opposite sign do not cancel."""

    @classmethod
    def answer_passes(cls, settings: Any, length: SearchLength) -> float:
        """Return a pass a batch; the last one may be short."""
        batches = length.steps + 1
        return batches if settings.batches is None else min(settings.batches, batches)

    def derive(self, search: SearchView) -> Cell:
        """Return the strongest operation of each edge."""
        batches = search.data.mixed_batches("valid", search.data.batch_size)
        some = islice(batches, self.settings.batches)
        return argmax_without_none(
            operation_strength(search, some, absolute_in_cells=self.settings.absolute_in_cells), self.operations
        )
