"""The figures of the theory section."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reports.drawing import style
from reports.tables.theory import KINDS, Theory

KIND_COLOURS = dict(zip(KINDS, ("#0072b2", "#d55e00", "#444444"), strict=True))
ESTIMATORS = {
    "first order": ("#d55e00", "o"),
    "second order": ("#e69f00", "s"),
    "Neumann, K = 2": ("#9ccbe6", "v"),
    "Neumann, K = 10": ("#56a4d9", "^"),
    "Neumann, K = 50": ("#0b4f8a", "D"),
    "zeroth order, mean": ("#009e73", "P"),
}
"""Colour and marker of each estimator."""
SHARE_STYLES = ("-", (0, (6, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
LAG, BIAS = "#0072b2", "#d55e00"


def limits_figure(theory: Theory) -> Figure:
    """Return the distance to every drawn cell over the logit gap, and the distance over the leak."""
    data = theory.distances[np.isfinite(theory.distances["logit_gap"])]
    epsilon = theory.constant("cells", "epsilon of batch norm")
    figure, (left, right) = style.panels(2, 2, 3.3, gap=0.6, share_y=False)
    for kind, colour in KIND_COLOURS.items():
        own = data[data["kind"] == kind].sort_values("logit_gap")
        for axes, values in ((left, own["distance"]), (right, own["distance"] / own["leak"])):
            shown = own.assign(value=values.where(values > 0))
            lines = [part[["logit_gap", "value"]].to_numpy() for _, part in shown.groupby("cell_index")]
            axes.add_collection(LineCollection(lines, colors=colour, lw=0.8, alpha=0.65))
    gaps = data["logit_gap"].drop_duplicates().sort_values()
    leaks = data.drop_duplicates("logit_gap").sort_values("logit_gap")["leak"]
    left.plot(gaps, leaks, color=style.INK, lw=1.4, ls=(0, (4, 2)))
    rounding = theory.distances.loc[theory.distances["logit_gap"] == math.inf, "distance"].max()
    left.axhspan(1e-18, rounding, color=style.SHADE, zorder=0)
    right.axvline(_gap_of_leak(math.sqrt(epsilon), gaps, leaks), color=style.FAINT, lw=0.9, ls=(0, (1, 2)))
    for axes in (left, right):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_short)
    left.set(xlim=(0, gaps.max()), ylim=(1e-17, 30))
    right.set(ylim=(0.05, 1e4))
    # Behind, rounding over a tiny leak would be all that shows.
    right.text(0.985, 0.03, "rising ends: rounding", transform=right.transAxes, ha="right", color=style.FAINT)
    style.panel_title(left, "distance of the logits", "shaded: rounding of float64", 40)
    style.panel_title(right, "distance over leak", "dotted: leak² = epsilon of batch norm", 40)
    counts = theory.fits["kind"].value_counts()
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colour, label=f"{KINDS[kind]} (n = {counts[kind]})")
        for kind, colour in KIND_COLOURS.items()
        if kind in counts
    ]
    handles.append(Line2D([], [], color=style.INK, lw=1.4, ls=(0, (4, 2)), label="leak"))
    _legend(figure, handles)
    style.label_panels(figure, "logit gap t: alpha of the cell's operations above the others", "")
    return figure


def _gap_of_leak(value: float, gaps: pd.Series, leaks: pd.Series) -> float:
    return float(np.interp(-math.log(value), -np.log(leaks), gaps))


def terms_figure(terms: pd.DataFrame) -> Figure:
    """Return lag and bias of the first-order gradient over the inner steps, a panel a problem."""
    problems = list(dict.fromkeys(terms["problem"]))
    figure, panels = style.panels(len(problems), len(problems), 3.0, share_x=False)
    handles: list[Line2D | Patch] = [Line2D([], [], color=BIAS, label="bias"), Line2D([], [], color=LAG, label="lag")]
    shares = sorted(terms["step_share"].unique(), reverse=True)
    styles = {share: SHARE_STYLES[place % len(SHARE_STYLES)] for place, share in enumerate(shares)}
    for axes, problem in zip(panels, problems, strict=True):
        own = terms[terms["problem"] == problem]
        steps = _step_axis(axes, own["inner_steps"])
        for share, line in styles.items():
            part = own[own["step_share"] == share].sort_values("inner_steps")
            places = [steps[value] for value in part["inner_steps"]]
            for name, colour in (("bias", BIAS), ("lag", LAG)):
                values = part[f"{name}_median"].where(part[f"{name}_median"] > 1e-12)
                axes.plot(places, values, color=colour, ls=line, marker="o", ms=3)
                axes.fill_between(places, part[f"{name}_min"], part[f"{name}_max"], color=colour, alpha=0.12, lw=0)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_short)
        style.panel_title(axes, problem, f"n = {own['n'].max()}", 30)
    panels[0].set_ylim(1e-9, 4)
    for share, line in styles.items():
        handles.append(Line2D([], [], color=style.FAINT, ls=line, label=f"step {share:g} / L"))
    _legend(figure, handles)
    style.label_panels(figure, "inner steps before the gradient is asked", "norm over the exact gradient's")
    return figure


def estimates_figure(theory: Theory, problem: str, quantity: str) -> Figure:
    """Return the angle or the norm ratio of every estimator over the inner steps, a panel a step size and network."""
    data = theory.estimates[theory.estimates["problem"] == problem]
    networks, shares = sorted(data["network"].unique()), sorted(data["step_share"].unique())
    several = len(networks) > 1
    points = [(network, share) for share in shares for network in networks]
    columns = len(networks) if several else len(shares)
    figure, panels = style.panels(len(points), columns, 2.3 if several else 3.0)
    names = [name for name in ESTIMATORS if name in set(data["estimator"])]
    colours, markers = ({name: ESTIMATORS[name][part] for name in names} for part in (0, 1))
    for axes, (network, share) in zip(panels, points, strict=True):
        own = data[(data["network"] == network) & (data["step_share"] == share)]
        steps = _step_axis(axes, data["inner_steps"])
        own = own.assign(place=own["inner_steps"].map(steps)).sort_values("place")
        # With labels seaborn looks for no others, for which it would make all ticks.
        axes.set(xlabel=" ", ylabel=" ")
        seaborn.lineplot(
            own, x="place", y=quantity, hue="estimator", style="estimator", hue_order=names, style_order=names,
            palette=colours, markers=markers,
            dashes=False, estimator=None, errorbar=None, ms=4, mew=0, lw=1.3, legend=False, ax=axes,
        )  # fmt: skip
        axes.set(xlabel="", ylabel="")
        single = own[own["estimator"].isin(names) & own["angle_low"].notna()]
        if quantity == "angle" and len(single) > 1:
            colour = colours[str(single["estimator"].iloc[0])]
            axes.fill_between(single["place"], single["angle_low"], single["angle_high"], color=colour, alpha=0.2, lw=0)
        if quantity == "norm_ratio":
            axes.axhline(1, color=style.INK, lw=0.8, ls=(0, (4, 2)))
        title = f"network {network}" if several else f"inner step size {share:g} / L"
        style.panel_title(axes, title, f"inner step size {share:g} / L" if several else "", 30)
    _value_axis(panels[0], data[quantity])
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=ESTIMATORS[name][0], marker=ESTIMATORS[name][1], ms=4, label=name) for name in names
    ]
    if quantity == "angle" and not several:
        colour = ESTIMATORS["zeroth order, mean"][0]
        handles.append(Patch(color=colour, alpha=0.2, lw=0, label="one direction, 90 %"))
    _legend(figure, handles)
    label = "angle to the exact gradient (degrees)" if quantity == "angle" else "norm over the exact gradient's"
    style.label_panels(figure, "inner steps before the gradient is asked", label)
    return figure


def _value_axis(axes: Axes, values: pd.Series) -> None:
    """Make the axis logarithmic where the values span much, with plain numbers at round ticks."""
    if values.max() > 3 * values.min():
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        if high < 1000 * low:
            # Powers of ten alone would leave one or two ticks.
            ticks = [base * 10.0**power for power in range(-3, 4) for base in (1, 2, 3, 5)]
            axes.set_yticks([tick for tick in ticks if low <= tick <= high])
        axes.yaxis.set_minor_formatter("")
    axes.yaxis.set_major_formatter(_short)


def _short(value: float, _: float) -> str:
    """Write a tick: small powers of ten with an exponent, for 0.00001 is too wide."""
    if 0 < value < 0.01:
        exponent = f"{math.log10(value):.0f}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"10{exponent}"
    return f"{value:g}"


def _step_axis(axes: Axes, values: pd.Series) -> dict[float, int]:
    """Label evenly spaced numbers of inner steps, the solution last, and return their places."""
    ordered = sorted(values.unique())
    axes.set_xticks(range(len(ordered)), ["w*" if value == math.inf else f"{value:g}" for value in ordered])
    return {value: place for place, value in enumerate(ordered)}


def _legend(figure: Figure, handles: Sequence[Line2D | Patch]) -> None:
    figure.legend(
        handles=list(handles), loc="upper left", ncols=len(handles), bbox_to_anchor=(0.0, 1.0), borderaxespad=0.3,
        columnspacing=1.4, handlelength=2.2,
    )  # fmt: skip
