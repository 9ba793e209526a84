import numpy as np
import pytest
import torch
from pydantic import ValidationError

from harness.networks.supernet import every_operation
from harness.search.variant import Phase
from harness.testing import first_step, tiny_search
from tests.variants.searches import assert_resumes, moment, start
from variants.sgas import Sgas, scaled, scores, without_none

NONE, CONV3 = 0, 3


def hand_made() -> np.ndarray:
    return np.array(
        [
            [0.20, 0.20, 0.20, 0.20, 0.20],
            [0.00, 1.00, 0.00, 0.00, 0.00],
            [0.60, 0.10, 0.10, 0.10, 0.10],
            [0.10, 0.45, 0.45, 0.00, 0.00],
            [0.50, 0.00, 0.00, 0.50, 0.00],
            [0.20, 0.40, 0.20, 0.20, 0.00],
        ]
    )


def test_scores_by_hand() -> None:
    p = hand_made()
    importance = np.array([0.8, 1.0, 0.4, 0.9, 0.5, 0.8])
    certainty = np.array([0, 1, 0, 0.5, 1, 1 - 1.5 / 2])  # 1 less the entropy in bits, over two bits
    first = (importance - 0.4) / 0.6 * certainty
    assert scores(p, [], criterion=1) == pytest.approx(first)
    assert scores(p, [], criterion=2) == pytest.approx(first)  # nothing to look back at
    past = p.copy()
    past[1] = [0.5, 0.25, 0.25, 0, 0]  # q: half of it where it was
    past[3] = [0.0, 0.0, 0.0, 0.0, 1.0]  # q: nothing
    past[4] = [0.0, 0.0, 0.0, 0.75, 0.25]
    stability = np.array([1, (0.5 + 1) / 2, 1, 0.5, (0.75 + 1) / 2, 1])
    found = scores(p, [past.tolist(), p.tolist()], criterion=2)
    assert found == pytest.approx(first * (stability - 0.5) / 0.5)
    assert scores(p, [past.tolist()], criterion=1) == pytest.approx(first)


def test_none_is_taken_out_and_equal_values_tell_nothing_apart() -> None:
    assert without_none(hand_made())[5] == pytest.approx([0, 0.5, 0.25, 0.25, 0])
    assert without_none(hand_made())[4] == pytest.approx([0, 0, 0, 1, 0])
    assert scaled(np.array([3.0, 3.0])).tolist() == [1, 1]
    assert scaled(np.array([3.0, 1.0, 2.0])).tolist() == [1, 0, 0.5]


def decisions(epochs: int, **settings) -> list[int]:
    """After which epochs edges are decided, one entry an edge."""
    tested = start(Sgas, {"epochs": epochs}, **settings)
    found = []
    for epoch in range(1, epochs + 1):
        tested.epoch = epoch
        before = len(tested.variant._decided)
        tested.variant.end_of_epoch(tested)
        found += [epoch] * (len(tested.variant._decided) - before)
    return found


def test_the_decision_epochs_are_those_of_the_paper() -> None:
    assert decisions(40) == [9, 14, 19, 24, 29, 34]
    assert decisions(80) == [18, 28, 38, 48, 58, 68]
    assert decisions(40, first_decision=0.5, interval=0.0) == [20] * 6
    assert len(decisions(3)) == 6


def set_op_weights(search, p: np.ndarray) -> None:
    with torch.no_grad():
        search.architecture["alpha"].copy_(torch.from_numpy(np.log(p + 1e-12)))


def test_the_surest_edge_is_decided_and_stays_so() -> None:
    tested = start(Sgas, {"epochs": 40, "precision": "float64"})
    set_op_weights(tested, hand_made())
    for epoch in range(1, 10):
        tested.epoch = epoch
        tested.variant.end_of_epoch(tested)
    assert tested.variant._decided == {1: 1}  # the largest score, and its skip
    set_op_weights(tested, np.full((6, 5), 0.2))
    for phase in Phase:
        found = tested.variant.op_weights(tested.architecture, moment(tested, phase, 10))
        assert found[1].tolist() == [0, 1, 0, 0, 0]
        assert torch.allclose(found[[0, 2, 3, 4, 5]], torch.tensor(0.2, dtype=torch.float64))
    # It is judged as it was decided, and neither chosen again nor forgotten in the scaling.
    set_op_weights(tested, hand_made()[[0, 2, 2, 3, 4, 5]])
    tested.epoch = 14
    tested.variant.end_of_epoch(tested)
    assert np.allclose(tested.variant._past[-1][1], hand_made()[1])
    assert tested.variant._decided == {1: 1, 3: 1}
    assert len(tested.variant._past) == 4


def test_none_leads_and_is_not_chosen() -> None:
    tested = start(Sgas, {"epochs": 40}, interval=0.0)
    p = np.full((6, 5), 0.05)
    p[:, NONE], p[:, CONV3] = 0.7, 0.15
    set_op_weights(tested, p)
    tested.epoch = 9
    tested.variant.end_of_epoch(tested)
    answer, rules = tested.derive()
    assert answer == rules["argmax"]
    assert answer.codes == (CONV3,) * 6


def test_in_the_end_the_network_is_the_cell_and_alpha_rests() -> None:
    tested = tiny_search(Sgas, {"first_decision": 0.3, "interval": 0.0})
    assert tested.variant.controls(tested.architecture, moment(tested, Phase.WEIGHTS)).active == every_operation()
    tested.epoch = 0
    tested.run_epoch()
    answer = tested.derive()[0]
    op_weights = tested.variant.op_weights(tested.architecture, tested.moment(Phase.WEIGHTS))
    assert torch.equal(op_weights, tested.one_hot(answer))
    active = tested.variant.controls(tested.architecture, tested.moment(Phase.WEIGHTS)).active
    assert torch.equal(torch.tensor(active), tested.one_hot(answer).bool())
    assert NONE not in answer.operations
    assert tested.variant.alpha_gradient(first_step(tested)) is None
    before, passes = tested.architecture["alpha"].detach().clone(), tested.passes
    tested.run_epoch()
    assert torch.equal(tested.architecture["alpha"].detach(), before)
    assert tested.passes == passes + tested.data.steps_per_epoch
    assert tested.derive()[0] == answer


def test_a_search_that_would_not_decide_every_edge_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"first_decision \+ 5 interval at most 1, not 1\.1"):
        Sgas.Settings(first_decision=0.6, interval=0.1)


@pytest.mark.parametrize("criterion", [1, 2])
def test_a_resumed_search_is_the_same_search(criterion) -> None:
    assert_resumes(Sgas, criterion=criterion)
