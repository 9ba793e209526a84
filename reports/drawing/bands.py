"""Lines with bands and boxes, of numbers that were computed before, such as a median and what lies around it."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from numpy.typing import NDArray

ONE_POINT = {"marker": "o", "mew": 0}
"""How a line of one point, which is invisible, is drawn."""


def draw_bands(
    panel: Axes,
    data: pd.DataFrame,
    by: str,
    colours: dict[str, str],
    x: str = "epoch",
    y: str = "median",
    alpha: float = 0.15,
    edge: float = 0.5,
    **line: Any,
) -> None:
    """Draw a line and a band from `low` to `high` for each value of a column.

    What is drawn was computed before: seaborn is to estimate nothing, for its intervals are not the report's, and its
    resampling would move numpy's global stream.

    Args:
        panel: where to draw.
        data: the columns `x`, `y`, `by`, low and high.
        by: the column that tells the lines apart.
        colours: its values, in the order in which they are drawn, and their colours.
        x: the column of the horizontal axis.
        y: the column of the lines.
        alpha: opacity of the bands.
        edge: width of the bands' edges, points.
        line: how the lines look, as matplotlib takes it.
    """
    groups = dict(iter(data.dropna(subset=["low", "high"]).sort_values(x).groupby(by)))
    shown = [value for value in colours if value in groups]
    faces, rims = ([(colours[value], opacity) for value in shown] for opacity in (alpha, 0.5))
    # One artist for all bands of a panel: five take as long as the rest of the panel.
    outlines = [_outline(groups[value], x) for value in shown]
    panel.add_collection(PolyCollection(outlines, facecolors=faces, edgecolors=rims, linewidths=edge))
    # Labels are left alone where there are some; to see whether it should write any, seaborn would make all ticks.
    panel.set(xlabel=" ", ylabel=" ")
    look = {"lw": 1.6, **line, **(ONE_POINT if data[x].nunique() == 1 else {})}
    seaborn.lineplot(
        data, x=x, y=y, hue=by, hue_order=list(colours), palette=colours, estimator=None, errorbar=None,
        legend=False, ax=panel, **look,
    )  # fmt: skip
    panel.set(xlabel="", ylabel="")


def _outline(band: pd.DataFrame, x: str) -> NDArray[np.float64]:
    places, low, high = band[[x, "low", "high"]].to_numpy(dtype=float).T
    return np.column_stack([np.concatenate([places, places[::-1]]), np.concatenate([low, high[::-1]])])


PERCENTILES = {"p5": "whislo", "p25": "q1", "p50": "med", "p75": "q3", "p95": "whishi"}
"""Column of percentiles to what it is in a box."""


def draw_boxes(
    panel: Axes,
    percentiles: pd.DataFrame,
    places: Sequence[float],
    colour: str,
    width: float,
    orientation: Literal["vertical", "horizontal"],
) -> None:
    """Draw a box from quartile to quartile with the median, and whiskers from 5 to 95 %.

    Args:
        panel: where to draw.
        percentiles: the columns of `PERCENTILES`, a row a box.
        places: where the boxes stand.
        colour: of their lines.
        width: of a box.
        orientation: of the boxes.
    """
    boxes = [{part: row[name] for name, part in PERCENTILES.items()} for _, row in percentiles.iterrows()]
    line = {"color": colour, "lw": 0.9}
    panel.bxp(
        boxes, places, widths=width, orientation=orientation, showfliers=False, showcaps=False, manage_ticks=False,
        patch_artist=True, boxprops={"fc": "white", "ec": colour, "lw": 0.9}, whiskerprops=line,
        medianprops=line | {"lw": 1.4}, zorder=1.8,
    )  # fmt: skip
