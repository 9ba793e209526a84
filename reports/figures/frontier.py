"""The figures of cost and quality."""

from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogFormatter

from harness.base.errors import first_of
from harness.results.folder import TruthColumn
from reports.drawing import style
from reports.figures.accuracy import stretch_axis

COLOURS = {
    "gradient": "#0072b2",
    "reinforcement learning": "#cc79a7",
    "evolution": "#009e73",
    "local search": "#56b4e9",
    "model-based": "#d55e00",
    "random": "#e69f00",
}
MARKERS = {"search": "o", "baseline": "s"}
NAMED = 3
"""Methods at one point that are named."""
LABEL = 8.0
"""Size of the points' names, points."""


def frontier(table: pd.DataFrame, cost: str, column: TruthColumn, reference: str, epoch_seconds: float) -> Figure:
    """Return final cost and truth of every variant, with the Pareto frontier.

    Args:
        table: `frontier.points`.
        cost: `charged` or `measured`.
        column: the truth column.
        reference: a variant that is named wherever it lies, beside those on the frontier and the baselines.
        epoch_seconds: unit of the upper axis of the charged cost, seconds.
    """
    figure, axes = style.sheet(5.1, left=0.62, right=0.25, top=1.0, bottom=0.5)
    axes.grid(True)
    _cost_axis(axes, table[f"{cost}_low"].min(), table[f"{cost}_high"].max())
    values = [*table["truth"], *table["truth_low"]]
    stretch_axis(axes.yaxis, column.best, values)
    axes.axhline(column.median, color=style.FAINT, lw=0.9, ls=(0, (1, 2)), zorder=0.8)
    on_it = table[table[f"{cost}_dominated_by"] == ""].sort_values(cost, kind="stable")
    steps = [*on_it[[cost, "truth"]].to_numpy().tolist(), [axes.get_xlim()[1], on_it["truth"].max()]]
    axes.step(*zip(*steps, strict=True), where="post", color=style.INK, lw=1.1, zorder=1.5)
    for _, row in table.iterrows():
        colour, dominated = COLOURS[row["strategy"]], row[f"{cost}_dominated_by"] != ""
        axes.plot([row[f"{cost}_low"], row[f"{cost}_high"]], [row["truth"]] * 2, color=colour, lw=0.8, alpha=0.6)
        axes.plot([row[cost]] * 2, [row["truth_low"], row["truth_high"]], color=colour, lw=0.8, alpha=0.6)
        face = "white" if dominated else colour
        axes.plot(row[cost], row["truth"], MARKERS[row["kind"]], ms=6, mfc=face, mec=colour, mew=1.3, zorder=3)
    named = pd.concat([on_it, table[(table["kind"] == "baseline") | (table["variant"] == reference)]])
    name_points(axes, named.drop_duplicates("variant"), cost)
    axes.set_xlabel(_cost_label(cost))
    axes.set_ylabel(f"{column.label} accuracy (%)")
    if cost == "charged":
        _training_epochs(axes, epoch_seconds)
    _legend(figure, table)
    return figure


def _training_epochs(axes: Axes, epoch_seconds: float) -> None:
    upper = axes.secondary_xaxis(
        "top", functions=(partial(_scaled, 1 / epoch_seconds), partial(_scaled, epoch_seconds))
    )
    label_plainly(upper.xaxis)
    upper.set_xlabel("the same in epochs of training the average cell on 25,000 images")


def _cost_axis(axes: Axes, low: float, high: float) -> None:
    axes.set_xscale("log")
    room = (high / low) ** 0.06
    axes.set_xlim(low / room / 1.3, high * room * 1.3)
    label_plainly(axes.xaxis)


class _Plain(LogFormatter):
    """Chooses which ticks of a logarithmic axis have a label as its base does, and writes plain numbers."""

    def __call__(self, value: float, position: int | None = None) -> str:
        if not super().__call__(value, position):
            return ""
        return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def label_plainly(axis: Axis) -> None:
    """Write plain numbers on a logarithmic axis."""
    axis.set_major_formatter(_Plain())
    axis.set_minor_formatter(_Plain())  # labels only where there is hardly a power of ten


def _scaled(factor: float, values: Any) -> Any:
    return factor * values


def _cost_label(cost: str) -> str:
    if cost == "charged":
        return "charged cost of a run (s on the benchmark's machine and network; logarithmic)"
    return "cost of a run (s; searches measured on this machine, baselines charged; logarithmic)"


def name_points(axes: Axes, named: pd.DataFrame, cost: str) -> None:
    """Write names left above their points, and move one up while it would lie on another.

    Of methods at one point a few are named and the rest are counted.
    """
    placed: list[tuple[float, float, float]] = []
    scale = 72 / axes.figure.dpi
    left = axes.transAxes.transform((0, 0))[0] * scale
    at_one_point = [named[cost].map("{:.3g}".format), named["truth"].map("{:.2f}".format)]
    points = [own for _, own in named.sort_values("truth", kind="stable").groupby(at_one_point, sort=False)]
    for own in points:
        row = own.iloc[0]
        text = first_of([style.shorten(name, 26) for name in own["variant"]], NAMED)
        x, y = axes.transData.transform((row[cost], row["truth"])) * scale
        width = 0.62 * LABEL * len(text)
        # At the left end the name stands on the right.
        fits = x - 5 - width > left
        start, height = (x - 5 - width if fits else x + 5), y + 4
        while any(
            start < end and other < start + width and abs(height - level) < LABEL + 2 for other, end, level in placed
        ):
            height += 2
        placed.append((start, start + width, height))
        axes.annotate(
            text, (row[cost], row["truth"]), (-5 if fits else 5, height - y), textcoords="offset points",
            ha="right" if fits else "left", fontsize=LABEL, annotation_clip=False, zorder=2.5,
            bbox={"fc": "white", "ec": "none", "alpha": 0.8, "pad": 0.4},
        )  # fmt: skip


