"""The table of what the runs cost."""

import pandas as pd

from reports.analysis import summary
from reports.results import Results
from reports.tables.table import DASH, Entry, Table, mean_entry, number

MEBIBYTE = 2**20


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
        "training time charged (s)",
    ]  # fmt: skip
    caption = (
        "Cost of one run. Wall time: of the search without its diagnostics. "
        "Passes: forward and backward passes of one batch through the supernet. Training time "
        "charged: what a baseline would have spent on training the cells it evaluated, by the truth source."
    )
    return Table("costs", caption, header, [("", rows)], data.rename_axis("variant").reset_index())
