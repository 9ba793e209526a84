from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.base.streams import stream
from harness.search.baseline import Signal, run_baseline
from harness.space.cell import CELL_COUNT, Cell, all_cells
from variants.local_search import LocalSearch, neighbours

SPACE = np.array([cell.codes for cell in all_cells()])
"""The operations of every cell as numbers, [15625, 6]."""

Landscape = NDArray[np.float64]


def search(seed: int = 0, **settings: str) -> LocalSearch:
    return LocalSearch(LocalSearch.Settings(**settings), stream(seed, "test"))  # type: ignore[arg-type]


@pytest.fixture(params=[1, 2, 3])
def landscape(request: pytest.FixtureRequest) -> Landscape:
    """Scores in which edges help each other, so that there are several optima, [15625]."""
    random = np.random.default_rng(request.param)
    singles, pairs = random.normal(size=(6, 5)), random.normal(size=(6, 5, 6, 5))
    scores = sum(singles[edge, SPACE[:, edge]] for edge in range(6))
    for one in range(6):
        for other in range(one):
            scores = scores + pairs[one, SPACE[:, one], other, SPACE[:, other]]
    return np.asarray(scores)


def around(index: int) -> NDArray[np.int64]:
    """The official indices of all cells that differ on one edge, by comparing with the whole space."""
    return np.flatnonzero((SPACE[index] != SPACE).sum(axis=1) == 1)


def steepest_ascent(landscape: Landscape, start: int) -> list[int]:
    """The cells that the climb stands at, the local optimum last."""
    path = [start]
    while landscape[around(path[-1])].max() > landscape[path[-1]]:
        path.append(int(around(path[-1])[landscape[around(path[-1])].argmax()]))
    return path


def proposals(tested: LocalSearch, landscape: Landscape, number: int) -> list[int]:
    found = []
    for _ in range(number):
        cell = tested.propose()
        assert isinstance(cell, Cell)
        tested.observe(cell, float(landscape[cell.index]))
        found.append(cell.index)
    return found


def test_neighbours_are_the_cells_that_differ_on_one_edge() -> None:
    for index in (0, 1462, 9930):
        assert sorted(cell.index for cell in neighbours(Cell.from_index(index))) == around(index).tolist()


def test_the_first_climb_is_that_of_brute_force(landscape: Landscape) -> None:
    tested = search()
    start = proposals(tested, landscape, 1)[0]
    path = steepest_ascent(landscape, start)
    seen = set(np.concatenate([around(index) for index in path]).tolist()) | {start}
    assert len(path) > 2
    assert {start, *proposals(tested, landscape, len(seen) - 1)} == seen
    assert tested.climb() == []
    assert tested.centre is not None and tested.centre.index == path[-1]


def test_until_better_moves_at_once_and_ends_at_an_optimum(landscape: Landscape) -> None:
    tested = search(neighbours="until-better")
    tested.observe(tested.propose(), 0.0)
    centre = tested.centre
    assert centre is not None
    tested.observe(tested.propose(), -1.0)
    assert tested.climb() and tested.centre == centre
    better = tested.propose()
    tested.observe(better, 1.0)
    tested.climb()
    assert tested.centre == better

    tested, stands = search(neighbours="until-better"), []
    while not stands or tested.climb():
        index = proposals(tested, landscape, 1)[0]
        stands.append(index)
    assert tested.centre is not None
    last = tested.centre.index
    assert landscape[around(last)].max() < landscape[last]
    assert landscape[last] == landscape[stands].max()


@pytest.mark.parametrize("way", ["all", "until-better"])
def test_after_an_optimum_it_begins_anew_and_trains_no_cell_twice(way: str) -> None:
    flat = np.zeros(CELL_COUNT)  # every cell is an optimum
    tested = search(neighbours=way)
    found = proposals(tested, flat, 200)
    assert len(set(found)) == 200
    starts = found[::25] if way == "all" else [found[0], found[25]]
    assert set(found[1:25]) == set(around(found[0]).tolist())
    assert starts[1] not in around(starts[0])


def test_which_neighbour_comes_first_is_drawn_uniformly() -> None:
    tested = search()
    tested.observe(tested.propose(), 50.0)
    centre = tested.centre
    assert centre is not None
    counts = Counter(tested.propose() for _ in range(2400))
    assert set(counts) == set(neighbours(centre))
    assert sum((count - 100) ** 2 / 100 for count in counts.values()) < 49.7  # 23 degrees of freedom, p = 0.001


def test_a_walk_through_the_whole_space_begins_anew_without_end() -> None:
    tested = search()
    tested.scores = dict.fromkeys(all_cells(), 50.0)
    cell = tested.propose()
    assert tested.scores == {}
    assert tested.centre == cell


def test_it_begins_anew_at_a_cell_without_a_score() -> None:
    tested = search()
    left = Cell.from_index(7)
    tested.scores = {cell: 50.0 for cell in all_cells() if cell != left}
    assert tested.begin_anew() == left


def test_it_finds_the_best_cell_of_a_landscape_without_pairs() -> None:
    """Where each edge counts by itself, there is one optimum, and a climb takes a step an edge at most."""
    weights = np.random.default_rng(0).uniform(0, 10, (6, 5))
    scores = weights[np.arange(6), SPACE].sum(axis=1)
    signal = Signal(scores[None], np.ones((1, CELL_COUNT)), notes=())
    rows = run_baseline(LocalSearch, LocalSearch.Settings(evaluations=1 + 6 * 24), 0, signal)
    assert Cell.from_string(rows["cell"].iloc[-1]).index == scores.argmax()
