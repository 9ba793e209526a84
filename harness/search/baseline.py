"""Multi-trial search on the truth table: the baselines that every differentiable method must beat.

A baseline proposes a cell, is told its score, and proposes the next. The score is the accuracy after a short
training, as in NAS-Bench-201 (Dong and Yang 2020, section 5): 12-epoch validation where the table has it.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from harness.base.errors import UserError
from harness.base.streams import stream
from harness.settings.protocol import Settings as BaseSettings
from harness.settings.strategy import Strategy
from harness.space.cell import CELL_COUNT, Cell
from harness.truth.table import Column, Truth
from harness.truth.training_time import MODEL_EPOCHS, model_seconds


class Baseline:
    """Subclass it and say how cells are proposed."""

    name: ClassVar[str]
    """What users type."""
    citation: ClassVar[str]
    axis: ClassVar[str]
    """What kind of search it is, in a few words."""
    strategy: ClassVar[Strategy]
    """What moves its choice of a cell."""
    departures: ClassVar[tuple[str, ...]] = ()

    class Settings(BaseSettings):
        """What all baselines share."""

        evaluations: int = Field(default=100, ge=1)
        """Cells trained and scored; about what NAS-Bench-201's budget of 12,000 s bought."""
        seconds: float | None = Field(default=None, gt=0)
        """Budget of simulated training time, which replaces `evaluations`: the training that crosses it is the last
        (NAS-Bench-201: 12,000); null to count evaluations."""

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
    """What a baseline sees of a cell and pays for it, by official index."""

    scores: NDArray[np.float64]
    """Percent, [15625]."""
    seconds: NDArray[np.float64]
    """Training time charged, [15625]."""
    notes: tuple[str, ...]
    """What a reader must know about both."""


PREFERRED_SIGNALS = (
    Column("cifar10-valid", "valid", 12),
    Column("cifar10", "valid", 12),
    Column("cifar10", "test", 12),
)


def search_signal(truth: Truth) -> Signal:
    """Return the cheapest honest signal that the table offers.

    12-epoch validation on CIFAR-10, then its 12-epoch test, then whatever the first column of the table is: then the
    baseline sees a full training, maybe the very accuracy it is judged by, which the notes say. Times that the table
    lacks are modelled, which they say too.

    Raises:
        UserError: some cells have no score in that column.
    """
    present = truth.columns()
    column = next((column for column in PREFERRED_SIGNALS if column in present), present[0])
    cells = np.arange(CELL_COUNT)
    scores = truth.accuracy(cells, **column._asdict())
    unknown = int(np.isnan(scores).sum())
    if unknown:
        raise UserError(
            f"the true accuracies lack {column} of {unknown:,} cells: a baseline may propose any, so it needs them all"
        )
    seconds, source = _charged_seconds(truth, column)
    return Signal(scores, seconds, notes=(f"searched by the truth table's {column}{_warning(column)}", source))


def _charged_seconds(truth: Truth, column: Column) -> tuple[NDArray[np.float64], str]:
    known = truth.seconds(np.arange(CELL_COUNT), data_set=column.data_set, epochs=column.epochs)
    lacking = np.isnan(known)
    if not lacking.any():
        return known, "charged the table's training times"
    modelled = model_seconds(column.data_set, column.epochs)
    which = "training times" if lacking.all() else f"the training times of {int(lacking.sum()):,} cells"
    return np.where(lacking, modelled, known), f"{which} modelled from the counts of operations, the table has none"


def _warning(column: Column) -> str:
    if column.epochs is not None and column.epochs <= MODEL_EPOCHS:
        return ""
    judged = ", the accuracy that the answer is judged by" if column.split == "test" else ""
    return f": a full training{judged}, which a real search of this budget cannot afford"


def run_baseline(method: type[Baseline], settings: Any, seed: int, signal: Signal) -> pd.DataFrame:
    """Search until the budget is spent; return a row an evaluation, as in epochs.parquet.

    `cell` is the best so far by the signal: the answer at that point.
    """
    search = method(settings, stream(seed, f"baseline/{method.name}"))
    best, best_score, cost = "", -np.inf, 0.0
    rows: list[dict[str, Any]] = []
    while cost < settings.seconds if settings.seconds is not None else len(rows) < settings.evaluations:
        cell = search.propose()
        index = cell.index
        score = float(signal.scores[index])
        search.observe(cell, score)
        cost += float(signal.seconds[index])
        if score > best_score:
            best, best_score = str(cell), score
        rows.append({"epoch": len(rows) + 1, "cell": best, "signal": score, "cost_seconds": cost})
    return pd.DataFrame(rows)
