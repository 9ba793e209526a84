"""Results with accuracies set by hand, for tests of tables."""

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from harness.results.folder import Results, load_results
from harness.settings.protocol import Board
from harness.space.cell import ALL_SKIP
from tests.reports.simulate import Simulation

TEST = "truth/cifar10/test"
DATA_SETS = ("cifar10", "cifar100", "ImageNet16-120")
SIX = tuple(f"truth/{name}/{split}" for name in DATA_SETS for split in ("valid", "test"))


def hand_made(
    searches: dict[str, list[float]], baselines: dict[str, list[float]] | None = None
) -> tuple[Results, Board]:
    """A board of the given accuracies on CIFAR-10 test, its only truth column, seeds 0, 1, ...; NaN is a failed run."""
    baselines = baselines or {}
    template = _template()
    seeds = tuple(range(max(len(values) for values in (searches | baselines).values())))
    runs, epochs = [], []
    for kind, truths in (("search", searches), ("baseline", baselines)):
        for name, values in truths.items():
            for seed, value in zip(seeds, [*values, *[np.nan] * (len(seeds) - len(values))], strict=True):
                run, own_epochs = (table[table["kind"] == kind] for table in (template.runs, template.epochs))
                run = run.assign(variant=name, seed=seed, status="failed" if np.isnan(value) else "done")
                runs.append(run.assign(**{TEST: value}))
                epochs.append(
                    own_epochs.assign(
                        variant=name, seed=seed, cost_seconds=100.0 + seed if baselines.get(name) else np.nan
                    )
                )
    tables = {"runs": pd.concat(runs, ignore_index=True), "epochs": pd.concat(epochs, ignore_index=True)}
    board = Simulation(
        searches=dict.fromkeys(searches, (ALL_SKIP, 1.0)), baselines=tuple(baselines), seeds=seeds
    ).board()
    return replace(template, **tables), board


@cache
def _template() -> Results:
    with tempfile.TemporaryDirectory() as folder:
        names = {"searches": {"search": (ALL_SKIP, 1.0)}, "baselines": ("baseline",)}
        Simulation(**names, seeds=(0,), epochs=1, evaluations=1).write(Path(folder))
        return load_results(Path(folder))