def _legend(figure: Figure, table: pd.DataFrame) -> None:
    strategies = [
        Line2D([], [], ls="", marker="D", ms=6, color=COLOURS[strategy], label=strategy)
        for strategy in COLOURS
        if strategy in set(table["strategy"])
    ]
    kinds = [
        Line2D([], [], ls="", marker=MARKERS[kind], ms=6, mfc="white", mec=style.INK, label=label)
        for kind, label in (("search", "supernet search"), ("baseline", "baseline"))
        if kind in set(table["kind"])
    ]
    lines = [
        Line2D([], [], color=style.INK, lw=1.1, label="Pareto frontier (filled points)"),
        Line2D([], [], color=style.FAINT, lw=0.9, ls=(0, (1, 2)), label="median of all cells"),
    ]
    for row, handles in enumerate((strategies, kinds + lines)):
        figure.legend(
            handles=handles, loc="upper center", ncols=len(handles), columnspacing=1.1, handletextpad=0.4,
            handlelength=1.6, bbox_to_anchor=(0.5, 1 - row * 0.2 / figure.get_figheight()), borderaxespad=0.3,
        )  # fmt: skip


def anytime(table: pd.DataFrame, curves: pd.DataFrame, cost: str, column: TruthColumn) -> Figure:
    """Return, a panel a strategy, the truth of each variant's answer over the cost: medians over the seeds.

    Args:
        table: `frontier.points`.
        curves: `frontier.curves` for the same cost.
        cost: `charged` or `measured`.
        column: the truth column.
    """
    strategies = [strategy for strategy in COLOURS if strategy in set(table["strategy"])]
    figure, axes = style.panels(len(strategies), 2, panel_height=2.7)
    _cost_axis(axes[0], curves["cost"].min(), curves["cost"].max())
    stretch_axis(axes[0].yaxis, column.best, curves["median"], spacing=0.08)
    by_variant = {str(variant): own for variant, own in curves.groupby("variant")}
    leaders = {strategy: _leader(table, strategy) for strategy in strategies}
    for panel, strategy in zip(axes, strategies, strict=True):
        colour = COLOURS[strategy]
        _draw_lines(panel, [by_variant[name] for other, name in leaders.items() if other != strategy], "#b6bcc6", 1.3)
        members = table[table["strategy"] == strategy]
        _draw_lines(panel, [by_variant[name] for name in members["variant"]], colour, 0.8)
        own = by_variant[leaders[strategy]]
        panel.fill_between(own["cost"], own["low"], own["high"], step="post", color=colour, alpha=0.16, lw=0)
        panel.step(own["cost"], own["median"], where="post", color=colour, lw=2.2)
        panel.plot(own["cost"].iloc[-1], own["median"].iloc[-1], "o", ms=5, mfc="white", mec=colour, mew=1.4, zorder=4)
        panel.axhline(column.median, color=style.FAINT, lw=0.9, ls=(0, (1, 2)))
        count = f"{len(members)} variant{'' if len(members) == 1 else 's'}"
        style.panel_title(panel, strategy, f"{count}, bold: {style.shorten(leaders[strategy], 26)}", 30)
    style.label_panels(figure, _cost_label(cost), f"{column.label} accuracy (%)")
    figure.legend(
        handles=[
            Line2D([], [], color=style.INK, lw=2.2, label="best of the strategy"),
            Patch(color="#c8ccd2", label="its quartiles"),
            Line2D([], [], color=style.INK, lw=0.8, label="others of the strategy"),
            Line2D([], [], color="#b6bcc6", lw=1.3, label="best of other strategies"),
            Line2D([], [], color=style.FAINT, lw=0.9, ls=(0, (1, 2)), label="median of all cells"),
        ],
        loc="upper left", ncols=5, columnspacing=1.2, handletextpad=0.5, handlelength=1.6, borderaxespad=0,
        bbox_to_anchor=(0.62 / style.WIDTH, 1 - 0.05 / figure.get_figheight()),
    )  # fmt: skip
    return figure


def _leader(table: pd.DataFrame, strategy: str) -> str:
    members = table[table["strategy"] == strategy]
    return str(members.sort_values("truth", ascending=False, kind="stable")["variant"].iloc[0])


def _draw_lines(panel: Axes, curves: list[pd.DataFrame], colour: str, width: float) -> None:
    lines = [own[["cost", "median"]].to_numpy() for own in curves if len(own) > 1]
    panel.add_collection(LineCollection(lines, colors=colour, linewidths=width, alpha=0.75), autolim=False)
    lone = [own[["cost", "median"]].iloc[0] for own in curves if len(own) == 1]
    if lone:
        panel.plot(*zip(*lone, strict=True), "o", ms=3.5, color=colour, alpha=0.75)
