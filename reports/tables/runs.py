"""The lists of runs."""

import pandas as pd

from harness.tracking.tracked import Tracked
from reports.results import FINISHED, Results
from reports.tables.table import DASH, Entry, Table, number


def lost_table(lost: pd.DataFrame) -> Table:
    """Return a row per run without a result; `lost` as of `summary.without_result`."""
    rows = [
        [Entry(run["variant"]), Entry(_text(run["reason"])), Entry(run["status"], alarm=True), Entry(str(run["seed"]))]
        for _, run in lost.iterrows()
    ]
    header = ["variant", "reason", "status", "seed"]
    return Table("lost-runs", "Runs without a result.", header, [("", rows)], lost, text_columns=2)


def _text(value: object) -> str:
    return DASH if value is None or pd.isna(value) else str(value)  # type: ignore[call-overload]


def runs_table(name: str, runs: pd.DataFrame, results: Results, tracked: Tracked) -> Table:
    """Return a row per run, those without a result too."""
    rows = []
    for _, run in runs.iterrows():
        truth = [Entry(number(run[column.key])) for column in results.columns]
        reason = "" if pd.isna(run["reason"]) else str(run["reason"])
        link = tracked.link(str(run["variant"]), int(run["seed"]))
        status = Entry(run["status"], reason, alarm=run["status"] not in FINISHED, link=link)
        cell = Entry(DASH if pd.isna(run["cell_index"]) else f"{run['cell_index']:.0f}")
        epochs, seconds = Entry(number(run["epochs"], 0)), Entry(number(run["seconds"], 1))
        rows.append([Entry(run["variant"]), status, Entry(str(run["seed"])), epochs, seconds, cell, *truth])
    header = ["variant", "status", "seed", "epochs", "seconds", "cell index"]
    header += [f"{column.label} (%)" for column in results.columns]
    caption = "A row a run. Epochs of a baseline are the cells it evaluated."
    return Table(name, caption, header, [("", rows)], runs.convert_dtypes(), text_columns=2)
