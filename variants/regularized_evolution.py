"""Regularized evolution: mutate a good cell of a small population, and let the oldest die."""

from collections import deque
from typing import Any

import numpy as np
from pydantic import Field

from harness.api import EDGES, OPERATIONS, Baseline, Cell, random_cell


class RegularizedEvolution(Baseline):
    """Keep a queue of scored cells; the child of a tournament's winner pushes the oldest one out."""

    name = "regularized-evolution"
    citation = (
        "Real, Aggarwal, Huang and Le. Regularized Evolution for Image Classifier Architecture Search. "
        "AAAI 2019, arXiv 1802.01548."
    )
    axis = "multi-trial, evolution"
    family = "multi-trial"
    strategy = "evolution"
    departures = (
        *Baseline.departures,
        "The population of 10 and the tournament of 3 are NAS-Bench-201's (Dong and Yang 2020), for its budget of "
        "about 100 evaluations; the paper has populations of 100 and samples of 25 for 20,000.",
        "The only mutation changes an operation: the cells of this space have no wiring to change.",
        "Each edge is as likely to be mutated; the benchmark's code draws the node first, so that its edges have 1/3, "
        "1/6 twice and 1/9 three times. Means agree, and its spread is larger.",
    )

    class Settings(Baseline.Settings):
        """Settings of the population."""

        population: int = Field(default=10, ge=1, le=1_000_000)
        """Cells alive; the first ones are drawn uniformly."""
        tournament: int = Field(default=3, ge=1, le=10_000)
        """Cells drawn with replacement, so that they may be more than the population; the best becomes the parent."""

    def __init__(self, settings: Any, random: np.random.Generator, operations: tuple[str, ...] = OPERATIONS):
        super().__init__(settings, random, operations)
        self.alive: deque[tuple[float, Cell]] = deque(maxlen=settings.population)

    def propose(self) -> Cell:
        """Return a uniform draw until the population is full, then a child."""
        if len(self.alive) < self.settings.population:
            return random_cell(self.random, self.operations)
        drawn = self.random.integers(len(self.alive), size=self.settings.tournament)
        _, parent = max((self.alive[position] for position in drawn), key=lambda scored: scored[0])
        return self.mutate(parent)

    def mutate(self, parent: Cell) -> Cell:
        """Return the cell with another operation on one edge, both drawn uniformly."""
        edge = int(self.random.integers(len(EDGES)))
        others = [operation for operation in self.operations if operation != parent.operations[edge]]
        operations = list(parent.operations)
        operations[edge] = others[int(self.random.integers(len(others)))]
        return Cell(tuple(operations))

    def observe(self, cell: Cell, score: float) -> None:
        """Append the cell; the queue drops its oldest."""
        self.alive.append((score, cell))
