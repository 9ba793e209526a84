"""What `dvc plots` draws: two small CSV files in results/, named below `plots` in dvc.yaml."""

from pathlib import Path

import pandas as pd

from harness.records.record import FINISHED

EPOCHS_FILE, RUNS_FILE = "plot_epochs.csv", "plot_runs.csv"

MEASURES = ("skip_mass", "entropy")
"""Diagnostics of which a mean over seeds says something; columns of `EPOCH_COLUMNS`."""


def write_plots(runs: pd.DataFrame, epochs: pd.DataFrame, truth_column: str, folder: Path) -> None:
    """Write both files; their column `true_accuracy` (percent) is the truth column that the report ranks by."""
    for name, table in (
        (EPOCHS_FILE, over_epochs(epochs, truth_column)),
        (RUNS_FILE, accuracies(runs, truth_column)),
    ):
        table.to_csv(folder / name, index=False, float_format="%.6g", lineterminator="\n")


def over_epochs(epochs: pd.DataFrame, truth_column: str) -> pd.DataFrame:
    """Return, for each search variant and epoch, the mean over the runs that came so far.

    Columns: variant, epoch, runs (how many), true_accuracy (of the argmax cell, percent), skip_mass, entropy (nats).
    """
    searches = epochs[epochs["kind"] == "search"].rename(columns={truth_column: "true_accuracy"})
    groups = searches.groupby(["variant", "epoch"], sort=False)
    means = groups[["true_accuracy", *MEASURES]].mean()
    means.insert(0, "runs", groups.size())
    return means.reset_index()


def accuracies(runs: pd.DataFrame, truth_column: str) -> pd.DataFrame:
    """Return the true accuracy (percent) of every run with a result: variant, seed, true_accuracy."""
    finished = runs[runs["status"].isin(FINISHED)].rename(columns={truth_column: "true_accuracy"})
    return finished[["variant", "seed", "true_accuracy"]]
