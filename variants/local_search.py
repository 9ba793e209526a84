"""Local search: climb from a random cell to a better neighbour, and begin anew where there is none."""

from typing import Any, Literal

import numpy as np
from pydantic import Field

from harness.api import EDGES, OPERATIONS, Baseline, Cell, random_cell


class LocalSearch(Baseline):
    """Move to the best of the 24 cells that differ in one edge, as long as it is better than the present one."""

    name = "local-search"
    citation = (
        "White, Nolen and Savani. Exploring the Loss Landscape in Neural Architecture Search. UAI 2021, "
        "arXiv 2005.02960."
    )
    axis = "multi-trial, hill climbing"
    family = "multi-trial"
    strategy = "local search"
    departures = (
        *Baseline.departures,
        "At a local optimum the search begins anew at another random cell, where the paper's simplest form ends: the "
        "budget is that of the other baselines.",
        "It begins at one random cell; the authors' code may begin at the best of several.",
        "No cell is trained twice, as in the authors' code: where an evaluation sees one training, that one decides.",
    )

    class Settings(Baseline.Settings):
        """Settings of the climb."""

        neighbours: Literal["all", "until-better"] = Field(default="all")
        """Which of the 24 neighbours are scored before a step: all, for a step to the best; or one after the other in
        random order until one is better than the present cell, for a step there."""

    def __init__(self, settings: Any, random: np.random.Generator, operations: tuple[str, ...] = OPERATIONS):
        super().__init__(settings, random, operations)
        self.scores: dict[Cell, float] = {}
        self.centre: Cell | None = None
        """Where the search stands; None before the first proposal."""

    def propose(self) -> Cell:
        """Return a neighbour without a score, after all steps that known scores decide; or a new beginning."""
        waiting = self.climb()
        return waiting[int(self.random.integers(len(waiting)))] if waiting else self.begin_anew()

    def climb(self) -> list[Cell]:
        """Take the steps that known scores decide; return what may be scored before the next, nothing at an optimum."""
        while self.centre is not None:
            around = neighbours(self.centre, self.operations)
            unknown = [cell for cell in around if cell not in self.scores]
            better = [cell for cell in around if self.scores.get(cell, -np.inf) > self.scores[self.centre]]
            if not better or (unknown and self.settings.neighbours == "all"):
                return unknown
            self.centre = max(better, key=self.scores.__getitem__)
        return []

    def begin_anew(self) -> Cell:
        """Stand at a uniform draw from the cells without a score; once all have one, all scores are forgotten."""
        if len(self.scores) == len(self.operations) ** len(EDGES):
            self.scores.clear()
        self.centre = random_cell(self.random, self.operations)
        while self.centre in self.scores:
            self.centre = random_cell(self.random, self.operations)
        return self.centre

    def observe(self, cell: Cell, score: float) -> None:
        """Remember the score."""
        self.scores[cell] = score


def neighbours(cell: Cell, operations: tuple[str, ...] = OPERATIONS) -> list[Cell]:
    """Return the cells, 24 with five operations, that have another operation on one edge."""
    found = []
    for edge, own in enumerate(cell.operations):
        for operation in operations:
            if operation != own:
                found.append(Cell((*cell.operations[:edge], operation, *cell.operations[edge + 1 :])))
    return found
