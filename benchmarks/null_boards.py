"""What does the report say of boards of equal methods, and how many seeds does it need where they differ?

Simulated boards, judged by the functions that write the page: every statement that names a difference is then false.

    python -m benchmarks.null_boards

writes benchmarks/results/null_boards.md and .csv.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import numpy as np
import pandas as pd

from benchmarks.page import markdown, page_options, write_page
from harness.base.streams import stream
from harness.board.compare import LEVEL, told_apart
from harness.statistics.clusters import clustered_spearman
from harness.statistics.estimates import FloatArray
from harness.statistics.significance import sign_flip_test
from harness.statistics.step_down import adjusted_p_values
from harness.truth.columns import NOISE_FLOOR
from reports.analysis.comparison import marks
from reports.analysis.repairs import differences
from reports.analysis.statistics import HIGHER, LOWER, verdict

NAME = "null_boards"
NOISE = NOISE_FLOOR["truth/cifar10/test"]
METHODS = (21, 41)
SEEDS = (3, 6, 10, 12, 20)
BOARDS = 400
FEWER = 4
"""Boards of more methods, and diagnostics, are fewer by this factor: they take longer."""
BASELINES = 3
ALIKE = 0.7
"""Correlation of two runs of one variant, where a diagnostic and the truth are compared."""

POWER = 0.8
STANDARD_ERRORS = 3
"""Of hundreds of rates, one in forty lies beyond two by chance."""

TRIED = (6, 8, 10, 12, 15, 20, 25, 30, 40, 60, 80, 120)
DIFFERENCES, SDS = (0.3, 0.5, 1.0), (0.2, 0.5, 1.0)

CELLS = (54.3, 70.9, 84.2, 88.5, 91.0, 93.8)
SPREADS = (0.05, 3.0)
"""Smallest and largest standard deviation on a board of unequal spreads, points."""

Draw = Callable[[np.random.Generator, tuple[int, int]], FloatArray]


def _unequal(shape: tuple[int, int]) -> FloatArray:
    return np.geomspace(*SPREADS, shape[1])


KINDS: dict[str, Draw] = {
    "normal": lambda generator, shape: generator.normal(90.0, 1.0, shape),
    "collapsed in 40 % of the runs": lambda generator, shape: (
        generator.normal(90.0, 1.0, shape) - 36.0 * (generator.random(shape) < 0.4)
    ),
    "six cells": lambda generator, shape: generator.choice(CELLS, shape),
    "below the noise floor": lambda generator, shape: generator.normal(90.0, 0.12, shape),
    "exponential below a ceiling": lambda generator, shape: 94.0 - generator.exponential(1.0, shape),
    "unequal spreads": lambda generator, shape: 90.0 + _unequal(shape) * generator.normal(0.0, 1.0, shape),
    "skewed and unequal spreads": lambda generator, shape: (
        90.0 - _unequal(shape) * (generator.exponential(1.0, shape) - 1.0)
    ),
}
"""How the accuracies of a board, [seeds, methods], are drawn; all methods have one mean."""

BEST, REFERENCE, BASELINE = (
    "a mark beside the best",
    "a verdict against the reference",
    "a verdict against the best baseline",
)
REPAIR, PREDICTOR = "a difference of a diagnostic", "a diagnostic that goes with the truth"
PAIR, PICKED = "`compare` on a pair drawn by chance", "`compare` on the two that differ most"

SAID = {
    BEST: "share of boards on which any method loses the sign †",
    REFERENCE: "share of boards with any `higher` or `lower`",
    BASELINE: f"share of boards with any `higher` or `lower`; the best is chosen of {BASELINES} by the same runs",
    REPAIR: "share of single differences with * or (*)",
    PREDICTOR: f"share of unrelated diagnostics in bold; two runs of a variant have a correlation of {ALIKE}",
    PAIR: "share of pairs that are told apart",
    PICKED: "share of boards; the command says that such a pair is no test",
}
"""What is counted for each claim."""


def board_of(kind: str, seeds: int, methods: int, generator: np.random.Generator) -> pd.DataFrame:
    """Return the true accuracies of a board of equal methods, in any order, [seeds, methods], percent."""
    accuracies = KINDS[kind](generator, (seeds, methods))[:, generator.permutation(methods)]
    return pd.DataFrame(accuracies, columns=[f"method-{number}" for number in range(methods)])


def verdicts(runs: pd.DataFrame, reference: str, candidates: Sequence[str] = ()) -> list[str]:
    """Return the verdict of the report on each other method; the reference was chosen among the candidates."""
    higher_by = runs.drop(columns=reference).sub(runs[reference], axis=0)
    rows = pd.DataFrame(
        {
            "mean_difference": higher_by.mean(),
            "pairs": len(runs),
            "ties": higher_by.eq(0).sum(),
            "p_adjusted": adjusted_p_values(runs, reference, candidates),
            "training_noise": np.nan,
        }
    )
    return [verdict(row, NOISE) for _, row in rows.iterrows()]


def false_statements(runs: pd.DataFrame) -> dict[str, bool]:
    """Return, for each claim but that of a diagnostic, whether the report makes it on this board of equal methods."""
    baselines, reference = list(runs.columns[:BASELINES]), runs.columns[BASELINES]
    best = str(runs[baselines].mean().idxmax())
    own, other = runs[runs.columns[-1]], runs[reference]
    ranked = runs.mean().sort_values().index
    return {
        BEST: bool((marks(runs, NOISE)["mark"] == "").any()),
        REFERENCE: _any_told_apart(verdicts(runs, reference)),
        BASELINE: _any_told_apart(verdicts(runs, best, baselines)),
        REPAIR: _repaired(own, other),
        PAIR: _compared(own - other),
        PICKED: _compared(runs[ranked[-1]] - runs[ranked[0]]),
    }


def _any_told_apart(found: list[str]) -> bool:
    return not {HIGHER, LOWER}.isdisjoint(found)


def _repaired(own: pd.Series, other: pd.Series) -> bool:
    values = pd.concat({"own": own, "other": other}, names=["variant", "seed"]).to_frame("diagnostic")
    return bool(differences(values, "other", ["own"], ["diagnostic"])["change"].iloc[0])


def _compared(differences_of: pd.Series) -> bool:
    return told_apart(differences_of.mean(), sign_flip_test(differences_of), NOISE)


def predicts(seeds: int, methods: int, kind: str, generator: np.random.Generator) -> bool:
    """Say whether a diagnostic that has nothing to do with the truth is said to go with it."""
    variant = np.repeat(np.arange(methods), seeds)
    of_variants, of_runs = (KINDS[kind](generator, (2, count)) for count in (methods, methods * seeds))
    diagnostic, truth = np.sqrt(ALIKE) * of_variants[:, variant] + np.sqrt(1 - ALIKE) * of_runs
    interval = clustered_spearman(diagnostic, truth, variant)
    return not interval.low <= 0 <= interval.high


def rates(kind: str, seeds: int, methods: int, boards: int) -> pd.DataFrame:
    """Return on which share of boards each claim is made: index claim, columns boards and rate."""
    generator = stream(0, f"null boards, {kind}, {methods}", seeds)
    found = pd.DataFrame([false_statements(board_of(kind, seeds, methods, generator)) for _ in range(boards)])
    diagnostics = pd.Series([predicts(seeds, methods, kind, generator) for _ in range(max(1, boards // FEWER))])
    table = pd.DataFrame({"boards": boards, "rate": found.mean()})
    table.loc[PREDICTOR] = len(diagnostics), diagnostics.mean()
    return table.loc[list(SAID)]


def null_boards(boards: int, methods: Sequence[int] = METHODS, seeds: Sequence[int] = SEEDS) -> pd.DataFrame:
    """Return a row a claim, kind of board, number of methods and of seeds: boards, rate, and whether it `holds`.

    A rate holds that is at most the level and `STANDARD_ERRORS` of a simulation of so many boards.
    """
    parts = []
    for kind in KINDS:
        for place, count in enumerate(methods):
            for n in seeds:
                found = rates(kind, n, count, boards if place == 0 else max(1, boards // FEWER))
                parts.append(found.assign(board=kind, methods=count, seeds=n).reset_index(names="claim"))
    table = pd.concat(parts, ignore_index=True).astype({"boards": int})
    return table.assign(holds=table["rate"] <= LEVEL + STANDARD_ERRORS * np.sqrt(LEVEL * (1 - LEVEL) / table["boards"]))


def power(difference: float, sd: float, seeds: int, boards: int) -> dict[str, float]:
    """Return how often one of 21 normal methods, lower than all others by so many points, is found to be lower."""
    generator = stream(1, f"power boards, {difference}, {sd}", seeds)
    found = []
    for _ in range(boards):
        runs = pd.DataFrame(generator.normal(90.0, sd, (seeds, METHODS[0]))).rename(columns="method-{}".format)
        runs["method-1"] -= difference
        lower = verdicts(runs, "method-0")[0] == LOWER
        found.append({REFERENCE: lower, BEST: marks(runs, NOISE)["mark"]["method-1"] == ""})
    return {claim: float(np.mean([each[claim] for each in found])) for claim in (REFERENCE, BEST)}


def seeds_for(differences_sought: Sequence[float], sds: Sequence[float], boards: int) -> pd.DataFrame:
    """Return, a row a difference and spread, the fewest of `TRIED` with power 0.8 for each claim; NaN beyond them."""
    rows = []
    for difference in differences_sought:
        for sd in sds:
            row = {"difference (points)": difference, "sd of the runs (points)": sd}
            for seeds in TRIED:
                for claim, share in power(difference, sd, seeds, boards).items():
                    if share >= POWER:
                        row.setdefault(claim, seeds)
                if {REFERENCE, BEST} <= row.keys():
                    break
            rows.append(row)
    return pd.DataFrame(rows, columns=["difference (points)", "sd of the runs (points)", REFERENCE, BEST])


def document(found: pd.DataFrame, needed: pd.DataFrame) -> str:
    """Return the page without its footer."""
    return "\n\n".join(["# Boards of equal methods", _INTRODUCTION, *_claims(found), _NEEDED, markdown(needed)])


_INTRODUCTION = f"""Every method of these boards has the same mean, so every statement that names a difference is false.
Each is stated at a level of {LEVEL}; **bold** rates lie above it by more than {STANDARD_ERRORS} standard errors of the
simulation. Spreads go from {SPREADS[0]} to {SPREADS[1]} points; the noise floor is {NOISE} points."""

_NEEDED = f"""## Differences that are there

