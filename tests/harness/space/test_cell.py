import itertools
import random

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.errors import UserError
from harness.space.cell import (
    ALL_CONV3,
    ALL_SKIP,
    CELL_COUNT,
    EDGES,
    NONE,
    OPERATIONS,
    RESIDUAL,
    Cell,
    Shape,
    all_cells,
)

cells = st.tuples(*[st.sampled_from(OPERATIONS)] * len(EDGES)).map(Cell)


@given(cells)
def test_string_and_index_lead_back_to_the_cell(cell: Cell) -> None:
    assert Cell.from_string(str(cell)) == cell
    assert Cell.from_index(cell.index) == cell
    assert Cell.parse(str(cell)) == Cell.parse(f" {cell.index} ") == cell


def test_known_indices() -> None:
    assert (ALL_SKIP.index, ALL_CONV3.index, RESIDUAL.index) == (1835, 1462, 9930)
    assert Cell.from_index(0) == Cell.from_string(
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    )


def test_index_leaves_the_global_random_stream_alone() -> None:
    random.seed(1)
    expected = random.random()
    random.seed(1)
    Cell.from_index(7)
    assert random.random() == expected


def test_there_are_6466_canonical_classes() -> None:
    assert len({cell.canonical for cell in all_cells()}) == 6466


def test_strings_indices_and_canonical_forms_equal_the_benchmarks(reference_data) -> None:
    table = pd.read_parquet(reference_data / "nas-bench-201-means.parquet")
    ours = all_cells()
    assert table["cell"].tolist() == [str(cell) for cell in ours]
    assert table["index"].tolist() == list(range(CELL_COUNT)) == [cell.index for cell in ours]
    assert table["canonical"].tolist() == [cell.canonical for cell in ours]


def paths(cell: Cell) -> list[list[tuple[int, int]]]:
    """All routes from input to output over edges that pass something on, by brute force."""
    routes = []
    for inner in itertools.chain.from_iterable(itertools.combinations((1, 2), count) for count in range(3)):
        nodes = [0, *inner, 3]
        route = list(itertools.pairwise(nodes))
        if all(cell.operation(*edge) != NONE for edge in route):
            routes.append(route)
    return routes


@given(cells)
def test_depth_is_the_longest_path_and_width_the_most_disjoint_ones(cell: Cell) -> None:
    routes = paths(cell)
    assert cell.depth == max((len(route) for route in routes), default=0)
    disjoint = [
        len(chosen)
        for count in range(len(routes) + 1)
        for chosen in itertools.combinations(routes, count)
        if len(set(itertools.chain(*chosen))) == sum(len(route) for route in chosen)
    ]
    assert cell.width == max(disjoint)


@pytest.mark.parametrize(
    ("index", "parameters", "flops", "flops16"),
    [
        (0, 0.129306, 15.64737, 3.91948),
        (11, 0.802426, 113.95137, 28.49548),
        (284, 0.101306, 11.71521, 2.93644),
    ],
)
def test_costs_equal_the_benchmarks(index: int, parameters: float, flops: float, flops16: float) -> None:
    cell = Cell.from_index(index)
    assert cell.parameters(Shape()) == round(parameters * 1e6)
    assert cell.flops(Shape()) == round(flops * 1e6)
    assert cell.flops(Shape(classes=120, image_size=16)) == round(flops16 * 1e6)
    assert cell.parameters(Shape(classes=100)) == round(parameters * 1e6) + 5850


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("15625", "out of range"),
        ("-1", "out of range"),
        ("|skip_conect~0|+|none~0|none~1|+|none~0|none~1|none~2|", "did you mean 'skip_connect'?"),
        ("|none~0|+|none~0|none~1|", "is no cell"),
        ("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", "stands twice"),
        ("|none~0|+|none~0|none~2|+|none~0|none~1|none~2|", "is no cell"),
        ("", "is no cell"),
        ("rubbish", "is no cell"),
    ],
)
def test_what_is_no_cell_is_refused_in_one_sentence(text: str, part: str) -> None:
    with pytest.raises(UserError, match=part.replace("?", r"\?")) as caught:
        Cell.parse(text)
    assert "\n" not in str(caught.value)
