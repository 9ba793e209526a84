"""A figure of the report, drawn when it is looked at and saved as SVG and PNG."""

import html
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from harness.base.matplotlib_import import drawing_settings
from harness.base.processes import map_in_processes
from reports.drawing.style import SETTINGS


class Picture:
    """A figure: drawn when it is first looked at, or beside others by `draw_together`."""

    def __init__(self, name: str, title: str, plot: Callable[..., Figure], *arguments: Any):
        """Describe a figure.

        Args:
            name: its file name without ending.
            title: what it shows, in one line.
            plot: a function of a module that makes it.
            arguments: what `plot` is given.
        """
        self.name = name
        self.title = title
        self._plot = plot
        self._arguments = arguments

    @property
    def svg(self) -> str:
        """The figure as a file of its own, the same for the same data."""
        return self._forms[0]

    @property
    def png(self) -> bytes:
        """The figure in pixels, the same for the same data."""
        return self._forms[1]

    @property
    def inline(self) -> str:
        """The SVG element alone, for an HTML page."""
        return self.svg[self.svg.index("<svg") :]

    def figure(self) -> Figure:
        """Draw the figure anew, for whoever wants to change it or save it otherwise."""
        with drawing_settings(SETTINGS), _global_stream_kept():
            return self._plot(*self._arguments)

    def _repr_svg_(self) -> str:
        """What a notebook shows."""
        return self.svg

    @cached_property
    def _forms(self) -> tuple[str, bytes]:
        return _drawn(self)


def draw_together(pictures: Sequence[Picture], processes: int) -> None:
    """Draw many figures at the same time in so many processes; 0: one after the other in this one.

    Raises:
        UserError: a process was killed.
    """
    for picture, forms in zip(pictures, map_in_processes(_drawn, pictures, processes), strict=True):
        picture._forms = forms


def _drawn(picture: Picture) -> tuple[str, bytes]:
    figure = picture.figure()
    with drawing_settings(SETTINGS), _global_stream_kept():
        svg, png = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg")
        figure.savefig(png, format="png", dpi=160, metadata={"Software": None})
    return _tidy(svg.getvalue(), f"figure-{picture.name}", picture.title), png.getvalue()


@contextmanager
def _global_stream_kept() -> Iterator[None]:
    """Leave numpy's global stream as it was: seaborn draws jitter from it, of width 0 too."""
    state = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(state)


def _tidy(svg: str, name: str, title: str) -> str:
    # All names inside begin with the figure's own, for they must be unique on a page that holds many figures.
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!DOCTYPE.*?>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\sid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    # Matplotlib's style rule would otherwise hold for the whole page.
    svg = svg.replace("*{stroke-linejoin", f"#{name} *{{stroke-linejoin", 1)
    return svg.replace("<svg ", f'<svg id="{name}" role="img" aria-label="{html.escape(title)}" ', 1)
