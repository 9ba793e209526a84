"""The tables of runs: each in numbers, those without a result, and what they cost."""

import pandas as pd

from harness.results.folder import FINISHED, Results
from harness.tracking.tracked import Tracked
from reports.analysis import summary
from reports.tables.table import DASH, Entry, Table, mean_entry, number

MEBIBYTE = 2**20


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


def costs_table(results: Results, order: list[str]) -> Table:
    """Return what the finished runs of each variant cost."""
    data = summary.costs(results, order)
    rows = []
    for variant, row in data.iterrows():
        row = pd.concat([row, pd.Series({f"{name}/n": row["n"] for name in ("seconds", "charged_seconds")})])
        memory = Entry(number(row["peak_memory_bytes/mean"] / MEBIBYTE, 0))
        passes = Entry(number(row["forward_backward_passes/mean"], 0))
        charged = Entry(DASH) if pd.isna(row["charged_seconds/mean"]) else mean_entry(row, "charged_seconds", 0)
        share = Entry(number(row["diagnostics_share/mean"], 1))
        rows.append([Entry(str(variant)), mean_entry(row, "seconds", 1), share, passes, memory, charged])
    header = [
        "variant", "wall time (s)", "diagnostics (% of all time, mean)", "passes (mean)", "peak memory (MiB, mean)",
        "time charged (s)",
    ]  # fmt: skip
    caption = (
        "Cost of one run. Wall time: of the search without its diagnostics. "
        "Passes: forward and backward passes of one batch through the supernet. Time "
        "charged: what a baseline would have spent on training and validating the cells it evaluated, by the truth "
        "source or a model."
    )
    return Table("costs", caption, header, [("", rows)], data.rename_axis("variant").reset_index())
