"""What the diagnostics of each search say at its end."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from harness.results.folder import Results
from harness.space.cell import POOL, SKIP

LAST_SHARE = 10
"""Flips are counted over the last epochs of a run: one in this many, rounded up."""


class Diagnostic(NamedTuple):
    """How a diagnostic is written."""

    label: str
    unit: str
    """Empty for a pure number."""
    digits: int

    @property
    def heading(self) -> str:
        """The label with the unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


DIAGNOSTICS = {
    "skip_mass": Diagnostic("skip weight", "", 3),
    "entropy": Diagnostic("entropy", "nats", 3),
    "margin": Diagnostic("margin", "", 3),
    "flips": Diagnostic("late flips", "edges", 1),
    f"count_{SKIP}": Diagnostic("skips", "edges", 1),
    f"count_{POOL}": Diagnostic("pools", "edges", 1),
    "depth": Diagnostic("depth", "edges", 1),
    "parameters": Diagnostic("parameters", "M", 3),
    "hessian_largest": Diagnostic("largest eigenvalue", "nats", 4),
    "discretisation_gap": Diagnostic("discretisation gap", "points", 1),
    "layer_alignment": Diagnostic("layer alignment", "", 3),
    "train_valid_gap": Diagnostic("train/valid gap", "points", 1),
}
"""The diagnostics of `end_values`."""

OF_CELL = (f"count_{SKIP}", f"count_{POOL}", "depth", "parameters")
"""Those of the cell that a run returns. By its own rule it need not be the argmax cell of its op weights."""


def end_values(results: Results) -> pd.DataFrame:
    """Return what each finished search measured last: index variant and seed, columns `DIAGNOSTICS` and the truths.

    `flips` is the sum over the last tenth of the run's epochs, of the argmax cell. `OF_CELL` and the truths are of the
    cell that the run returns; `parameters` is in millions. NaN where nothing was measured.
    """
    keys = ["variant", "seed"]
    finished = results.finished[results.finished["kind"] == "search"].set_index(keys)
    epochs = results.epochs[results.epochs["kind"] == "search"].sort_values("epoch", kind="stable")
    grouped = epochs.groupby(keys, sort=False)
    # `last` is the last value of a column that is not NaN.
    table = grouped[[name for name in DIAGNOSTICS if name not in ("flips", *OF_CELL)]].last()
    late = grouped.cumcount(ascending=False) < np.ceil(grouped["epoch"].transform("size") / LAST_SHARE)
    table["flips"] = epochs[late].groupby(keys, sort=False)["flips"].sum(min_count=1)
    table = table.reindex(finished.index).join(finished[[*OF_CELL, *(column.key for column in results.columns)]])
    table["parameters"] /= 1e6
    return table[[*DIAGNOSTICS, *(column.key for column in results.columns)]]
