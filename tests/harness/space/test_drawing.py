from xml.etree import ElementTree

import pytest

from harness.space.cell import ALL_SKIP, CONV3, EDGES, NONE, OPERATIONS, RESIDUAL, Cell
from harness.space.drawing import (
    HEIGHT,
    NODE_RADIUS,
    NODES,
    OPERATION_COLOURS,
    OPERATION_LABELS,
    WIDTH,
    cell_png,
    cell_svg,
)

SVG = "{http://www.w3.org/2000/svg}"
ALL_NONE = Cell((NONE,) * 6)


def parsed(cell: Cell) -> ElementTree.Element:
    return ElementTree.fromstring(cell_svg(cell))


def texts(cell: Cell) -> list[str | None]:
    return [element.text for element in parsed(cell).iter(f"{SVG}text")]


def test_every_operation_has_a_colour_and_a_label_of_its_own() -> None:
    assert list(OPERATION_COLOURS) == list(OPERATION_LABELS) == list(OPERATIONS)
    assert len(set(OPERATION_COLOURS.values())) == len(set(OPERATION_LABELS.values())) == len(OPERATIONS)


@pytest.mark.parametrize("cell", [ALL_NONE, ALL_SKIP, RESIDUAL, Cell.from_index(77)])
def test_each_edge_is_drawn_in_the_colour_and_with_the_label_of_its_operation(cell: Cell) -> None:
    drawing = parsed(cell)
    strokes = [path.get("stroke") for path in drawing.iter(f"{SVG}path")]
    assert strokes == [OPERATION_COLOURS[operation] for operation in cell.operations]
    assert texts(cell)[:6] == [OPERATION_LABELS[operation] for operation in cell.operations]
    assert texts(cell)[6:] == ["0", "1", "2", "3"]
    title = drawing.find(f"{SVG}title")
    assert title is not None and Cell.from_string(title.text or "") == cell


def test_none_is_dotted_and_has_no_arrow_head() -> None:
    cell = Cell((NONE, CONV3, NONE, CONV3, NONE, CONV3))
    drawing = parsed(cell)
    dotted = [path.get("stroke-dasharray") is not None for path in drawing.iter(f"{SVG}path")]
    assert dotted == [True, False, True, False, True, False]
    assert len(list(drawing.iter(f"{SVG}polygon"))) == 3
    assert not list(parsed(ALL_NONE).iter(f"{SVG}polygon"))


def test_arrow_heads_touch_their_targets_and_all_lies_within_the_picture() -> None:
    drawing = parsed(ALL_SKIP)
    for (_, target), head in zip(EDGES, drawing.iter(f"{SVG}polygon"), strict=True):
        corners = [tuple(map(float, corner.split(","))) for corner in (head.get("points") or "").split()]
        (tip_x, tip_y), (node_x, node_y) = corners[0], NODES[target]
        distance = ((tip_x - node_x) ** 2 + (tip_y - node_y) ** 2) ** 0.5
        assert distance == pytest.approx(NODE_RADIUS + 1, abs=0.2)
    for text in drawing.iter(f"{SVG}text"):
        assert 8 < float(text.get("x") or 0) < WIDTH - 8
        assert 8 < float(text.get("y") or 0) < HEIGHT - 4


def test_labels_do_not_lie_on_each_other() -> None:
    places = [(float(t.get("x") or 0), float(t.get("y") or 0)) for t in parsed(RESIDUAL).iter(f"{SVG}text")][:6]
    for number, (x, y) in enumerate(places):
        for other_x, other_y in places[number + 1 :]:
            assert abs(y - other_y) >= 9 or abs(x - other_x) >= 40


def test_the_svg_is_small_and_runs_nothing() -> None:
    drawing = cell_svg(RESIDUAL)
    assert len(drawing) < 3000
    names = {element.tag.removeprefix(SVG) for element in parsed(RESIDUAL).iter()}
    assert names == {"svg", "title", "path", "polygon", "circle", "text"}
    attributes = {name for element in parsed(RESIDUAL).iter() for name in element.attrib}
    # Inline in one page many drawings stand side by side: an id would be there twice.
    assert not attributes & {"id", "href", "style"} and not any(name.startswith("on") for name in attributes)


def test_the_same_cell_gives_the_same_drawing() -> None:
    assert cell_svg(RESIDUAL) == cell_svg(Cell.from_string(str(RESIDUAL)))
    assert cell_svg(RESIDUAL) != cell_svg(ALL_SKIP)


def test_png_has_the_size_and_differs_between_cells() -> None:
    picture = cell_png(RESIDUAL, scale=2)
    assert picture.startswith(b"\x89PNG")
    assert (int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])) == (2 * WIDTH, 2 * HEIGHT)
    assert picture != cell_png(ALL_NONE, scale=2)
