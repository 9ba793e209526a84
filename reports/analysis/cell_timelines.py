"""The argmax cell of each epoch."""

from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.space.cell import EDGES, OPERATIONS, Cell

STRIPS = 3
"""Runs of a variant that are shown."""

NO_CELL = -1


def chosen_runs(epochs: pd.DataFrame, truth: str) -> pd.DataFrame:
    """Return which runs are shown, a row each: variant, seed, truth of the last argmax cell (percent).

    All of a variant with up to three; of more the lowest, the median and the highest truth. Runs without a cell have
    none; an unknown truth counts as the lowest.
    """
    with_cell = epochs[(epochs["kind"] == "search") & epochs["cell"].notna()].sort_values("epoch", kind="stable")
    last = with_cell.drop_duplicates(["variant", "seed"], keep="last")[["variant", "seed", truth]]
    last = last.rename(columns={truth: "truth"}).sort_values("seed")
    chosen = []
    for _, runs in last.groupby("variant", sort=False):
        if len(runs) > STRIPS:
            runs = runs.sort_values("truth", kind="stable", na_position="first")
            runs = runs.iloc[[0, (len(runs) - 1) // 2, len(runs) - 1]]
        chosen.append(runs)
    return pd.concat(chosen, ignore_index=True) if chosen else last


def operation_codes(run: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the epochs [epochs] of a run and the operations of its argmax cell [epochs, edges], -1 without a cell."""
    run = run.sort_values("epoch")
    cells = {text: Cell.from_string(text).codes for text in run["cell"].dropna().unique()}
    codes = [cells.get(text, (NO_CELL,) * len(EDGES)) for text in run["cell"]]
    return run["epoch"].to_numpy(dtype=np.int64), np.array(codes, dtype=np.int64)


def constant_spans(epochs: NDArray[np.int64], holds: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the first and last epoch of every span of consecutive epochs in which `holds` is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(int)))
    return [(int(epochs[start]), int(epochs[end - 1])) for start, end in edges.reshape(-1, 2)]


def timelines(epochs: pd.DataFrame, truth: str) -> pd.DataFrame:
    """Return the argmax cells of the shown runs, a row per span of epochs in which an edge keeps its operation.

    Columns: variant, seed, truth, place (of the run among those shown of its variant, from 0), edge (from 0),
    operation, first, last (epochs).
    """
    runs = dict(iter(epochs.groupby(["variant", "seed"])))
    chosen = chosen_runs(epochs, truth)
    rows = []
    for _, shown in chosen.groupby("variant", sort=False):
        for place, (variant, seed, last) in enumerate(shown[["variant", "seed", "truth"]].itertuples(index=False)):
            measured, codes = operation_codes(runs[variant, seed])
            for edge, (code, operation) in product(range(len(EDGES)), enumerate(OPERATIONS)):
                for span in constant_spans(measured, codes[:, edge] == code):
                    rows.append((variant, seed, last, place, edge, operation, *span))
    columns = ["variant", "seed", "truth", "place", "edge", "operation", "first", "last"]
    return pd.DataFrame(rows, columns=columns)
