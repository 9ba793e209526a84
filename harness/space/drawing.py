"""Drawing of a cell, and the colours of the operations that the whole project uses."""

import io
import math
from html import escape
from typing import NamedTuple

from harness.base.matplotlib_import import drawing_settings
from harness.space.cell import CONV1, CONV3, EDGES, NONE, POOL, SKIP, Cell

OPERATION_COLOURS = {NONE: "#999999", SKIP: "#d55e00", CONV1: "#56b4e9", CONV3: "#0072b2", POOL: "#009e73"}
"""Fixed colour of each operation, told apart with any colour vision (Okabe and Ito, Color Universal Design, 2008)."""

OPERATION_LABELS = {NONE: "none", SKIP: "skip", CONV1: "conv 1×1", CONV3: "conv 3×3", POOL: "pool 3×3"}
"""Short names of the operations for legends and drawings."""

WIDTH, HEIGHT = 220, 120
"""Size of a drawing in pixels."""

NODE_RADIUS = 9.0
HEAD_LENGTH, HEAD_WIDTH = 7.0, 6.0
TEXT_COLOUR = "#333333"
FAINT_TEXT_COLOUR = "#767676"

Point = tuple[float, float]

NODES: tuple[Point, ...] = ((16, 71), (79, 71), (141, 71), (204, 71))

BENDS = {(0, 1): 0, (0, 2): -35, (1, 2): 0, (0, 3): -70, (1, 3): 35, (2, 3): 0}
"""How far the control points of each edge lie below (negative: above) the line of the nodes, in pixels."""


class _Arrow(NamedTuple):
    """One edge: a cubic Bezier curve, the triangle of its head, and where its label stands."""

    curve: tuple[Point, Point, Point, Point]
    head: tuple[Point, Point, Point]
    label: Point
    """Middle of the label's base line."""


def _arrow(source: int, target: int) -> _Arrow:
    (x0, y), (x1, _) = NODES[source], NODES[target]
    bend = BENDS[source, target]
    reach = 0.22 * (x1 - x0)
    angle = math.atan2(bend, reach)
    # The curve leaves the rim of its source and ends where the head begins, short of the rim of its target.
    leave = (x0 + NODE_RADIUS * math.cos(angle), y + NODE_RADIUS * math.sin(angle))
    tip = _from_target(x1, y, angle, NODE_RADIUS + 1)
    end = _from_target(x1, y, angle, NODE_RADIUS + HEAD_LENGTH)
    base = _from_target(x1, y, angle, NODE_RADIUS + 1 + HEAD_LENGTH)
    across = (HEAD_WIDTH / 2 * math.sin(angle), HEAD_WIDTH / 2 * math.cos(angle))
    head = (tip, (base[0] + across[0], base[1] + across[1]), (base[0] - across[0], base[1] - across[1]))
    curve = (leave, (x0 + reach, y + bend), (x1 - reach, y + bend), end)
    peak = (leave[1] + 3 * (y + bend) + 3 * (y + bend) + end[1]) / 8
    return _Arrow(curve, head, ((x0 + x1) / 2, peak + 12 if bend > 0 else peak - 4))


def _from_target(x: float, y: float, angle: float, distance: float) -> Point:
    return x - distance * math.cos(angle), y + distance * math.sin(angle)


def cell_svg(cell: Cell) -> str:
    """Return the drawing of a cell as an SVG element, for a page or for a file of its own.

    Nodes 0 (input) to 3 (output) stand from left to right; an arrow is an edge in the colour of its operation, and a
    dotted line one that carries nothing.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'role="img" font-family="system-ui, sans-serif" text-anchor="middle">',
        f"<title>{escape(str(cell))}</title>",
    ]
    for edge, operation in zip(EDGES, cell.operations, strict=True):
        parts.append(_svg_arrow(_arrow(*edge), operation))
    for number, (x, y) in enumerate(NODES):
        parts.append(
            f'<circle cx="{x}" cy="{y}" r="{NODE_RADIUS:g}" fill="#ffffff" stroke="{TEXT_COLOUR}" stroke-width="1.3"/>'
            f'<text x="{x}" y="{y + 3.4}" font-size="9.5" fill="{TEXT_COLOUR}">{number}</text>'
        )
    return "".join([*parts, "</svg>"])


def _svg_arrow(arrow: _Arrow, operation: str) -> str:
    colour = OPERATION_COLOURS[operation]
    leave, first, second, end = (f"{x:.1f} {y:.1f}" for x, y in arrow.curve)
    line = f'<path d="M{leave}C{first} {second} {end}" fill="none" stroke="{colour}" '
    if operation == NONE:
        drawn = line + 'stroke-width="1.2" stroke-dasharray="0.1 4" stroke-linecap="round"/>'
    else:
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in arrow.head)
        drawn = line + f'stroke-width="2"/><polygon points="{corners}" fill="{colour}"/>'
    x, y = arrow.label
    text = FAINT_TEXT_COLOUR if operation == NONE else TEXT_COLOUR
    label = escape(OPERATION_LABELS[operation])
    return f'{drawn}<text x="{x:.1f}" y="{y:.1f}" font-size="8" fill="{text}">{label}</text>'


def cell_png(cell: Cell, scale: float = 3.0) -> bytes:
    """Return the drawing of a cell as a PNG of `scale` times the size, on white, for viewers that show no SVG."""
    with drawing_settings({}):
        return _png(cell, scale)


def _png(cell: Cell, scale: float) -> bytes:
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle, PathPatch, Polygon
    from matplotlib.path import Path

    # One unit of the axes is one pixel of the drawing: 72 units an inch, as line widths and font sizes count.
    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72 * scale)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    axes.axis("off")
    for edge, operation in zip(EDGES, cell.operations, strict=True):
        arrow, colour = _arrow(*edge), OPERATION_COLOURS[operation]
        path = Path(arrow.curve, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
        if operation == NONE:
            axes.add_patch(PathPatch(path, fill=False, edgecolor=colour, lw=1.2, ls=(0, (0.1, 3.3)), capstyle="round"))
        else:
            axes.add_patch(PathPatch(path, fill=False, edgecolor=colour, lw=2, capstyle="butt"))
            axes.add_patch(Polygon(arrow.head, facecolor=colour, linewidth=0))
        text = FAINT_TEXT_COLOUR if operation == NONE else TEXT_COLOUR
        axes.text(*arrow.label, OPERATION_LABELS[operation], fontsize=7.6, color=text, ha="center", va="baseline")
    for number, (x, y) in enumerate(NODES):
        axes.add_patch(Circle((x, y), NODE_RADIUS, facecolor="white", edgecolor=TEXT_COLOUR, lw=1.3))
        axes.text(x, y + 3.2, str(number), fontsize=9, color=TEXT_COLOUR, ha="center", va="baseline")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", facecolor="white")
    return picture.getvalue()
