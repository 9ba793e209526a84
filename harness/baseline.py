"""Multi-trial search on the truth table: the baselines that every differentiable method must beat.

A baseline proposes a cell, is told its score, and proposes the next. The score is the accuracy after a short
training, as in NAS-Bench-201 (Dong and Yang 2020, section 5): 12-epoch validation where the table has it.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from harness.cell import CELL_COUNT, Cell
from harness.protocol import Settings as BaseSettings
from harness.streams import stream
from harness.truth import Truth


class Baseline:
    """Subclass it and say how cells are proposed."""

    name: ClassVar[str]
    """What users type."""
    citation: ClassVar[str]
    axis: ClassVar[str]
    """What kind of search it is, in a few words."""
    departures: ClassVar[tuple[str, ...]] = ()

    class Settings(BaseSettings):
        """What all baselines share."""

        evaluations: int = Field(default=100, ge=1)
        """Cells trained and scored; about what NAS-Bench-201's budget of 12,000 s bought."""

    def __init__(self, settings: Any, random: np.random.Generator):
        self.settings = settings
        self.random = random

    def propose(self) -> Cell:
        """Return the cell to score next."""
        raise NotImplementedError

    def observe(self, cell: Cell, score: float) -> None:
        """Learn the score of the cell proposed last, in percent."""


@dataclass(frozen=True)
class Signal:
    """What a baseline sees of a cell, by official index."""

    description: str
    scores: np.ndarray
    """Percent, [15625]."""
    seconds: np.ndarray
    """Training time charged, [15625]; NaN where the table has no times."""


def search_signal(truth: Truth) -> Signal:
    """Return the cheapest honest signal that the table offers, and say which it is.

    12-epoch validation on CIFAR-10, then its 12-epoch test, then whatever the first column of the table is: then the
    baseline sees the very accuracy it is judged by, which the report names.
    """
    preferred = [("cifar10-valid", "valid", 12), ("cifar10", "valid", 12), ("cifar10", "test", 12)]
    present = truth.columns()
    data_set, split, epochs = next((column for column in preferred if column in present), present[0])
    cells = np.arange(CELL_COUNT)
    length = "full training" if epochs is None or epochs > 12 else f"{epochs} epochs"
    return Signal(
        description=f"{data_set} {split} accuracy after {length}",
        scores=truth.accuracy(cells, data_set=data_set, split=split, epochs=epochs),
        seconds=truth.seconds(cells, data_set=data_set, epochs=epochs),
    )


def run_baseline(method: type[Baseline], settings: BaseSettings, seed: int, signal: Signal) -> pd.DataFrame:
    """Search for the declared number of evaluations; return a row an evaluation, as in epochs.parquet.

    `cell` is the best so far by the signal: the answer at that point.
    """
    search = method(settings, stream(seed, f"baseline/{method.name}"))
    best, best_score, cost = "", -np.inf, 0.0
    rows = []
    for number in range(1, settings.evaluations + 1):  # type: ignore[attr-defined]
        cell = search.propose()
        score = float(signal.scores[cell.index])
        search.observe(cell, score)
        cost += float(signal.seconds[cell.index])
        if score > best_score:
            best, best_score = str(cell), score
        rows.append({"epoch": number, "cell": best, "signal": score, "cost_seconds": cost})
    return pd.DataFrame(rows)
