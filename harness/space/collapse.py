"""When a search collapses: the first epoch from which on its argmax cell stays degenerate.

Collapse onto parameter-free operations is the known failure of differentiable search: Zela et al., Understanding and
Robustifying Differentiable Architecture Search, ICLR 2020. A search that recovers has not collapsed, so only a
condition that holds until the last epoch counts.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.space.cell import NONE, POOL, SKIP

SKIPS = 4
"""Edges of the six that must carry one parameter-free operation; cells with up to three lose little accuracy."""

TRUTH = 80.0
"""True accuracy (percent) below which a cell counts as collapsed, on the column that ranks."""

OPERATION_OF = {"skip": SKIP, "pool": POOL, "none": NONE}

CRITERIA = (*OPERATION_OF, "truth")

COLUMNS = ("variant", "seed", "kind", "criterion", "collapsed", "epoch", "epochs")


def time_to_collapse(holds: pd.Series | NDArray[np.bool_]) -> int | None:
    """Return the first position from which on `holds` [epochs] is true until its end, None if its end is false."""
    broken = np.flatnonzero(~np.asarray(holds, dtype=bool))
    start = int(broken[-1]) + 1 if len(broken) else 0
    return start if start < len(holds) else None


def collapse_table(epochs: pd.DataFrame, main_truth: str) -> pd.DataFrame:
    """Return a row per search and criterion, with the columns `COLUMNS`.

    `epochs` is a row per run and epoch: variant, seed, kind, epoch, the counts of the argmax cell (edges) and the truth
    column `main_truth` (percent). `epoch` of the result is the first collapsed one, NaN where the run did not collapse;
    `epochs` is the length of the run. Baselines and runs without any cell have no rows. An epoch without a cell, or
    whose cell has no known truth, is not collapsed.
    """
    searches = epochs[epochs["kind"] == "search"].sort_values("epoch", kind="stable")
    rows = []
    for (variant, seed), run in searches.groupby(["variant", "seed"], sort=False):
        if run[f"count_{SKIP}"].isna().all():
            continue
        for criterion, holds in _conditions(run, main_truth).items():
            start = time_to_collapse(holds)
            first = np.nan if start is None else float(run["epoch"].iloc[start])
            rows.append((variant, seed, "search", criterion, start is not None, first, len(run)))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"collapsed": bool, "epoch": "float64", "epochs": "int64"})


def _conditions(run: pd.DataFrame, main_truth: str) -> dict[str, pd.Series]:
    """Return whether each criterion holds, [epochs] each; a comparison with NaN is false."""
    counts = {name: run[f"count_{operation}"] >= SKIPS for name, operation in OPERATION_OF.items()}
    return {**counts, "truth": run[main_truth] < TRUTH}
