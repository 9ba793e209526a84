from collections.abc import Sequence

import pytest
import torch

from harness.search.loop import Search
from harness.search.variant import Stop
from harness.space.cell import OPERATIONS, Cell
from tests.harness.search.test_loop import assert_same, without_timing
from tests.variants.searches import assert_resumes, start
from variants.darts import Darts
from variants.darts_plus import DartsPlus

NONE, SKIP, CONV1, CONV3, _ = range(5)


def put(tested: Search, codes: Sequence[int], second: int = CONV3) -> None:
    """Give alpha the cell of these codes, with a second choice."""
    alpha = torch.zeros(6, 5)
    alpha[:, second] = 1.0
    alpha[torch.arange(6), torch.tensor(codes)] = 2.0
    with torch.no_grad():
        tested.architecture["alpha"].copy_(alpha)


def follow(tested: Search, series: Sequence[Sequence[int]]) -> int | None:
    """Show the variant one alpha an epoch; return the epoch in which it stops."""
    for epoch, codes in enumerate(series, start=1):
        put(tested, codes)
        tested.epoch = epoch
        decision = tested.variant.end_of_epoch(tested)
        if isinstance(decision, Stop):
            assert decision.reason.endswith(f"in epoch {epoch}")
            return epoch
    return None


def skips(count: int, other: int = CONV3) -> list[int]:
    return [SKIP] * count + [other] * (6 - count)


def cell(codes: Sequence[int]) -> Cell:
    return Cell(tuple(OPERATIONS[code] for code in codes))


def test_two_skips_stop_it_and_the_answer_is_the_cell_before() -> None:
    tested = start(DartsPlus, protocol={"epochs": 10})
    series = [skips(0), skips(1, CONV1), skips(0), skips(1), skips(2), skips(0)]
    assert follow(tested, series) == 5
    assert tested.variant.derive(tested) == cell(skips(1))


def test_nothing_stops_before_the_earliest_stop() -> None:
    tested = start(DartsPlus, protocol={"epochs": 50})
    series = [skips(4)] * 3 + [skips(1)] + [skips(5)] * 5 + [skips(3)] * 2
    assert follow(tested, series) == 10
    # The fourth epoch's cell was the last below the limit.
    assert tested.variant.derive(tested) == cell(skips(1))


def test_a_search_without_any_admissible_cell_answers_with_what_it_has() -> None:
    tested = start(DartsPlus, protocol={"epochs": 10})
    assert follow(tested, [skips(4)] * 5) == 2
    assert tested.variant.derive(tested) == cell(skips(4))


@pytest.mark.parametrize("limit", [1, 2, 3, 6])
def test_the_limit_is_a_setting(limit: int) -> None:
    tested = start(DartsPlus, protocol={"epochs": 10}, max_skips=limit, earliest_stop=0.0)
    assert follow(tested, [skips(count) for count in range(7)]) == limit + 1
    assert tested.variant.derive(tested) == cell(skips(limit - 1))


def test_a_stable_ranking_of_the_convolutions_stops_it() -> None:
    tested = start(DartsPlus, protocol={"epochs": 20}, criterion="rank-stable", patience=3 / 20, earliest_stop=0.1)
    one, other = skips(0, CONV1), skips(0, CONV3)
    # The ranking flips in epoch 4, then stays for three epochs; what skip and none do does not matter.
    series = [one, one, one, other, other, [SKIP] * 6, [NONE] * 6, other]
    assert follow(tested, series) == 7
    assert tested.variant.derive(tested) == cell([NONE] * 6)


def test_one_edge_that_changes_its_ranking_is_enough_to_go_on() -> None:
    tested = start(DartsPlus, protocol={"epochs": 20}, criterion="rank-stable", patience=2 / 20, earliest_stop=0.0)
    turning = [[CONV1 if epoch % 2 else CONV3] + [CONV3] * 5 for epoch in range(8)]
    assert follow(tested, turning) is None
    assert follow(tested, [turning[-1]] * 3) == 2


def test_until_it_stops_it_is_darts() -> None:
    plain, ours = start(Darts), start(DartsPlus, max_skips=6)
    for _ in range(3):
        assert without_timing(plain.run_epoch()) == without_timing(ours.run_epoch())
    assert_same(plain.architecture, ours.architecture)


@pytest.mark.parametrize("settings", [{"max_skips": 6}, {"criterion": "rank-stable", "patience": 1.0}])
def test_it_resumes_bit_equal(settings) -> None:
    tested = assert_resumes(DartsPlus, **settings)
    assert tested.passes == 2 * 3 * tested.data.steps_per_epoch


def test_the_count_towards_the_stop_survives_a_resume() -> None:
    tested = start(DartsPlus, protocol={"epochs": 20}, criterion="rank-stable", patience=3 / 20, earliest_stop=0.0)
    follow(tested, [skips(0)] * 3)
    resumed = start(DartsPlus, protocol={"epochs": 20}, criterion="rank-stable", patience=3 / 20, earliest_stop=0.0)
    resumed.variant.load_state(tested.variant.state())
    assert follow(resumed, [skips(0)]) == 1
