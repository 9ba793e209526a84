import pytest
import torch

from harness.search.variant import Phase
from tests.harness.search.test_loop import assert_same, without_timing
from tests.variants.searches import assert_resumes, moment, start
from variants.darts import Darts
from variants.warm_start import WarmStart

MIXTURES = {"convolutions": [0, 0, 0.5, 0.5, 0], "uniform": [0.2] * 5}


@pytest.mark.parametrize("mixture", MIXTURES)
def test_the_weights_warm_up_on_the_declared_mixture(mixture) -> None:
    tested = start(WarmStart, protocol={"epochs": 50}, mixture=mixture)
    fixed = torch.tensor(MIXTURES[mixture]).expand(6, 5)
    with torch.no_grad():
        tested.architecture["alpha"].normal_()
    usual = torch.softmax(tested.architecture["alpha"], dim=-1)

    def op_weights(phase: Phase, epoch: int) -> torch.Tensor:
        return tested.variant.op_weights(tested.architecture, moment(tested, phase, epoch))

    assert torch.equal(op_weights(Phase.WEIGHTS, 0), fixed)
    assert torch.equal(op_weights(Phase.WEIGHTS, 9), fixed)
    assert torch.equal(op_weights(Phase.WEIGHTS, 10), usual)
    assert torch.equal(op_weights(Phase.DERIVE, 0), usual)


def test_alpha_rests_and_then_moves() -> None:
    tested = start(WarmStart, warm_up=1 / 3)
    begin = tested.architecture["alpha"].detach().clone()
    tested.run_epoch()
    assert torch.equal(tested.architecture["alpha"], begin)
    tested.run_epoch()
    assert not torch.equal(tested.architecture["alpha"], begin)
    assert tested.passes == 3 * tested.data.steps_per_epoch


def test_only_the_convolutions_are_trained_on() -> None:
    """Cells whose edges are all convolutions do not depend on alpha during the warm-up."""
    one, other = start(WarmStart, warm_up=0.5), start(WarmStart, warm_up=0.5)
    with torch.no_grad():
        other.architecture["alpha"].normal_()
    one.run_epoch(), other.run_epoch()
    assert_same(one.supernet.state_dict(), other.supernet.state_dict())
    one.run_epoch(), other.run_epoch()
    assert not torch.equal(one.supernet.stem[0].weight, other.supernet.stem[0].weight)


def test_without_a_warm_up_it_is_darts() -> None:
    plain, ours = start(Darts), start(WarmStart, warm_up=0.0)
    assert without_timing(plain.run_epoch()) == without_timing(ours.run_epoch())


def test_it_resumes_bit_equal() -> None:
    assert_resumes(WarmStart, warm_up=0.5)
