"""Multi-trial search on the truth table: the baselines that every differentiable method must beat.

A baseline proposes a cell, is told its score, and proposes the next. The score is the accuracy after a short
training, as in NAS-Bench-201 (Dong and Yang 2020, section 5): 12-epoch validation where the table has it. Who trains
a cell sees that training, not the mean of several, and waits for its validation too. A baseline may also ask for a
longer training, where the table has the same accuracy after several lengths.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from harness.base.errors import UserError
from harness.base.streams import stream
from harness.settings.strategy import Family, Strategy
from harness.settings.validation import Settings as BaseSettings
from harness.space.cell import CELL_COUNT, OPERATIONS, Cell, all_cells
from harness.truth.table import Column, Truth
from harness.truth.training_time import MODEL_EPOCHS, model_evaluation_seconds, model_seconds

MOST_EVALUATIONS = 1_000_000
"""Of a run: each is a row of its table, and the space has 15,625 cells."""

MOST_SECONDS = 1e8
"""Of simulated training: three years, or about as many evaluations."""

SignalKind = Literal["trial", "mean"]
"""What an evaluation sees of a cell: one of its trainings, or the mean over them."""


class Training(NamedTuple):
    """A cell to score, and how long to train it for that."""

    cell: Cell
    epochs: int | None
    """One of the lengths that `begin` was told."""


class Baseline:
    """Subclass it and say how cells are proposed."""

    name: ClassVar[str]
    """What users type."""
    citation: ClassVar[str]
    axis: ClassVar[str]
    """What kind of search it is, in a few words."""
    family: ClassVar[Family]
    """Where lists put it: `multi-trial`."""
    strategy: ClassVar[Strategy]
    """What moves its choice of a cell."""
    departures: ClassVar[tuple[str, ...]] = (
        "A table without single trainings shows its means, and one without times is charged by a model; the run's "
        "notes say so.",
    )
    """What differs from the benchmark's own search; a method adds its own to these."""
    lengths: ClassVar[int] = 1
    """How many training lengths the truth table must have of the accuracy that is searched by."""
    needs: ClassVar[dict[str, str]] = {}
    """Packages that Dartsboard does not bring, each with what pip installs for it. Import them inside of methods, so
    that the baseline is known without them."""

    class Settings(BaseSettings):
        """What all baselines share."""

        evaluations: int = Field(default=100, ge=1, le=MOST_EVALUATIONS)
        """Trainings, each followed by a validation; about what NAS-Bench-201's budget of 12,000 s bought."""
        seconds: float | None = Field(default=None, gt=0, le=MOST_SECONDS)
        """Budget of simulated training and validation time, which replaces `evaluations`: the training that crosses it
        is the last (NAS-Bench-201: 12,000); null to count evaluations."""
        signal: SignalKind = "trial"
        """What an evaluation sees and pays: one of the cell's trainings, drawn anew each time, as NATS-Bench simulates
        it; or their mean. A table without single trainings has means only, and `trial` sees those."""

    def __init__(self, settings: Any, random: np.random.Generator, operations: tuple[str, ...] = OPERATIONS):
        self.settings = settings
        self.random = random
        self.operations = operations
        """What an edge chooses from."""

    def begin(self, lengths: tuple[int | None, ...]) -> None:
        """Learn once, before the first proposal, how long a cell may be trained.

        Args:
            lengths: epochs, the shortest first; as many as the class says in `lengths` or more. None, and then alone,
                where the table does not state it.
        """

    def propose(self) -> Cell | Training:
        """Return the cell to score next; without a length it is trained for the shortest."""
        raise NotImplementedError

    def observe(self, cell: Cell, score: float) -> None:
        """Learn the score of the cell proposed last, in percent, after the training that was asked for."""


