"""The argmax cell of each epoch as strips of colour: a row per edge, a colour per operation."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from harness.space.cell import EDGE_NAMES, EDGES, OPERATIONS, Cell
from harness.space.drawing import OPERATION_COLOURS, OPERATION_LABELS
from reports.figures import style
from reports.results import Results

STRIPS = 3
"""Runs of a variant that are shown."""

PANELS_A_ROW = 3
GAP = 1.0
"""Rows left free between two strips."""

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


def timelines(results: Results, order: list[str]) -> Figure:
    """Return a panel per search variant with a strip per chosen run."""
    chosen = chosen_runs(results.epochs, results.main.key)
    variants = [variant for variant in order if variant in set(chosen["variant"])]
    most = int(chosen.groupby("variant").size().max())
    panel_height = 0.55 + 0.42 * most
    figure, axes = style.panels(len(variants), PANELS_A_ROW, panel_height, gap=0.85, share_y=False)
    runs = dict(iter(results.epochs.groupby(["variant", "seed"])))
    seeds = results.epochs[results.epochs["kind"] == "search"].groupby("variant")["seed"].nunique()
    for panel, variant in zip(axes, variants, strict=True):
        own = chosen[chosen["variant"] == variant]
        labels = []
        for place, (seed, truth) in enumerate(zip(own["seed"], own["truth"], strict=True)):
            _draw_strip(panel, *operation_codes(runs[variant, seed]), top=place * (len(EDGES) + GAP))
            labels.append(f"seed {seed}\n" + ("–" if pd.isna(truth) else f"{truth:.1f} %"))
        middles = [place * (len(EDGES) + GAP) + len(EDGES) / 2 for place in range(len(labels))]
        panel.set_yticks(middles, labels, fontsize=7)
        panel.set_ylim(most * (len(EDGES) + GAP) - GAP, 0)
        panel.tick_params(axis="y", length=0)
        panel.grid(False)
        panel.spines["left"].set_visible(False)
        style.panel_title(panel, variant, f"{len(own)} of {seeds[variant]} runs", 28)
    last = int(results.epochs.loc[results.epochs["kind"] == "search", "epoch"].max())
    axes[0].set_xlim(0.5, last + 0.5)
    axes[0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
    edges = ", ".join(name.replace(">", "→") for name in EDGE_NAMES)
    style.label_panels(figure, f"epoch of the search; rows of a strip from the top: edges {edges}", "")
    handles = [Patch(color=OPERATION_COLOURS[name], label=OPERATION_LABELS[name]) for name in OPERATIONS]
    anchor = (0.62 / style.WIDTH, 1 - 0.05 / figure.get_figheight())
    figure.legend(handles=handles, loc="upper left", ncols=len(handles), borderaxespad=0, bbox_to_anchor=anchor)
    return figure


def _draw_strip(panel: Axes, epochs: NDArray[np.int64], codes: NDArray[np.int64], top: float) -> None:
    """Draw all rectangles of one operation as one shape: a page of many strips stays small, and holds no bitmap."""
    for code, operation in enumerate(OPERATIONS):
        spans = [(edge, *span) for edge in range(len(EDGES)) for span in constant_spans(epochs, codes[:, edge] == code)]
        if spans:
            corners = [_rectangle(start - 0.5, end + 0.5, top + edge, top + edge + 0.94) for edge, start, end in spans]
            path = Path.make_compound_path(*(Path(corner, closed=True) for corner in corners))
            panel.add_patch(PathPatch(path, fc=OPERATION_COLOURS[operation], lw=0))


def _rectangle(left: float, right: float, top: float, bottom: float) -> list[tuple[float, float]]:
    return [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]


def constant_spans(epochs: NDArray[np.int64], holds: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the first and last epoch of every span of consecutive epochs in which `holds` is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(int)))
    return [(int(epochs[start]), int(epochs[end - 1])) for start, end in edges.reshape(-1, 2)]
