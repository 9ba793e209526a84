"""Figures over the epochs of a search: truth of the current cell, op weights, diagnostics."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from harness.results.folder import TruthColumn
from harness.space.cell import EDGE_NAMES, OPERATIONS
from harness.space.drawing import OPERATION_COLOURS, OPERATION_LABELS
from reports.drawing import style
from reports.drawing.bands import draw_bands
from reports.figures.accuracy import stretch_axis

PANELS_A_ROW = 4
TITLE_LENGTH = 24

END: dict[str, Any] = {"ls": "", "marker": "o", "ms": 4, "mfc": "white", "mec": style.INK, "mew": 0.9}
"""Marker of the cell that a run returns."""

ORACLE = "#cc79a7"

DIAGNOSTICS = {
    "skip_mass": ("skip weight", "#d55e00"),
    "entropy": ("entropy of the op weights / its largest", "#0072b2"),
    "margin": ("margin between the two largest op weights", "#009e73"),
}
"""Column of the epochs to legend and colour; all are shares from 0 to 1."""


def truth_over_epochs(
    by_seed: pd.DataFrame, quarters: pd.DataFrame, order: list[str], kind: str, column: TruthColumn
) -> Figure:
    """Return, a panel per variant, the truth of the current cell over the epochs: every seed, median, middle half.

    Beside searches stands the best cell so far, the answer of an oracle that stops each run at its best.

    Args:
        by_seed: `trajectories.truth_by_seed`.
        quarters: `trajectories.truth_over_seeds` of it.
        order: the variants in the order of the panels.
        kind: `search` or `baseline`.
        column: the truth column.
    """
    variants = _present(order, by_seed)
    figure, axes = style.panels(len(variants), PANELS_A_ROW, panel_height=1.9)
    stretch_axis(axes[0].yaxis, column.best, by_seed["truth"], spacing=0.11)
    colour = style.SEARCH if kind == "search" else style.BASELINE
    for panel, variant in zip(axes, variants, strict=True):
        runs, own = by_seed[by_seed["variant"] == variant], quarters[quarters["variant"] == variant]
        _seed_lines(panel, runs.pivot(index="epoch", columns="seed", values="truth"), colour)
        draw_bands(panel, own, "measure", {"truth": colour}, alpha=0.22, edge=0, lw=2.2)
        if kind == "search":
            panel.plot(own["epoch"], own["best_so_far"], color=ORACLE, lw=1.2, ls=(0, (3, 1.5)))
            ends = runs[runs["last"]].sort_values("seed")
            panel.plot(ends["epoch"], ends["returned"], **END, zorder=5, clip_on=False)
        panel.axhline(column.median, color=style.FAINT, lw=0.9, ls=(0, (1, 2)))
        style.panel_title(panel, variant, f"n = {runs['seed'].nunique()}", TITLE_LENGTH)
    _epoch_axis(axes, by_seed["epoch"])
    unit = "epoch of the search" if kind == "search" else "cells evaluated"
    style.label_panels(figure, unit, f"{column.label} accuracy (%)")
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colour, lw=2.2, label="median over seeds"),
        Patch(color=colour, alpha=0.22, lw=0, label="middle half"),
        Line2D([], [], color=colour, lw=0.8, alpha=0.6, label="one seed"),
        Line2D([], [], color=style.FAINT, lw=0.9, ls=(0, (1, 2)), label="median of all cells"),
    ]
    if kind == "search":
        oracle = Line2D(
            [], [], color=ORACLE, lw=1.2, ls=(0, (3, 1.5)), label="best so far, median (oracle early stopping)"
        )
        handles += [oracle, Line2D([], [], **END, label="cell the run returns")]
    style.panel_legend(figure, handles)
    return figure


def _seed_lines(panel: Axes, by_seed: pd.DataFrame, colour: str) -> None:
    """Draw a thin line per seed, as one artist, without the points inside flat stretches."""
    epochs = by_seed.index.to_numpy(dtype=float)
    values = by_seed.to_numpy(dtype=float)
    inside = np.zeros(values.shape, dtype=bool)
    inside[1:-1] = (values[1:-1] == values[:-2]) & (values[1:-1] == values[2:])
    lines = [np.column_stack([epochs, seed])[~flat] for seed, flat in zip(values.T, inside.T, strict=True)]
    panel.add_collection(LineCollection(lines, colors=colour, lw=0.8, alpha=0.45))
    if len(epochs) == 1:
        panel.plot(epochs.repeat(values.shape[1]), values[0], ls="", marker="o", ms=3, color=colour, alpha=0.45)


def diagnostics_over_epochs(bands: pd.DataFrame, order: list[str], operations: int) -> Figure:
    """Return, a panel per search variant, skip weight, entropy and margin over the epochs.

    Args:
        bands: `trajectories.diagnostics`.
        order: the variants in the order of the panels.
        operations: how many an edge chooses from.
    """
    variants = _present(order, bands)
    colours = {name: colour for name, (_, colour) in DIAGNOSTICS.items()}
    figure, axes = style.panels(len(variants), PANELS_A_ROW, panel_height=1.5)
    for panel, variant in zip(axes, variants, strict=True):
        own = bands[bands["variant"] == variant]
        draw_bands(panel, own, "measure", colours)
        panel.axhline(1 / operations, color=style.FAINT, lw=0.9, ls=(0, (1, 2)))
        style.panel_title(panel, variant, f"n = {own['seeds'].iloc[0]}", TITLE_LENGTH)
    axes[0].set(ylim=(-0.03, 1.03), yticks=[0, 0.5, 1])
    _epoch_axis(axes, bands["epoch"])
    style.label_panels(figure, "epoch of the search", "share (0 to 1)")
    handles = [Line2D([], [], color=colour, lw=1.8, label=label) for label, colour in DIAGNOSTICS.values()]
    handles.append(Line2D([], [], color=style.FAINT, lw=0.9, ls=(0, (1, 2)), label="skip weight if uniform"))
    style.panel_legend(figure, handles)
    return figure


def op_weights(bands: pd.DataFrame, variant: str) -> Figure:
    """Return the op weights of one variant over the epochs: a panel per edge, a colour per operation.

    The line is the median over the seeds, the band reaches from the smallest to the largest.

    Args:
        bands: `trajectories.op_weights`.
        variant: its name, the title.
    """
    figure, axes = style.panels(len(EDGE_NAMES), len(EDGE_NAMES), panel_height=1.55)
    for panel, edge in zip(axes, EDGE_NAMES, strict=True):
        draw_bands(panel, bands[bands["edge"] == edge], "operation", OPERATION_COLOURS)
        panel.set_title(f"edge {edge.replace('>', ' → ')}", loc="left", pad=4, color=style.FAINT)
    axes[0].set_ylim(-0.03, max(1.03, 1.03 * float(bands["high"].max())))
    axes[0].set_yticks([0, 0.5, 1])
    _epoch_axis(axes, bands["epoch"])
    style.label_panels(figure, "epoch of the search", "op weight")
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=OPERATION_COLOURS[operation], lw=2, label=OPERATION_LABELS[operation])
        for operation in OPERATIONS
    ]
    handles.append(Patch(color="#c8ccd2", label="min to max over seeds"))
    style.panel_legend(figure, handles, right=True)
    title = f"{style.shorten(variant, 44)}"
    height = figure.get_figheight()
    figure.text(0.62 / style.WIDTH, 1 - 0.08 / height, title, fontsize=10, fontweight="bold", va="top")
    return figure


def _present(order: list[str], table: pd.DataFrame) -> list[str]:
    present = set(table["variant"])
    return [variant for variant in order if variant in present]


def _epoch_axis(axes: list[Axes], epochs: pd.Series) -> None:
    last = int(np.nanmax([1, epochs.max()]))
    axes[0].set_xlim((0.5, 1.5) if last == 1 else (1 - 0.02 * last, 1.02 * last))
    axes[0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
