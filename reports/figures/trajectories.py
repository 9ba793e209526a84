"""Figures over the epochs of a search: truth of the current cell, op weights, diagnostics."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.space.cell import EDGE_NAMES, OPERATIONS
from harness.space.drawing import OPERATION_COLOURS, OPERATION_LABELS
from reports.figures import style
from reports.results import Results, TruthColumn

PANELS_A_ROW = 4
TITLE_LENGTH = 24

END: dict[str, Any] = {"ls": "", "marker": "o", "ms": 4, "mfc": "white", "mec": style.INK, "mew": 0.9}
"""Marker of the cell that a run returns."""

ORACLE = "#cc79a7"

DIAGNOSTICS = {
    "skip_mass": ("skip weight", "#d55e00"),
    "entropy": ("entropy of the op weights / ln 5", "#0072b2"),
    "margin": ("margin between the two largest op weights", "#009e73"),
}
"""Column of the epochs to legend and colour; all are shares from 0 to 1."""


def truth_over_epochs(results: Results, order: list[str], kind: str, column: TruthColumn) -> Figure:
    """Return, a panel per variant, the truth of the current cell over the epochs: every seed, median, middle half.

    For searches that is the argmax cell of each epoch, and beside it stands the best cell so far, the answer of an
    oracle that stops each run at its best; for baselines the current cell is the best so far by their own signal.
    """
    epochs = results.epochs[results.epochs["kind"] == kind]
    variants = _present(order, epochs)
    figure, axes = style.panels(len(variants), PANELS_A_ROW, panel_height=1.9)
    style.stretch_axis(axes[0].yaxis, column.best, *style.limits(list(epochs[column.key]), column.best), spacing=0.11)
    colour = style.SEARCH if kind == "search" else style.BASELINE
    finished = results.finished[results.finished["kind"] == kind].set_index(["variant", "seed"])[column.key]
    for panel, variant in zip(axes, variants, strict=True):
        own = epochs[epochs["variant"] == variant]
        by_seed = own.pivot(index="epoch", columns="seed", values=column.key)
        _seed_lines(panel, by_seed, colour)
        quarters = over_seeds(by_seed)
        panel.fill_between(quarters.index, quarters["lower"], quarters["upper"], color=colour, alpha=0.22, lw=0)
        panel.plot(quarters.index, quarters["median"], color=colour, lw=2.2, marker=_marker(quarters))
        if kind == "search":
            panel.plot(quarters.index, quarters["best_so_far"], color=ORACLE, lw=1.2, ls=(0, (3, 1.5)))
            ends = own.groupby("seed")["epoch"].max()
            last = [finished.get((variant, seed), np.nan) for seed in ends.index]
            panel.plot(ends, last, **END, zorder=5, clip_on=False)
        panel.axhline(column.median, color=style.FAINT, lw=0.9, ls=(0, (1, 2)))
        style.panel_title(panel, variant, _seeds(own), TITLE_LENGTH)
    _epoch_axis(axes, epochs)
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
    _legend(figure, handles)
    return figure


def over_seeds(by_seed: pd.DataFrame) -> pd.DataFrame:
    """Return, index epoch, the lower and upper quartile and the median over the seeds, and best_so_far.

    `by_seed`: a column per seed, NaN where a run has ended or a value is unknown; those do not count. `best_so_far` is
    the median over the seeds of each run's best until then.
    """
    quarters = by_seed.quantile(np.array([0.25, 0.5, 0.75]), axis=1).T
    quarters.columns = pd.Index(["lower", "median", "upper"])
    return quarters.assign(best_so_far=by_seed.cummax().median(axis=1))


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


def diagnostics_over_epochs(results: Results, order: list[str]) -> Figure:
    """Return, a panel per search variant, skip weight, entropy and margin over the epochs: median and min to max."""
    epochs = results.epochs[results.epochs["kind"] == "search"].dropna(subset=list(DIAGNOSTICS), how="all")
    epochs = epochs.assign(entropy=epochs["entropy"] / math.log(len(OPERATIONS)))
    variants = _present(order, epochs)
    figure, axes = style.panels(len(variants), PANELS_A_ROW, panel_height=1.5)
    for panel, variant in zip(axes, variants, strict=True):
        own = epochs[epochs["variant"] == variant]
        for name, (_, colour) in DIAGNOSTICS.items():
            _band(panel, own.groupby("epoch")[name].agg(["median", "min", "max"]), colour)
        panel.axhline(1 / len(OPERATIONS), color=style.FAINT, lw=0.9, ls=(0, (1, 2)))
        style.panel_title(panel, variant, _seeds(own), TITLE_LENGTH)
    axes[0].set(ylim=(-0.03, 1.03), yticks=[0, 0.5, 1])
    _epoch_axis(axes, epochs)
    style.label_panels(figure, "epoch of the search", "share (0 to 1)")
    handles = [Line2D([], [], color=colour, lw=1.8, label=label) for label, colour in DIAGNOSTICS.values()]
    handles.append(Line2D([], [], color=style.FAINT, lw=0.9, ls=(0, (1, 2)), label="skip weight if uniform"))
    _legend(figure, handles)
    return figure


def op_weights(results: Results, variant: str) -> Figure:
    """Return the op weights of one variant over the epochs: a panel per edge, a colour per operation.

    The line is the median over the seeds, the band reaches from the smallest to the largest. Where cells have alphas
    of their own, a seed's value is the mean over its cells.
    """
    alpha = results.alpha[results.alpha["variant"] == variant]
    by_seed = alpha.groupby(["edge", "operation", "epoch", "seed"])["weight"].mean()
    bands = by_seed.groupby(["edge", "operation", "epoch"]).agg(["median", "min", "max"]).reset_index()
    figure, axes = style.panels(len(EDGE_NAMES), len(EDGE_NAMES), panel_height=1.55)
    for panel, edge in zip(axes, EDGE_NAMES, strict=True):
        for operation in OPERATIONS:
            own = bands[(bands["edge"] == edge) & (bands["operation"] == operation)]
            _band(panel, own.set_index("epoch"), OPERATION_COLOURS[operation])
        panel.set_title(f"edge {edge.replace('>', ' → ')}", loc="left", pad=4, color=style.FAINT)
    axes[0].set_ylim(-0.03, max(1.03, 1.03 * float(bands["max"].max())))
    axes[0].set_yticks([0, 0.5, 1])
    _epoch_axis(axes, alpha)
    style.label_panels(figure, "epoch of the search", "op weight")
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=OPERATION_COLOURS[operation], lw=2, label=OPERATION_LABELS[operation])
        for operation in OPERATIONS
    ]
    handles.append(Patch(color="#c8ccd2", label="min to max over seeds"))
    _legend(figure, handles, right=True)
    title = f"{style.shorten(variant, 44)}"
    height = figure.get_figheight()
    figure.text(0.62 / style.WIDTH, 1 - 0.08 / height, title, fontsize=10, fontweight="bold", va="top")
    return figure


def _band(panel: Axes, band: pd.DataFrame, colour: str) -> None:
    panel.fill_between(band.index, band["min"], band["max"], color=colour, alpha=0.13, lw=0)
    panel.plot(band.index, band[["min", "max"]], color=colour, alpha=0.6, lw=0.5)
    panel.plot(band.index, band["median"], color=colour, lw=1.6, marker=_marker(band))


def _present(order: list[str], table: pd.DataFrame) -> list[str]:
    present = set(table["variant"])
    return [variant for variant in order if variant in present]


def _marker(series: pd.DataFrame | pd.Series) -> str:
    # A line of one point is invisible.
    return "o" if len(series) == 1 else ""


def _seeds(table: pd.DataFrame) -> str:
    return f"n = {table['seed'].nunique()}"


def _epoch_axis(axes: list[Axes], table: pd.DataFrame) -> None:
    from matplotlib.ticker import MaxNLocator

    last = int(np.nanmax([1, table["epoch"].max()]))
    axes[0].set_xlim((0.5, 1.5) if last == 1 else (1 - 0.02 * last, 1.02 * last))
    axes[0].xaxis.set_major_locator(MaxNLocator(4, integer=True))


def _legend(figure: Figure, handles: Iterable[Line2D | Patch], right: bool = False) -> None:
    handles = list(handles)
    figure.legend(
        handles=handles, loc="upper right" if right else "upper left", ncols=len(handles), columnspacing=1.3,
        handletextpad=0.5, handlelength=1.6, borderaxespad=0,
        bbox_to_anchor=(0.99 if right else 0.62 / style.WIDTH, 1 - 0.05 / figure.get_figheight()),
    )  # fmt: skip
