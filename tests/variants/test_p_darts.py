import math

import numpy as np
import pytest
import torch

from harness.base.errors import UserError
from harness.search.loop import Search
from harness.search.variant import Phase
from harness.space.cell import SKIP, Cell
from tests.variants.searches import assert_resumes, moment, start
from variants.p_darts import PDarts, dropout_rate


def test_dropout_schedule_by_hand_over_the_papers_25_epochs() -> None:
    rates = [dropout_rate(0.7, epoch / 25, 10 / 25) for epoch in range(25)]
    assert rates[0] == pytest.approx(0.7 * 24 / 25)
    assert rates[9] == pytest.approx(0.7 * 15 / 25)
    assert rates[10] == pytest.approx(0.7)
    assert rates[11] == pytest.approx(0.7 * math.exp(-0.2))
    assert rates[24] == pytest.approx(0.7 * math.exp(-2.8))


@pytest.mark.parametrize(
    ("schedule", "epochs", "lengths"),
    [
        ("paper", 75, (25, 25, 25)),
        ("paper", 50, (17, 16, 17)),
        ("growing", 83, (8, 25, 50)),
        ("growing", 50, (5, 15, 30)),
        ("growing", 3, (1, 1, 1)),
    ],
)
def test_stage_lengths(schedule, epochs, lengths) -> None:
    tested = start(PDarts, protocol={"epochs": epochs}, schedule=schedule)
    assert tested.variant._stages.lengths == lengths
    assert tested.variant.first_stage_epochs() == lengths[0]


@pytest.mark.parametrize(("cells", "depths"), [(5, (1, 3, 5)), (1, (1, 1, 1)), (2, (1, 1, 2)), (3, (1, 2, 3))])
def test_depth_grows_towards_the_protocols(cells, depths) -> None:
    tested = start(PDarts, protocol={"network__cells_per_stage": cells})
    found = []
    for stage in range(3):
        tested.variant._stage = stage
        found.append(tested.variant._spec().shape.cells_per_stage)
    assert tuple(found) == depths


def test_fewer_epochs_than_stages_are_refused() -> None:
    with pytest.raises(UserError, match="3 stages needs at least 3 epochs, not 2"):
        start(PDarts, protocol={"epochs": 2})


def test_three_stages_of_depth_operations_and_learning_rate() -> None:
    tested = start(PDarts, protocol={"epochs": 6, "network__cells_per_stage": 2})
    seen, last = [], {}
    for _ in range(6):
        kept = tested.derived_op_weights() > 0
        seen.append((len(tested.supernet.cells), set(kept.sum(axis=1)), tested.supernet))
        row = tested.run_epoch()
        last[tested.epoch] = (row["learning_rate"], kept)
    assert [cells for cells, _, _ in seen] == [3, 3, 3, 3, 6, 6]
    assert [counts for _, counts, _ in seen] == [{5}, {5}, {4}, {4}, {3}, {3}]
    # What is dropped stays dropped.
    assert (last[5][1] <= last[3][1]).all()
    # The rate falls over each stage anew: the same values in all three, the first included.
    assert last[1][0] == last[3][0] == last[5][0]
    assert last[2][0] == last[4][0] == last[6][0]
    steps = tested.data.steps_per_epoch
    assert last[1][0] == pytest.approx(0.001 + 0.012 * (1 + math.cos(math.pi * (steps - 1) / steps / 2)))
    # Weights and alpha start afresh.
    assert seen[1][2] is not seen[2][2]


def test_a_new_stage_draws_alpha_anew_but_the_record_shows_the_old_one() -> None:
    tested = start(PDarts, warm_up=0.0)
    tested.run_epoch()
    shown = np.array([row["alpha"] for row in tested.alpha_rows])
    assert np.abs(shown).max() > 0.01
    assert tested.architecture["alpha"].abs().max() < 0.01


def test_the_operations_with_the_smallest_weights_are_dropped() -> None:
    tested = start(PDarts)
    with torch.no_grad():
        tested.architecture["alpha"].copy_(torch.tensor([0.1, 0.5, -1.0, 0.3, 0.2]).expand(6, 5))
    tested.epoch = 1
    tested.variant.end_of_epoch(tested)
    assert set(tested.variant._active) == {(True, True, False, True, True)}
    tested.epoch = 2
    tested.variant.end_of_epoch(tested)
    assert set(tested.variant._active) == {(False, True, False, True, True)}
    expected = torch.softmax(torch.tensor([0.5, 0.3, 0.2]), 0)
    assert tested.derived_op_weights()[0, [1, 3, 4]] == pytest.approx(expected.numpy())


def masks_of(tested: Search, phase: Phase) -> tuple[torch.Tensor, ...] | None:
    return tested.variant.controls(tested.architecture, moment(tested, phase, epoch=tested.epoch)).skip_masks


def test_skip_masks_are_element_wise_of_the_right_shape_and_rate() -> None:
    tested = start(PDarts)
    assert masks_of(tested, Phase.WEIGHTS) is None  # the first stage has rate 0
    tested.run_epoch()
    masks = masks_of(tested, Phase.WEIGHTS)
    assert [mask.shape for mask in masks] == [(6, *shape) for shape in tested.supernet.spec.feature_shapes(20)]
    values = torch.cat([mask.flatten() for mask in masks])
    rate = 0.4 * 24 / 25
    assert sorted(values.unique().tolist()) == pytest.approx([0.0, 1 / (1 - rate)])
    deviation = math.sqrt(rate * (1 - rate) / len(values))
    assert float((values == 0).double().mean()) == pytest.approx(rate, abs=4 * deviation)
    # Not per sample or channel: within one map some elements are kept and others are not.
    shares = [(mask == 0).double().mean(dim=(3, 4)) for mask in masks]
    assert all(((share > 0) & (share < 1)).any() for share in shares)
    assert masks_of(tested, Phase.DERIVE) is None
    assert torch.equal(masks[0], masks_of(tested, Phase.WEIGHTS)[0])
    assert not torch.equal(masks[0], masks_of(tested, Phase.ALPHA)[0])


def test_alpha_rests_in_the_first_part_of_each_stage() -> None:
    tested = start(PDarts, protocol={"epochs": 6}, warm_up=0.5)
    moved = []
    for _ in range(6):
        before = tested.architecture["alpha"]
        begin = before.detach().clone()
        tested.run_epoch()
        moved.append(not torch.equal(before, begin))
    assert moved == [False, True] * 3


def test_the_answer_has_at_most_m_skip_connections() -> None:
    tested = start(PDarts, max_skips=2)
    with torch.no_grad():
        tested.architecture["alpha"].copy_(torch.tensor([0.0, 2.0, 0.0, 1.0, 0.0]).expand(6, 5))
        tested.architecture["alpha"][:, 1] += torch.arange(6) / 10
    own, rules = tested.derive()
    assert own.counts[SKIP] == 2
    assert own == Cell(("nor_conv_3x3",) * 4 + (SKIP,) * 2)
    assert rules["argmax"].counts[SKIP] == 6
    assert rules["skip-cap-1"].counts[SKIP] == 1


def test_a_diverged_stage_stays_diverged() -> None:
    """A rebuild at the end of the stage would hide it."""
    tested = start(PDarts)
    with torch.no_grad():
        tested.architecture["alpha"][0, 0] = torch.nan
    tested.run_epoch()
    assert not tested.finite
    assert tested.variant._stage == 0


@pytest.mark.parametrize("schedule", ["paper", "growing"])
def test_it_resumes_bit_equal(schedule) -> None:
    assert_resumes(PDarts, protocol={"network__cells_per_stage": 2}, schedule=schedule)
