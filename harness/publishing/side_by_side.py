"""Two published boards side by side: what changed, and whether it matters to any method of both."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from harness.base.errors import UserError, in_one_line
from harness.board.compare import LEVEL, paired_training_noise, told_apart
from harness.publishing.changes import Change, changes, not_the_same
from harness.publishing.folder import PublishedBoard, read_published, told_in_one_sentence
from harness.results.folder import Results, TruthColumn
from harness.statistics.estimates import FloatArray, bootstrap_interval
from harness.statistics.significance import compare_with, fewest_pairs
from harness.statistics.step_down import step_down_sign_flips

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

FIRST, SECOND = "first", "second"


@dataclass(frozen=True)
class Difference:
    """A method on both boards, on the main truth column; accuracies in percent, differences second minus first."""

    method: str
    first_runs: int
    """Runs with an accuracy on the first board."""
    second_runs: int
    first_mean: float
    """NaN where there is no such run."""
    second_mean: float
    noise: float | None
    """Noise floor of the column, points."""
    pairs: int = 0
    """Seeds with an accuracy on both boards."""
    ties: int = 0
    difference: float = math.nan
    """Mean over the pairs; without a pair, the difference of both means."""
    low: float = math.nan
    high: float = math.nan
    """Its 95 % bootstrap interval."""
    p_adjusted: float = math.nan
    """Of the sign flips of the pairs, adjusted for all methods by step-down; NaN without a pair."""
    training_noise: float | None = None
    """Difference that the training of the cells of the pairs allows, points; None where that is not known."""

    @property
    def matters(self) -> bool:
        """Whether the difference is significant, and larger than both noises."""
        noise = max(self.noise or 0.0, self.training_noise or 0.0)
        return told_apart(self.difference, self.p_adjusted, noise)

    def verdict(self) -> str:
        """Say in a sentence whether the difference matters, and why."""
        if math.isnan(self.difference):
            return f"{self.method}: no result on {'the first' if not self.first_runs else 'the second'} board."
        if self.pairs and self.ties == self.pairs:
            return f"{self.method}: equal on {self._pairs}; nothing changed."
        size = f"{abs(self.difference):.2f} points {'higher' if self.difference > 0 else 'lower'} on the second board"
        said = "this matters" if self.matters else "this does not count as a change"
        return f"{self.method}: {size} [{self.low:+.2f}, {self.high:+.2f}]; {said}: {self._reason()}."

    @property
    def _pairs(self) -> str:
        return f"{self.pairs} shared seed{'' if self.pairs == 1 else 's'}"

    def _reason(self) -> str:
        size = abs(self.difference)
        if not self.pairs:
            return "the boards share no seed of it, so no test was made"
        if self.noise is not None and size < self.noise:
            return f"it is less than the noise floor of {self.noise:.2f}"
        if self.training_noise is not None and size < self.training_noise:
            return f"the training of the found cells allows up to {self.training_noise:.2f}"
        if self.pairs < fewest_pairs(LEVEL):
            return f"{self._pairs} cannot reach p < {LEVEL} even if all agree ({fewest_pairs(LEVEL)} needed)"
        if self.matters:
            return f"chance would seldom do it (p = {self.p_adjusted:.3g} among all methods, {self._pairs})"
        return f"chance can explain it (p = {self.p_adjusted:.2g} among all methods, {self._pairs})"


@dataclass(frozen=True)
class SideBySide:
    """Two published boards."""

    first: str
    second: str
    changes: list[Change]
    warnings: list[str]
    """Why the numbers are not of the same thing, a sentence each."""
    label: str
    """The truth column that is compared."""
    differences: list[Difference]

    def verdict(self) -> str:
        """Say in a sentence how many methods a change matters to."""
        count, mattering = len(self.differences), sum(difference.matters for difference in self.differences)
        if not self.differences:
            return "No method is on both boards."
        told = f"{mattering} of {count} methods of both boards differ in a way that matters"
        return f"{told}{', on numbers that are not of the same thing' if self.warnings else ''}."


def compare_boards(first: Path, second: Path) -> SideBySide:
    """Compare two published boards on the truth column that reports rank by.

    Raises:
        UserError: a folder is no published board or damaged, or the boards have no truth column in common.
    """
    boards = read_published(first), read_published(second)
    tables = boards[0].load(), boards[1].load()
    return told_in_one_sentence(boards[1], lambda: _side_by_side(boards, tables))


def _side_by_side(boards: tuple[PublishedBoard, PublishedBoard], tables: tuple[Results, Results]) -> SideBySide:
    found = changes(*boards, tables)
    column = _common_column(*tables)
    shared = [name for name in boards[0].manifest.methods if name in boards[1].manifest.methods]
    known = [results.finished.dropna(subset=[column.key]) for results in tables]
    return SideBySide(
        first=in_one_line(boards[0].folder),
        second=in_one_line(boards[1].folder),
        changes=found,
        warnings=not_the_same(found),
        label=column.label,
        differences=differences(known[0], known[1], shared, column),
    )


def _common_column(first: Results, second: Results) -> TruthColumn:
    keys = {column.key for column in second.columns}
    for column in first.columns:  # in the order of importance
        if column.key in keys:
            return column
    raise UserError(
        f"the boards have no truth column in common: {', '.join(column.label for column in first.columns)} and "
        f"{', '.join(column.label for column in second.columns)}"
    )


def differences(
    first: pd.DataFrame, second: pd.DataFrame, methods: Iterable[str], column: TruthColumn
) -> list[Difference]:
    """Return how each method differs between two boards.

    `first`, `second`: runs with an accuracy in the column; columns variant, seed and those of the truth.
    """
    joined = {
        name: pd.concat(
            [own[own["variant"] == name].assign(variant=side) for own, side in ((first, FIRST), (second, SECOND))]
        )
        for name in methods
    }
    adjusted = _adjusted(joined, column.key)
    return [_difference(name, runs, column, adjusted.get(name, math.nan)) for name, runs in joined.items()]


def _adjusted(joined: dict[str, pd.DataFrame], key: str) -> dict[str, float]:
    """Return the p-value of each method with a shared seed, adjusted for all of them."""
    by_seed = {name: runs.pivot(index="seed", columns="variant", values=key) for name, runs in joined.items()}
    paired = {name: (table[SECOND] - table[FIRST]).dropna() for name, table in by_seed.items() if table.shape[1] == 2}
    paired = {name: values for name, values in paired.items() if len(values)}
    if not paired:
        return {}
    # A seed that a method lacks is a zero, which changes nothing.
    table = pd.DataFrame(paired).fillna(0.0)
    return dict(zip(paired, map(float, step_down_sign_flips(table)), strict=True))


def _difference(name: str, runs: pd.DataFrame, column: TruthColumn, p_adjusted: float) -> Difference:
    first, second = (runs.loc[runs["variant"] == side, column.key].to_numpy(np.float64) for side in (FIRST, SECOND))
    found = Difference(
        method=name,
        first_runs=len(first),
        second_runs=len(second),
        first_mean=float(first.mean()) if len(first) else math.nan,
        second_mean=float(second.mean()) if len(second) else math.nan,
        noise=column.noise,
    )
    if not len(first) or not len(second):
        return found
    row = compare_with(runs, column.key, FIRST).iloc[0]
    if not row["pairs"]:
        estimate, low, high = bootstrap_interval([first, second], _second_minus_first)
        return replace(found, difference=estimate, low=low, high=high)
    noise = paired_training_noise(runs, FIRST, SECOND, column.key)
    return replace(
        found,
        pairs=int(row["pairs"]),
        ties=int(row["ties"]),
        difference=row["mean_difference"],
        low=row["low"],
        high=row["high"],
        p_adjusted=max(p_adjusted, row["p_sign_flip"]),  # where signs are drawn, chance could put it below
        training_noise=None if math.isnan(noise) else noise,
    )


def _second_minus_first(strata: list[FloatArray]) -> FloatArray:
    first, second = (np.mean(side.reshape(len(side), -1), axis=-1) for side in strata)
    return np.asarray(second - first)


def as_json(found: SideBySide) -> dict[str, Any]:
    """Return the comparison as plain content; a number that does not exist is None."""
    return {
        "first": found.first,
        "second": found.second,
        "changes": [change._asdict() for change in found.changes],
        "warnings": found.warnings,
        "label": found.label,
        "verdict": found.verdict(),
        "differences": [
            {
                name: None if isinstance(value, float) and not math.isfinite(value) else value
                for name, value in row.items()
            }
            for row in map(_plain, found.differences)
        ],
    }


def _plain(difference: Difference) -> dict[str, Any]:
    return asdict(difference) | {"matters": difference.matters, "verdict": difference.verdict()}


def show(found: SideBySide, console: "Console") -> None:
    """Print what changed, every method's difference, and what it says."""
    from rich.text import Text

    console.print(Text(f"A = {found.first}, B = {found.second}", style="bold"))
    if found.changes:
        console.print(_changes_table(found.changes))
    else:
        console.print(Text("Nothing differs but, perhaps, the results."))
    for warning in found.warnings:
        console.print(Text(f"Not of the same thing: {warning}", style="bold"))
    if found.differences:
        console.print(_differences_table(found))
    for difference in found.differences:
        console.print(Text(difference.verdict()))
    console.print(Text(found.verdict()))


