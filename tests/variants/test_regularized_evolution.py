from collections import Counter

import pytest

from harness.base.streams import stream
from harness.space.cell import ALL_CONV3, ALL_SKIP, CONV3, Cell
from variants.regularized_evolution import RegularizedEvolution


def search(seed: int = 0, **settings: int) -> RegularizedEvolution:
    return RegularizedEvolution(RegularizedEvolution.Settings(**settings), stream(seed, "test"))


def fill(tested: RegularizedEvolution, scores: list[float]) -> list[Cell]:
    cells = []
    for score in scores:
        cells.append(tested.propose())
        tested.observe(cells[-1], score)
    return cells


def differences(one: Cell, other: Cell) -> int:
    return sum(a != b for a, b in zip(one.operations, other.operations, strict=True))


def test_a_mutation_changes_one_edge_to_any_other_operation() -> None:
    tested = search()
    children = [tested.mutate(ALL_CONV3) for _ in range(2400)]
    assert {differences(ALL_CONV3, child) for child in children} == {1}
    changes = Counter(
        (edge, operation) for child in children for edge, operation in enumerate(child.operations) if operation != CONV3
    )
    assert len(changes) == 24
    assert sum((count - 100) ** 2 / 100 for count in changes.values()) < 49.7  # 23 degrees of freedom, p = 0.001


def test_the_oldest_dies_however_good_it_is() -> None:
    tested = search(population=3)
    first = fill(tested, [99.0, 1.0, 2.0])
    fill(tested, [3.0])
    assert [score for score, _ in tested.alive] == [1.0, 2.0, 3.0]
    assert first[0] not in [cell for _, cell in tested.alive]


def test_the_first_cells_are_random_and_the_next_are_children_of_the_best() -> None:
    tested = search(population=4, tournament=64)  # so large that the best is always drawn
    first = fill(tested, [10.0, 40.0, 30.0, 20.0])
    assert max(differences(one, other) for one in first for other in first) > 2
    assert all(differences(tested.propose(), first[1]) == 1 for _ in range(20))


@pytest.mark.parametrize("tournament", [1, 3])
def test_the_tournament_draws_with_replacement(tournament: int) -> None:
    tested = search(population=2, tournament=tournament)
    tested.observe(ALL_SKIP, 1.0)
    tested.observe(ALL_CONV3, 2.0)
    worse = sum(differences(tested.propose(), ALL_SKIP) == 1 for _ in range(2000)) / 2000
    assert worse == pytest.approx(0.5**tournament, abs=0.04)


def test_a_population_that_no_queue_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="population"):
        RegularizedEvolution.Settings(population=2**63)
