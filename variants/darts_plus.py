"""DARTS+: stop the search before skip connections take over."""

from typing import Any, Literal

from pydantic import Field, StrictInt

from harness.api import (
    CONV1,
    CONV3,
    SKIP,
    Cell,
    Continue,
    Decision,
    Protocol,
    SearchView,
    Stop,
    UserError,
    Variant,
    argmax_cell,
)

LEARNABLE = (CONV1, CONV3)


class DartsPlus(Variant):
    """Plain DARTS with one of the paper's two stopping rules (section 3.2)."""

    name = "darts-plus"
    citation = (
        "Liang, Zhang, Sun, He, Huang, Zhuang and Li. DARTS+: Improved Differentiable Architecture Search with Early "
        "Stopping. arXiv 1909.06035, 2019."
    )
    axis = "stopping rule"
    family = "schedule"
    departures = (
        "Nothing stops before earliest_stop: alpha is noise at the beginning, where a third of all argmax cells has "
        "two skip connections or more.",
        "By skip-count the answer is the last cell with fewer skip connections than the limit; the paper leaves open "
        "whether it is that one or the one that stopped the search.",
        "The ranking of rank-stable is that of the two convolutions of each edge, the learnable operations of "
        "NAS-Bench-201.",
    )

    class Settings(Variant.Settings):
        """Settings of the stopping rule."""

        criterion: Literal["skip-count", "rank-stable"] = "skip-count"
        """`skip-count`: stop when the cell has `max_skips` skip connections; `rank-stable`: stop when the ranking of
        the learnable operations has not changed for `patience`."""
        max_skips: StrictInt = Field(default=2, ge=1, le=6)
        """Skip connections that stop the search."""
        patience: float = Field(default=10 / 50, gt=0, le=1)
        """Share of the search for which the ranking must stay, in whole epochs, at least one; the paper's 10 epochs."""
        earliest_stop: float = Field(default=10 / 50, ge=0, le=1)
        """Share of the search that is always completed, in whole epochs."""

    def __init__(self, settings: Any, protocol: Protocol):
        super().__init__(settings, protocol)
        if settings.criterion == "rank-stable" and not set(LEARNABLE) <= set(protocol.operations):
            raise UserError(
                "darts-plus: criterion rank-stable needs both convolutions in protocol operations: expected skip-count"
            )
        self._admissible: str | None = None
        self._ranking: list[bool] = []
        self._unchanged = 0

    def end_of_epoch(self, search: SearchView) -> Decision:
        """Stop where the rule applies, from `earliest_stop` on."""
        op_weights = search.derived_op_weights()
        if self.settings.criterion == "skip-count":
            reason = self._too_many_skips(argmax_cell(op_weights, self.operations))
        else:
            reason = self._stable(op_weights[:, [self.operations.index(operation) for operation in LEARNABLE]])
        completed = search.epoch >= self.settings.earliest_stop * self.protocol.epochs
        return Stop(f"{reason} in epoch {search.epoch}") if reason and completed else Continue()

    def _too_many_skips(self, cell: Cell) -> str | None:
        skips = cell.counts[SKIP]
        if skips >= self.settings.max_skips:
            return f"{skips} skip connections"
        self._admissible = str(cell)
        return None

    def _stable(self, weights: Any) -> str | None:
        ranking = [bool(first > second) for first, second in weights]
        self._unchanged = self._unchanged + 1 if ranking == self._ranking else 0
        self._ranking = ranking
        patience = max(1, round(self.settings.patience * self.protocol.epochs))
        if self._unchanged < patience:
            return None
        return f"ranking of the convolutions unchanged for {self._unchanged} epochs"

    def derive(self, search: SearchView) -> Cell:
        """Return the last cell below the limit of skip connections; the current one by the other rule, or if none."""
        return Cell.from_string(self._admissible) if self._admissible else super().derive(search)

    def state(self) -> dict[str, Any]:
        """Return the last admissible cell and the ranking."""
        return {"admissible": self._admissible, "ranking": self._ranking, "unchanged": self._unchanged}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self._admissible, self._ranking = state["admissible"], state["ranking"]
        self._unchanged = state["unchanged"]