@dataclass(frozen=True)
class Signal:
    """What baselines may see of every cell and pay for it, by official index."""

    scores: NDArray[np.float64]
    """Percent, [trials, 15625]; a cell with less trials has NaN behind its own, one of another space has no other."""
    seconds: NDArray[np.float64]
    """Charged for each of them, of the same shape."""
    notes: tuple[str, ...]
    """What a reader must know about both."""
    epochs: int | None = None
    """Length of these trainings; None where the table does not state it."""
    longer: tuple["Signal", ...] = ()
    """What they may see after longer trainings, the shortest first; these have no longer ones of their own."""

    @property
    def lengths(self) -> tuple[int | None, ...]:
        """The lengths of the trainings, epochs, the shortest first."""
        return tuple(each.epochs for each in (self, *self.longer))

    def after(self, epochs: int | None) -> "Signal":
        """Return what they see after a training of this length.

        Raises:
            UserError: there is none.
        """
        for each in (self, *self.longer):
            if each.epochs == epochs:
                return each
        raise UserError(f"a training of {epochs} epochs is asked for, expected one of {_listed(self.lengths)}")

    @cached_property
    def trials(self) -> NDArray[np.int64]:
        """How many trials each cell has, [15625]."""
        return np.isfinite(self.scores).sum(axis=0)

    def evaluate(self, cell: Cell, random: np.random.Generator) -> tuple[float, float]:
        """Return score (percent) and charge (seconds) of one trial of the cell, drawn uniformly from those it has."""
        trial = random.integers(self.trials[cell.index])
        return float(self.scores[trial, cell.index]), float(self.seconds[trial, cell.index])


PREFERRED_SIGNALS = (
    Column("cifar10-valid", "valid", 12),
    Column("cifar10", "valid", 12),
    Column("cifar10", "test", 12),
)


def search_signal(
    truth: Truth, kind: SignalKind, operations: tuple[str, ...] = OPERATIONS, *, every_length: bool = False
) -> Signal:
    """Return the cheapest honest signal that the table offers.

    12-epoch validation on CIFAR-10, then its 12-epoch test, then whatever the first column of the table is: then the
    baseline sees a full training, maybe the very accuracy it is judged by, which the notes say. Times that the table
    lacks are modelled, which they say too. With `every_length` the same accuracy after longer trainings comes along.

    Raises:
        UserError: some cells of these operations have no score in that column.
    """
    shortest, *longer = signal_columns(truth)
    space = np.array([cell.index for cell in all_cells(operations)])
    found = _signal(truth, shortest, kind, space)
    if not (every_length and longer):
        return found
    further = tuple(_signal(truth, column, kind, space) for column in longer)
    notes = [found.notes[0], _longer_note(longer), *found.notes[1:]]
    for column, signal in zip(longer, further, strict=True):
        notes += [f"after {column.epochs} epochs {note}" for note in signal.notes[1:] if note not in found.notes]
    return replace(found, notes=tuple(notes), longer=further)


def signal_columns(truth: Truth) -> list[Column]:
    """Return the column that baselines search by, and those of the same accuracy after longer trainings."""
    present = truth.columns()
    shortest = next((column for column in PREFERRED_SIGNALS if column in present), present[0])
    if shortest.epochs is None:
        return [shortest]
    longer = [column for column in present if column[:2] == shortest[:2] and (column.epochs or 0) > shortest.epochs]
    return [shortest, *longer]


def check_lengths(truth: Truth, method: type[Baseline]) -> None:
    """Check that a table has as many training lengths as a method needs.

    Raises:
        UserError: it has fewer.
    """
    columns = signal_columns(truth)
    if len(columns) < method.lengths:
        raise UserError(
            f"{method.name} needs an accuracy after {method.lengths} training lengths, and {truth.provenance.file} has "
            f"{_listed(map(str, columns))} only: import another table, or take {method.name} out of params.yaml"
        )


def _longer_note(longer: list[Column]) -> str:
    judged = ", the accuracy that the answer is judged by" if longer[-1].split == "test" else ""
    columns = _listed(map(str, longer))
    return f"where it asks for a longer training, searched by {columns}{judged}: paid from its start"


def _listed(values: Iterable[object]) -> str:
    return " and ".join(map(str, values))