def _changes_table(found: list[Change]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title="What changed", title_justify="left", title_style="")
    for name in ("", "what", "A", "B"):
        table.add_column(name, overflow="fold")
    for change in found:
        table.add_row(*map(Text, change))
    return table


def _differences_table(found: SideBySide) -> "Table":
    from rich.table import Table
    from rich.text import Text

    title = f"{found.label}, percent; B − A over shared seeds, 95 % bootstrap intervals in brackets"
    table = Table(title=Text(title), title_justify="left", title_style="")
    table.add_column("method", overflow="fold")
    for name in ("A (n)", "B (n)", "pairs", "B − A", "p adjusted"):
        table.add_column(name, justify="right")
    for each in found.differences:
        difference = (
            "–" if math.isnan(each.difference) else f"{each.difference:+.2f} [{each.low:+.2f}, {each.high:+.2f}]"
        )
        table.add_row(
            Text(each.method),
            _mean(each.first_mean, each.first_runs),
            _mean(each.second_mean, each.second_runs),
            str(each.pairs),
            Text(difference),
            "–" if math.isnan(each.p_adjusted) else f"{each.p_adjusted:.3g}",
        )
    return table


def _mean(mean: float, runs: int) -> str:
    return "– (0)" if math.isnan(mean) else f"{mean:.2f} ({runs})"
