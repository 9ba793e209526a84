"""Do the baselines score what the literature's score? Many runs on NAS-Bench-201's own accuracies.

Searched by the 12-epoch CIFAR-10 validation accuracy, judged by the 200-epoch test accuracies of three data sets. The
table of means has no trials; what it costs to see one of them is measured with made-up ones of the benchmark's spread.
Nor has it 200-epoch validation accuracies: what it is worth to ask for longer trainings is measured with a stand-in.

    python -m benchmarks.baseline_bands [means.parquet]

writes benchmarks/results/baseline_bands.md and .csv.
"""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import click
import numpy as np
import pandas as pd

from benchmarks.page import page_options, write_page
from harness.base.errors import UserError
from harness.base.streams import stream
from harness.search import registry
from harness.search.baseline import Signal, run_baseline
from harness.space.cell import Cell
from harness.statistics.estimates import FloatArray
from harness.truth.training_time import model_evaluation_seconds, model_seconds

NAME = "baseline_bands"
DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"
TABLE = "nas-bench-201-means.parquet"

SIGNAL_COLUMN = "cifar10_valid_12"
JUDGES = {
    "CIFAR-10": "cifar10_test_200",
    "CIFAR-100": "cifar100_test_200",
    "ImageNet16-120": "imagenet16_120_test_200",
}
BUDGETS = (30, 60, 100, 200)
BENCHMARK_BUDGET = 100
"""What 12,000 s buy."""
SECONDS = (12_000, 48_000)
"""Budgets of searches that train for several lengths: the benchmark's, and four times as much."""
RUNS = 300

TRIAL_SD = 1.23
"""Of one training about its cell's mean, points: three real cells have two trainings, 1.30, 1.40 and 2.33 apart."""

Figure = tuple[float, float | None]
"""Mean and standard deviation, percent; the latter is not always known."""


@dataclass(frozen=True)
class Entry:
    """One baseline under one setting, and what an independent simulation on the same table gave."""

    method: str
    settings: dict[str, float | str] = field(default_factory=dict)
    reference_runs: int = 0
    references: dict[int, tuple[Figure, ...]] = field(default_factory=dict)
    """By evaluations, in the order of `JUDGES`; shorter where fewer are known, empty where there was no simulation."""
    fewer: int = 1
    """Its runs are fewer by this factor: its proposals take longer than those of the others."""

    @property
    def label(self) -> str:
        """Name with the settings that are not the defaults."""
        return " ".join([self.method, *(f"{name}={value}" for name, value in self.settings.items())])

    def judged(self) -> Iterator[tuple[int, str, Figure | None]]:
        """Yield evaluations, data set and reference of each figure that is compared; all of them without references."""
        for budget in BUDGETS:
            known = self.references.get(budget, ())
            for place, data_set in enumerate(JUDGES):
                if place < len(known):
                    yield budget, data_set, known[place]
                elif not self.references:
                    yield budget, data_set, None


ENTRIES = (
    Entry(
        "random-search",
        {},
        400,
        {
            30: ((93.24, 0.71), (70.03, 1.43), (43.43, 1.96)),
            60: ((93.56, 0.47), (70.72, None), (44.27, None)),
            100: ((93.73, 0.32), (71.10, 0.98), (44.70, 1.18)),
            200: ((93.86, 0.27), (71.53, None), (45.12, None)),
        },
    ),
    Entry(
        "regularized-evolution",
        {},
        400,
        {
            30: ((93.27, 0.75), (70.21, None), (43.62, None)),
            60: ((93.75, 0.52), (71.32, None), (44.84, None)),
            100: ((93.96, 0.39), (71.91, 1.19), (45.48, 1.26)),
            200: ((94.14, 0.26), (72.53, None), (45.92, None)),
        },
    ),
    Entry(
        "reinforce",
        {},
        200,
        {
            30: ((93.27, 0.66), (70.17, None), (43.63, None)),
            60: ((93.54, 0.49), (70.64, None), (44.17, None)),
            100: ((93.80, 0.33), (71.29, 1.05), (44.89, 1.23)),
            200: ((93.96, 0.26), (71.88, None), (45.49, None)),
        },
    ),
    Entry("reinforce", {"lr": 0.5}, 200, {100: ((93.11, 1.00),)}),
    Entry("local-search"),
    Entry("local-search", {"neighbours": "until-better"}),
    Entry("tpe", fewer=3),
)