One of {METHODS[0]} methods with normal results is lower than all others. The fewest seeds, of
{", ".join(str(seeds) for seeds in TRIED)}, with which it is found to be lower on {POWER:.0%} of boards; empty
where none of them is enough."""


def _claims(found: pd.DataFrame) -> Iterator[str]:
    for claim, own in found.groupby("claim", sort=False):
        rate = own["rate"].map("{:.3f}".format)
        wide = own.assign(rate=rate.where(own["holds"], "**" + rate + "**"), seeds="n = " + own["seeds"].astype(str))
        wide = wide.set_index(["board", "methods", "seeds"])["rate"].unstack(sort=False).reset_index()
        counted = SAID[str(claim)]
        yield f"## {_capital(str(claim))}\n\n{_capital(counted)}.\n\n{markdown(wide)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


@click.command()
@click.option("--boards", default=BOARDS, show_default=True, type=click.IntRange(min=1))
@page_options
def main(boards: int, quick: bool, output: Path | None) -> None:
    """Simulate the boards and write the rates."""
    started = time.perf_counter()
    if quick:
        found, needed = null_boards(2, (5,), (3, 6)), seeds_for((1.0,), (0.2,), 2)
    else:
        found, needed = null_boards(boards), seeds_for(DIFFERENCES, SDS, boards // 2)
    remarks = (
        f"boards for each rate: {boards}; of {METHODS[1]} methods, and for the diagnostics, {boards // FEWER}, of both "
        f"{boards // FEWER**2}; {boards // 2} for each number of seeds of the last table",
        f"it took {time.perf_counter() - started:.0f} s on one core",
    )
    packages = ("numpy", "scipy", "pandas")
    write_page(NAME, document(found, needed), found, quick=quick, output=output, packages=packages, remarks=remarks)


if __name__ == "__main__":
    main()
