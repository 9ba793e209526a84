"""The argmax cell of each epoch as strips of colour: a row per edge, a colour per operation."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from harness.space.cell import EDGE_NAMES, EDGES, OPERATIONS
from harness.space.drawing import OPERATION_COLOURS, OPERATION_LABELS
from reports.drawing import style

PANELS_A_ROW = 3
GAP = 1.0
"""Rows left free between two strips."""


def timelines_figure(spans: pd.DataFrame, order: list[str], runs: dict[str, int], last: int) -> Figure:
    """Return a panel per search variant with a strip per run that is shown.

    Args:
        spans: `cell_timelines.timelines`.
        order: the variants in the order of the panels.
        runs: how many runs each variant has.
        last: the last epoch of the axis.
    """
    variants = [variant for variant in order if variant in set(spans["variant"])]
    most = int(spans["place"].max()) + 1
    panel_height = 0.55 + 0.42 * most
    figure, axes = style.panels(len(variants), PANELS_A_ROW, panel_height, gap=0.85, share_y=False)
    for panel, variant in zip(axes, variants, strict=True):
        own = spans[spans["variant"] == variant]
        for _, strip in own.groupby("place"):
            _draw_strip(panel, strip)
        shown = own.drop_duplicates("place")
        labels = [
            f"seed {seed}\n" + ("–" if pd.isna(truth) else f"{truth:.1f} %")
            for seed, truth in zip(shown["seed"], shown["truth"], strict=True)
        ]
        panel.set_yticks(shown["place"] * (len(EDGES) + GAP) + len(EDGES) / 2, labels, fontsize=7)
        panel.set_ylim(most * (len(EDGES) + GAP) - GAP, 0)
        panel.tick_params(axis="y", length=0)
        panel.grid(False)
        panel.spines["left"].set_visible(False)
        style.panel_title(panel, variant, f"{len(shown)} of {runs[variant]} runs", 28)
    axes[0].set_xlim(0.5, last + 0.5)
    axes[0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
    edges = ", ".join(name.replace(">", "→") for name in EDGE_NAMES)
    style.label_panels(figure, f"epoch of the search; rows of a strip from the top: edges {edges}", "")
    handles = [Patch(color=OPERATION_COLOURS[name], label=OPERATION_LABELS[name]) for name in OPERATIONS]
    anchor = (0.62 / style.WIDTH, 1 - 0.05 / figure.get_figheight())
    figure.legend(handles=handles, loc="upper left", ncols=len(handles), borderaxespad=0, bbox_to_anchor=anchor)
    return figure


def _draw_strip(panel: Axes, strip: pd.DataFrame) -> None:
    """Draw all rectangles of one operation as one shape: a page of many strips stays small, and holds no bitmap."""
    strip = strip.assign(top=strip["place"] * (len(EDGES) + GAP) + strip["edge"])
    for operation in OPERATIONS:
        own = strip[strip["operation"] == operation]
        if len(own):
            corners = [
                _rectangle(first - 0.5, last + 0.5, top, top + 0.94)
                for first, last, top in own[["first", "last", "top"]].itertuples(index=False)
            ]
            path = Path.make_compound_path(*(Path(corner, closed=True) for corner in corners))
            panel.add_patch(PathPatch(path, fc=OPERATION_COLOURS[operation], lw=0))


def _rectangle(left: float, right: float, top: float, bottom: float) -> list[tuple[float, float]]:
    return [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