HALVING = (
    Entry("random-search"),
    Entry("regularized-evolution"),
    Entry("successive-halving"),
    Entry("successive-halving", {"cells": 48, "eta": 16}),
)
"""Compared at equal charge; the last spends about as much on each of the two lengths."""


def answers(entry: Entry, signal: Signal, runs: int, budgets: Sequence[int] = BUDGETS) -> dict[int, list[int]]:
    """Return the official indices of the answers, [runs], by evaluations: a longer run passes through the shorter."""
    method = registry.baseline(entry.method)
    settings = method.Settings(evaluations=max(budgets), **entry.settings)
    found: dict[int, list[int]] = {budget: [] for budget in budgets}
    for seed in range(max(2, runs // entry.fewer)):
        cells = run_baseline(method, settings, seed, signal)["cell"]
        for budget in budgets:
            found[budget].append(Cell.from_string(cells.iloc[budget - 1]).index)
    return found


def mean_signal(table: pd.DataFrame) -> Signal:
    """Return the benchmark's means."""
    seconds = model_seconds("cifar10-valid", 12) + model_evaluation_seconds("cifar10-valid", "valid")
    return Signal(table[SIGNAL_COLUMN].to_numpy()[None], seconds[None], notes=())


def trial_signal(table: pd.DataFrame) -> Signal:
    """Return two made-up trials of each cell with the benchmark's mean and, in expectation, its spread."""
    means = mean_signal(table)
    half = stream(0, "baseline bands/trials").normal(0, TRIAL_SD / 2**0.5, means.scores.shape)
    scores = np.concatenate([means.scores + half, means.scores - half])
    return Signal(scores, means.seconds.repeat(2, axis=0), notes=())


def cost_of_a_trial(table: pd.DataFrame, runs: int, entries: Sequence[Entry] = ENTRIES) -> pd.DataFrame:
    """Return how much lower the answers are when an evaluation sees one trial: a row a baseline, on CIFAR-10."""
    truth = table[JUDGES["CIFAR-10"]].to_numpy()
    rows = []
    for entry in entries:
        by_mean, by_trial = (
            truth[answers(entry, signal, runs, [BENCHMARK_BUDGET])[BENCHMARK_BUDGET]]
            for signal in (mean_signal(table), trial_signal(table))
        )
        rows.append(
            {
                "baseline": entry.label,
                "evaluations": BENCHMARK_BUDGET,
                "n": len(by_mean),
                "mean, seeing means": by_mean.mean(),
                "mean, seeing trials": by_trial.mean(),
                "difference": (by_trial - by_mean).mean(),
                "standard error": (by_trial - by_mean).std(ddof=1) / len(by_mean) ** 0.5,
            }
        )
    return pd.DataFrame(rows)


def compare(table: pd.DataFrame, runs: int, entries: Sequence[Entry] = ENTRIES) -> pd.DataFrame:
    """Return a row a baseline, budget and data set: n, mean, sd (ddof 1), the reference, and their difference.

    `standard_error` is that of the difference; where the reference has no sd, ours stands in for it.
    """
    signal = mean_signal(table)
    rows = []
    for entry in entries:
        found = answers(entry, signal, runs)
        for budget, data_set, reference in entry.judged():
            values = table[JUDGES[data_set]].to_numpy()[found[budget]]
            own = {"n": len(values), "mean": values.mean(), "sd": values.std(ddof=1)}
            beside = _beside(entry, reference, values)
            rows.append({"baseline": entry.label, "evaluations": budget, "data set": data_set, **own, **beside})
    return pd.DataFrame(rows)


def _beside(entry: Entry, reference: Figure | None, values: FloatArray) -> dict[str, float]:
    if reference is None:
        return dict.fromkeys(("reference mean", "reference sd", "difference", "standard error"), np.nan)
    (mean, sd), own_sd = reference, values.std(ddof=1)
    return {
        "reference mean": mean,
        "reference sd": np.nan if sd is None else sd,
        "difference": values.mean() - mean,
        "standard error": np.hypot(
            own_sd / len(values) ** 0.5, (own_sd if sd is None else sd) / entry.reference_runs**0.5
        ),
    }


def two_length_signal(table: pd.DataFrame) -> Signal:
    """Return the benchmark's 12-epoch means, and as a stand-in for what 200 epochs show the test accuracies."""
    seconds = model_seconds("cifar10-valid", 200) + model_evaluation_seconds("cifar10-valid", "valid")
    long = Signal(table[JUDGES["CIFAR-10"]].to_numpy()[None], seconds[None], (), 200)
    return replace(mean_signal(table), epochs=12, longer=(long,))


def worth_of_longer_trainings(table: pd.DataFrame, runs: int) -> pd.DataFrame:
    """Return a row an entry of `HALVING` and budget: trainings of each length, and the answers' accuracies."""
    signal = two_length_signal(table)
    (longer,) = signal.longer
    assert longer.seconds.min() > signal.seconds.max()  # so that the price of a training tells its length
    rows = []
    for entry in HALVING:
        method = registry.baseline(entry.method)
        for budget in SECONDS:
            settings = method.Settings(seconds=budget, **entry.settings)
            found = [run_baseline(method, settings, seed, signal) for seed in range(runs)]
            cells = [Cell.from_string(trained["cell"].iloc[-1]).index for trained in found]
            paid = pd.concat([trained["cost_seconds"].diff().fillna(trained["cost_seconds"]) for trained in found])
            long = int((paid > signal.seconds.max()).sum())
            row: dict[str, object] = {"baseline": entry.label, "seconds": budget, "n": runs}
            row |= {"12 epochs": (len(paid) - long) / runs, "200 epochs": long / runs}
            for data_set, column in JUDGES.items():
                values = table[column].to_numpy()[cells]
                row[data_set] = f"{values.mean():.2f} ± {values.std(ddof=1):.2f}"
            rows.append(row)
    return pd.DataFrame(rows)


def read_table(path: Path) -> pd.DataFrame:
    """Read the means by official index.

    Raises:
        UserError: the file is missing or lacks a column.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: name the table of means, or its folder by DARTSBOARD_TEST_DATA")
    return pd.read_parquet(path, columns=["index", SIGNAL_COLUMN, *JUDGES.values()]).sort_values("index")


def document(rows: pd.DataFrame, trials: pd.DataFrame, lengths: pd.DataFrame) -> str:
    """Return the page without its footer."""
    shown = rows.astype(object).where(rows.notna(), None)
    worst = (rows["difference"].abs() / rows["standard error"]).max()
    return f"""# Baselines on NAS-Bench-201's own accuracies

The answer is the cell with the best 12-epoch CIFAR-10 validation accuracy that a run saw; its score is the 200-epoch
test accuracy, percent, mean over the benchmark's training seeds. `sd` is over runs (ddof 1). The references are an
independent simulation on the same table, of three of the baselines; the benchmark's paper (Dong and Yang 2020) reports
93.70 +- 0.36 for random search, 93.92 +- 0.30 for regularized evolution and 93.85 +- 0.37 for REINFORCE on CIFAR-10,
about 100 evaluations each.
The largest difference is {worst:.1f} standard errors.

{shown.to_markdown(index=False, floatfmt=".2f", missingval="")}

## What it costs to see one training

The same runs where an evaluation sees one of two made-up trainings of its cell, with a standard deviation of
{TRIAL_SD:g} points, against those that see the mean: CIFAR-10, paired by seed. The spread is that of the three cells of
the benchmark whose single trainings are at hand, so it is rough.

{trials.to_markdown(index=False, floatfmt=".2f")}

## What it is worth to ask for longer trainings

Budgets in charged seconds, trainings of each length in a run, and the answer's test accuracies, mean ± sd. The table
has no 200-epoch validation accuracies. What a training of 200 epochs shows here is the CIFAR-10 test accuracy, by which
the first of the three judges: it flatters `successive-halving`. The other two are seen by no search.

{lengths.to_markdown(index=False, floatfmt=".1f")}
"""


@click.command()
@click.argument("table", type=click.Path(path_type=Path), required=False)
@click.option("--runs", default=RUNS, show_default=True, type=click.IntRange(min=2))
@page_options
def main(table: Path | None, runs: int, quick: bool, output: Path | None) -> None:
    """Run the baselines on TABLE and write the comparison."""
    path = table or Path(os.environ.get("DARTSBOARD_TEST_DATA", DEFAULT_FOLDER)) / TABLE
    started = time.perf_counter()
    means, runs = read_table(path), 2 if quick else runs
    rows, trials = compare(means, runs, ENTRIES), cost_of_a_trial(means, runs, ENTRIES)
    lengths = worth_of_longer_trainings(means, runs)
    remarks = (
        f"it took {time.perf_counter() - started:.0f} s on one core, for the seeds 0 to {rows['n'].max() - 1}",
        f"table: {path.name}",
    )
    packages = ("numpy", "pandas", "optuna")
    write_page(
        NAME, document(rows, trials, lengths), rows, quick=quick, output=output, packages=packages, remarks=remarks
    )


if __name__ == "__main__":
    main()
