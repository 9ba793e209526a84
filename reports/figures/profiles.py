"""The performance profiles."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reports.drawing import style
from reports.drawing.bands import draw_bands

REFERENCE_LINE: dict[str, Any] = {"color": style.INK, "lw": 0.9, "ls": (0, (3, 2))}

PANELS_A_ROW, TITLE_LENGTH = 5, 17


def draw_profiles(
    profiles: dict[str, pd.DataFrame], runs: dict[str, int], baselines: set[str], reference: str
) -> Figure:
    """Return a panel per variant: the share of runs above each score, with its band, beside the reference.

    Args:
        profiles: `aggregate.profiles`.
        runs: how many runs each variant has.
        baselines: the variants that are baselines.
        reference: a variant whose line stands in every panel.
    """
    figure, axes = style.panels(len(profiles), PANELS_A_ROW, panel_height=1.45)
    for panel, (variant, profile) in zip(axes, profiles.items(), strict=True):
        colour = style.BASELINE if variant in baselines else style.SEARCH
        if reference in profiles:
            panel.plot(profiles[reference]["threshold"], profiles[reference]["share"], **REFERENCE_LINE)
        own = profile.assign(variant=variant)
        draw_bands(panel, own, "variant", {variant: colour}, x="threshold", y="share", alpha=0.2, edge=0)
        panel.axvline(0, color=style.FAINT, lw=0.9, ls=(0, (1, 2)))
        style.panel_title(panel, variant, f"n = {runs[variant]}", TITLE_LENGTH)
    first = next(iter(profiles.values()))["threshold"]
    axes[0].set(ylim=(-0.03, 1.03), yticks=[0, 0.5, 1], xlim=(first.min(), 1.02))
    axes[0].xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    style.label_panels(figure, "normalised score: 0 is the mean of all cells, 1 the best", "share of runs above")
    handles = [
        Line2D([], [], color=style.SEARCH, lw=1.8, label="search"),
        Line2D([], [], color=style.BASELINE, lw=1.8, label="multi-trial"),
        Line2D([], [], color=style.FAINT, lw=0.9, ls=(0, (1, 2)), label="mean of all cells"),
    ]
    if reference in profiles:
        handles.insert(2, Line2D([], [], **REFERENCE_LINE, label=style.shorten(reference, 30)))
    style.panel_legend(figure, handles)
    return figure
