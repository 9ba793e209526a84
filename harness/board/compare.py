"""Compares two methods of the board on their finished runs, paired by seed, on every truth column."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.base.errors import UserError, did_you_mean, quoted
from harness.board.lookup import read_results, read_truth_description
from harness.records.record import FINISHED
from harness.results.columns import RESULTS
from harness.statistics.significance import compare_with, fewest_pairs
from harness.statistics.training_noise import allowed_difference
from harness.truth.columns import NOISE_FLOOR, cells_with_errors, rank

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

LEVEL = 0.05

ERRORS = ("training_error/", "training_freedom/")
"""How columns begin that tell the training noise of a run's cell; results of an earlier version have none."""


def told_apart(difference: float, p_value: float, noise: float | None, level: float = LEVEL) -> bool:
    """Return whether a difference of two means counts: it is significant and not below the noise floor.

    Args:
        difference: of the means, in points.
        p_value: of the paired test, corrected where several tests are read together; NaN where no pair exists.
        noise: noise floor of the truth column in points; None where it was not measured.
        level: the p-value must be smaller.
    """
    return bool(p_value < level and abs(difference) >= (noise or 0.0))


@dataclass(frozen=True)
class Comparison:
    """Two methods on one truth column; accuracies in percent, differences first minus second."""

    first: str
    second: str
    key: str
    label: str
    noise: float | None
    training_noise: float | None
    """Difference that the training of the cells of these pairs allows, points; None where that is not known."""
    values: pd.DataFrame
    """Index seed; columns first and second, NaN where a seed has no result."""
    row: pd.Series
    """The row of `significance.compare_with` with the second as reference."""
    choices: int
    """Pairs of methods on the board that could have been compared on this column."""

    @property
    def told_apart(self) -> bool:
        """See `told_apart`; a difference that training noise allows does not count either."""
        noise = max(self.noise or 0.0, self.training_noise or 0.0)
        return told_apart(self.row["mean_difference"], self.row["p_sign_flip"], noise)

    def verdict(self) -> str:
        """Say in one sentence whether the runs can tell the two apart, and why."""
        row, pairs = self.row, int(self.row["pairs"])
        if pairs == 0:
            return f"{self.label}: no seed has a result of both, so the board cannot tell them apart."
        if row["ties"] == pairs:
            return f"{self.label}: equal in {_count(pairs, 'pair')}, so the board cannot tell them apart."
        higher, lower = (self.first, self.second) if row["mean_difference"] >= 0 else (self.second, self.first)
        low, high = sorted(abs(row["mean_difference"]) / (row["mean_difference"] or 1) * row[["low", "high"]])
        measured = f"{higher} is {abs(row['mean_difference']):.2f} points above {lower} [{low:.2f}, {high:.2f}]"
        if self.told_apart:
            told = f"the board tells them apart ({_count(pairs, 'pair')}, p = {row['p_sign_flip']:.3g})"
        else:
            told = f"the board cannot tell them apart: {self._doubt(pairs)}"
        return f"{self.label}: {measured}; {told}."

    def _doubt(self, pairs: int) -> str:
        if self.noise is not None and abs(self.row["mean_difference"]) < self.noise:
            return f"that is less than the noise floor of {self.noise:.2f}"
        if self.training_noise is not None and abs(self.row["mean_difference"]) < self.training_noise:
            return (
                f"training noise of the cells they found allows up to {self.training_noise:.2f}, and more seeds that "
                "find these cells do not lower it"
            )
        if pairs < fewest_pairs(LEVEL):
            return f"{_count(pairs, 'pair')} cannot reach p < {LEVEL} even if all agree ({fewest_pairs(LEVEL)} needed)"
        doubt = f"chance can explain it (p = {self.row['p_sign_flip']:.2g})"
        if self.row["p_wilcoxon"] < LEVEL:
            won, winner = max((self.row["wins"], self.first), (self.row["losses"], self.second))
            doubt += f", though {winner} is higher in {won:.0f} of {_count(pairs, 'pair')}: few pairs decide the mean"
        elif self.row["pairs_needed"] < 10_000:
            doubt += f"; a true difference of this size would need about {self.row['pairs_needed']:.0f} pairs"
        return doubt


def compare(first: str, second: str, results: Path = RESULTS) -> list[Comparison]:
    """Compare two methods of the board, a comparison per truth column; the one that reports rank by comes first.

    Raises:
        UserError: a name is not on the board or has no finished run, both are the same, the cells of one have no
            truth, or the results are missing or damaged.
    """
    if first == second:
        raise UserError(f"{quoted(first)} is named twice: expected two different variants or baselines")
    runs, labels = _read(results)
    known = runs["variant"].unique()
    for name in (first, second):
        if name not in known:
            raise UserError(f"{results} has no variant or baseline {quoted(name)}, {did_you_mean(name, known)}")
    finished = runs[runs["status"].isin(FINISHED)]
    for name in (first, second):
        if name not in set(finished["variant"]):
            counts = runs.loc[runs["variant"] == name, "status"].value_counts()
            others = ", ".join(f"{count} {status}" for status, count in counts.items())
            raise UserError(f"{quoted(name)} has no finished run to compare: {others}")
    columns = [_compare_column(finished, first, second, key, labels[key]) for key in sorted(labels, key=rank)]
    found = [comparison for comparison in columns if comparison is not None]
    if not found:
        raise UserError(
            f"{quoted(first)} and {quoted(second)} have no truth column in common: the table of true accuracies lacks "
            "the cells that they found"
        )
    return found