def _signal(truth: Truth, column: Column, kind: SignalKind, space: NDArray[np.int64]) -> Signal:
    rows = truth.trials(space, **column._asdict())
    unknown = len(space) - rows["cell"].nunique()
    if unknown:
        raise UserError(
            f"the true accuracies lack {column} of {unknown:,} cells of the protocol's operations: a baseline may "
            "propose any, so it needs them all"
        )
    single = bool(rows["training_seed"].notna().any() or rows["cell"].duplicated().any())
    if kind == "mean":
        rows = rows.groupby("cell", as_index=False)[["accuracy", "seconds", "evaluation_seconds"]].mean()
    modelled = model_seconds(column.data_set, column.epochs), model_evaluation_seconds(column.data_set, column.split)
    training, of_training = _charged(rows, "seconds", "training times", modelled[0])
    evaluation, of_evaluation = _charged(rows, "evaluation_seconds", "evaluation times", modelled[1])
    searched = f"searched by the truth table's {column}{_warning(column)}"
    notes = (searched, _seen(kind, single), of_training, of_evaluation)
    scores, seconds = _by_trial(rows, rows["accuracy"]), _by_trial(rows, training + evaluation)
    return Signal(scores, seconds, notes, column.epochs)


def _by_trial(rows: pd.DataFrame, values: pd.Series) -> NDArray[np.float64]:
    number = rows.groupby("cell").cumcount().to_numpy()
    found = np.full((number.max() + 1, CELL_COUNT), np.nan)
    found[number, rows["cell"].to_numpy()] = values.to_numpy()
    return found


def _seen(kind: SignalKind, single: bool) -> str:
    if not single:
        return "each score is the mean over a cell's trainings, the table has no single ones"
    if kind == "mean":
        return "each score is the mean over a cell's trainings, and each is charged as one"
    return "each score is that of one of a cell's trainings, drawn anew for each evaluation"


def _charged(rows: pd.DataFrame, name: str, what: str, modelled: NDArray[np.float64]) -> tuple[pd.Series, str]:
    """Return a time of each row, the modelled one [15625] where the table has none, and where they come from."""
    lacking = rows[name].isna()
    if not lacking.any():
        return rows[name], f"charged the table's {what}"
    which = what if lacking.all() else f"the {what} of {rows.loc[lacking, 'cell'].nunique():,} cells"
    filled = rows[name].where(~lacking, modelled[rows["cell"].to_numpy()])
    return filled, f"{which} modelled from the counts of operations, the table has none"


def _warning(column: Column) -> str:
    if column.epochs is not None and column.epochs <= MODEL_EPOCHS:
        return ""
    judged = ", the accuracy that the answer is judged by" if column.split == "test" else ""
    return f": a full training{judged}, which a real search of this budget cannot afford"


def run_baseline(
    method: type[Baseline], settings: Any, seed: int, signal: Signal, operations: tuple[str, ...] = OPERATIONS
) -> pd.DataFrame:
    """Search until the budget is spent; return a row an evaluation, as in epochs.parquet.

    `cell` is the best so far by the signal, among the cells that were trained longest: the answer at that point. Which
    trial an evaluation sees is drawn from a stream of its own, so that proposals are the same whatever the table holds
    of a cell.

    Raises:
        UserError: the method asks for a training length that the signal has not, or trainings cost too little for the
            budget to be spent.
    """
    search = method(settings, stream(seed, f"baseline/{method.name}"), operations)
    search.begin(signal.lengths)
    trials = stream(seed, f"baseline/{method.name}/trials")
    best, best_standing, cost = "", (-1, -np.inf), 0.0
    rows: list[dict[str, Any]] = []
    while cost < settings.seconds if settings.seconds is not None else len(rows) < settings.evaluations:
        if len(rows) == MOST_EVALUATIONS:
            raise UserError(
                f"{method.name}: {len(rows):,} evaluations cost {cost:g} of the {settings.seconds:g} s that `seconds` "
                "allows: name a budget that the times of the truth table can spend"
            )
        proposed = search.propose()
        cell, epochs = proposed if isinstance(proposed, Training) else (proposed, signal.epochs)
        score, seconds = signal.after(epochs).evaluate(cell, trials)
        search.observe(cell, score)
        cost += seconds
        standing = signal.lengths.index(epochs), score
        if standing > best_standing:
            best, best_standing = str(cell), standing
        rows.append({"epoch": len(rows) + 1, "cell": best, "signal": score, "cost_seconds": cost})
    return pd.DataFrame(rows)
