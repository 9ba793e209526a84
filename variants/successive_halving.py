"""Successive halving: train many random cells briefly, and the best of them longer."""

from collections import deque
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from harness.api import OPERATIONS, Baseline, Cell, Training, random_cell


class SuccessiveHalving(Baseline):
    """Of the cells that were trained for one length, train the best 1 / eta for the next; then begin with new cells.

    This is the core of Hyperband and of BOHB, without the first's brackets and the second's model.
    """

    name = "successive-halving"
    citation = (
        "Jamieson and Talwalkar. Non-stochastic Best Arm Identification and Hyperparameter Optimization. AISTATS 2016, "
        "arXiv 1502.07943; as in Li et al. Hyperband. JMLR 18, 2018, arXiv 1603.06560, and in Falkner, Klein and "
        "Hutter. BOHB. ICML 2018, arXiv 1807.01774."
    )
    axis = "multi-trial, several training lengths"
    family = "multi-trial"
    strategy = "random"
    departures = (
        *Baseline.departures,
        "The training lengths are those of the table, 12 and 200 epochs in NAS-Bench-201, and not multiples by eta: a "
        "longer training costs 17 times as much, where the paper spends alike on each length.",
        "Longer trainings start from scratch and are paid in full, since the benchmark trained its cells for each "
        "length by itself, with a schedule of that length.",
        "The same bracket is repeated with new cells until the budget is spent; Hyperband also has brackets that begin "
        "with longer trainings, and BOHB draws cells from a model of the scores.",
    )
    lengths = 2

    class Settings(Baseline.Settings):
        """Settings of the bracket."""

        cells: int = Field(default=9, ge=2, le=15_625)
        """Cells of a bracket, drawn uniformly and all trained for the shortest length."""
        eta: int = Field(default=3, ge=2)
        """Of so many cells one is trained for the next length, rounded down."""

        @model_validator(mode="after")
        def _some_go_on(self) -> "SuccessiveHalving.Settings":
            if self.cells < self.eta:
                raise ValueError(f"cells: expected at least eta, {self.eta}, so that one of them is trained longer")
            return self

    def __init__(self, settings: Any, random: np.random.Generator, operations: tuple[str, ...] = OPERATIONS):
        super().__init__(settings, random, operations)
        self.rungs: tuple[int | None, ...] = ()
        self.rung = -1
        self.waiting: deque[Cell] = deque()
        self.scored: list[tuple[float, Cell]] = []
        """Those of the present rung, in the order of their trainings."""

    def begin(self, lengths: tuple[int | None, ...]) -> None:
        """Take the lengths as rungs."""
        self.rungs = lengths

    def propose(self) -> Training:
        """Return the next cell of the rung, of the next rung, or of a new bracket."""
        if not self.waiting:
            self.climb()
        return Training(self.waiting[0], self.rungs[self.rung])

    def climb(self) -> None:
        """Begin the next rung with the best of this one, of equal ones the first; or a bracket if there is none."""
        kept = len(self.scored) // self.settings.eta
        if kept and self.rung + 1 < len(self.rungs):
            best = sorted(self.scored, key=lambda scored: -scored[0])[:kept]
            self.waiting.extend(cell for _, cell in best)
            self.rung += 1
        else:
            self.waiting.extend(random_cell(self.random, self.operations) for _ in range(self.settings.cells))
            self.rung = 0
        self.scored = []

    def observe(self, cell: Cell, score: float) -> None:
        """Keep the score for the end of the rung."""
        self.waiting.popleft()
        self.scored.append((score, cell))