def _read(results: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the runs of the board, and the label of each truth column."""
    try:
        runs = read_results(results, "runs")
        columns = read_truth_description(results)["columns"]
        labels = {key: str(content["label"]) for key, content in columns.items()}
        errors = [name for name in runs if name == "cell_index" or str(name).startswith(ERRORS)]
        return runs.dropna(subset=["variant", "seed"]).astype(dict.fromkeys([*labels, *errors], "float64")), labels
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing: make it with `dvc repro lookup`") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{results} is damaged: {' '.join(str(error).split())}; make it with `dvc repro lookup`"
        ) from None


def _compare_column(finished: pd.DataFrame, first: str, second: str, key: str, label: str) -> Comparison | None:
    """Compare on one column; None where one side has no accuracy in it, as in a table that lacks cells."""
    known = finished.dropna(subset=[key])
    choices = math.comb(known["variant"].nunique(), 2)
    known = known[known["variant"].isin([first, second])]
    if {first, second} - set(known["variant"]):
        return None
    row = compare_with(known, key, second).iloc[0]
    training_noise = _finite(paired_training_noise(known, first, second, key))
    values = known.pivot(index="seed", columns="variant", values=key)[[first, second]]
    values = values.set_axis(["first", "second"], axis=1)
    return Comparison(first, second, key, label, NOISE_FLOOR.get(key), training_noise, values, row, choices)


def paired_training_noise(known: pd.DataFrame, first: str, second: str, key: str) -> float:
    """Return the difference that the training of the cells of paired runs allows, points; NaN where it is not known.

    `known`: runs with an accuracy in the truth column `key`, with the columns `SPREADS` of their cells.
    """
    sides = [known[known["variant"] == name] for name in (first, second)]
    paired = set(sides[0]["seed"]) & set(sides[1]["seed"])
    if not paired:
        return math.nan
    one, other = (cells_with_errors(side[side["seed"].isin(paired)], key) for side in sides)
    return allowed_difference(one, other)


def as_json(comparisons: list[Comparison]) -> list[dict[str, Any]]:
    """Return the comparisons as plain content; a number that does not exist is None."""
    return [_plain(comparison) for comparison in comparisons]


def _plain(comparison: Comparison) -> dict[str, Any]:
    content = asdict(comparison) | {"told_apart": comparison.told_apart, "verdict": comparison.verdict()}
    values = comparison.values.astype(object).where(comparison.values.notna(), None)
    content["values"] = {str(seed): row for seed, row in values.to_dict("index").items()}
    content["row"] = {str(name): _finite(value) for name, value in comparison.row.items()}
    return content


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def show(comparisons: list[Comparison], console: "Console") -> None:
    """Print per-seed values, the statistics of every truth column, and what they say."""
    from rich.columns import Columns
    from rich.text import Text

    first, second = comparisons[0].first, comparisons[0].second
    console.print(Text(f"A = {first}, B = {second}; true accuracy in percent", style="bold"))
    console.print(Columns([_seed_table(comparison) for comparison in comparisons]))
    console.print(_statistics_table(comparisons))
    for comparison in comparisons:
        console.print(Text(comparison.verdict()))
    if (choices := comparisons[0].choices) > 1:
        console.print(Text(picked(choices)))


def picked(choices: int) -> str:
    """Say what a test of two methods does not know: that somebody chose them by the results."""
    return (
        f"These two are one of {choices:,} pairs on the board. Whoever chose them because the results differ has no "
        "test: of as many pairs of equal methods, the one that differs most would often pass for a difference."
    )


def _seed_table(comparison: Comparison) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(comparison.label), title_justify="left", title_style="")
    for name in ("seed", "A", "B", "A − B"):
        table.add_column(name, justify="right", no_wrap=True)
    for seed, row in comparison.values.iterrows():
        first, second = row["first"], row["second"]
        table.add_row(str(seed), _number(first), _number(second), _number(first - second, "+.2f"))
    return table


def _statistics_table(comparisons: list[Comparison]) -> "Table":
    """A row a statistic, a column a truth column."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="95 % bootstrap intervals in brackets", title_justify="left", title_style="")
    table.add_column("")
    for comparison in comparisons:
        table.add_column(Text(comparison.label), justify="right")
    columns = [_statistics(comparison) for comparison in comparisons]
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    return table


def _statistics(comparison: Comparison) -> dict[str, str]:
    row = comparison.row
    return {
        "pairs (seeds of one alone)": f"{row['pairs']:.0f} ({row['unpaired']:.0f})",
        "A wins / ties / B wins": f"{row['wins']:.0f} / {row['ties']:.0f} / {row['losses']:.0f}",
        "P(A > B)": _interval(row, "probability_of_improvement", "improvement_low", "improvement_high", ".2f"),
        "mean difference": _interval(row, "mean_difference", "low", "high", "+.2f"),
        "p, sign-flip test": _number(row["p_sign_flip"], ".3g"),
        "p, Wilcoxon": _number(row["p_wilcoxon"], ".3g"),
        "noise floor": _number(comparison.noise, ".2f"),
        "training noise allows": _number(comparison.training_noise, ".2f"),
        "pairs needed": "no number" if row["pairs_needed"] == math.inf else _number(row["pairs_needed"], ",.0f"),
    }


def _interval(row: pd.Series, estimate: str, low: str, high: str, form: str) -> str:
    if pd.isna(row[estimate]):
        return _number(None)
    if row[low] == row[high]:
        return f"{row[estimate]:{form}} (no spread)"
    return f"{row[estimate]:{form}} [{row[low]:{form}}, {row[high]:{form}}]"


def _number(value: float | None, form: str = ".2f") -> str:
    return "–" if value is None or pd.isna(value) else format(value, form)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
