import pytest
import torch

from harness.base.errors import UserError
from harness.search.variant import Phase
from harness.space.cell import EDGES
from harness.testing import first_step
from tests.harness.search.test_loop import assert_same, without_timing
from tests.variants.searches import assert_resumes, moment, start
from variants.darts import Darts
from variants.pc_darts import PcDarts, edge_weights

PLAIN = {"channel_divisor": 1, "edge_normalisation": False, "warm_up": 0.0}


def test_without_its_parts_it_is_darts_bit_for_bit() -> None:
    plain, ours = start(Darts), start(PcDarts, **PLAIN)
    for _ in range(2):
        assert without_timing(plain.run_epoch()) == without_timing(ours.run_epoch())
    assert_same(plain.state(), ours.state())


@pytest.mark.parametrize("part", [{"channel_divisor": 2}, {"edge_normalisation": True}, {"warm_up": 0.4}])
def test_each_part_changes_the_search(part) -> None:
    plain, ours = start(Darts), start(PcDarts, **{**PLAIN, **part})
    assert without_timing(plain.run_epoch()) != without_timing(ours.run_epoch())


def test_edge_weights_are_a_softmax_over_the_edges_of_each_node() -> None:
    beta = torch.randn(6, dtype=torch.float64)
    found = edge_weights(beta)
    for edge, (_, target) in enumerate(EDGES):
        beside = [other for other, (_, node) in enumerate(EDGES) if node == target]
        assert torch.isclose(found[edge], beta[edge].exp() / beta[beside].exp().sum())


def test_alpha_and_beta_rest_in_the_warm_up_and_move_afterwards() -> None:
    tested = start(PcDarts, protocol={"network__channels": 8}, warm_up=1 / 3)
    begin = {name: value.detach().clone() for name, value in tested.architecture.items()}
    assert begin["beta"].shape == (6,)
    tested.run_epoch()
    assert all(torch.equal(tested.architecture[name], value) for name, value in begin.items())
    tested.run_epoch()
    assert all(not torch.equal(tested.architecture[name], value) for name, value in begin.items())
    steps = tested.data.steps_per_epoch
    assert tested.passes == 1 * steps + 2 * steps


def test_the_gradient_of_beta_is_that_of_the_validation_loss() -> None:
    tested = start(PcDarts, protocol={"precision": "float64"}, warm_up=0.0, channel_divisor=2)
    found = tested.variant.alpha_gradient(first_step(tested))["beta"]

    def loss(beta: torch.Tensor) -> float:
        with torch.no_grad():
            tested.architecture["beta"].copy_(beta)
            step = first_step(tested)
            return float(step.valid_loss(step.weights, step.architecture))

    beta = tested.architecture["beta"].detach().clone()
    for edge in range(6):
        shift = torch.zeros_like(beta)
        shift[edge] = 1e-5
        slope = (loss(beta + shift) - loss(beta - shift)) / 2e-5
        assert float(found[edge]) == pytest.approx(slope, rel=1e-4, abs=1e-9)
    # The only edge of node 1 has weight 1 whatever its beta.
    assert found[0] == 0


def test_random_channels_differ_by_edge_and_pass_and_are_fixed_for_the_derivation() -> None:
    tested = start(PcDarts, random_channels=True)
    architecture = tested.architecture

    def order(phase: Phase, epoch: int = 0) -> torch.Tensor:
        return tested.variant.controls(architecture, moment(tested, phase, epoch)).channel_order

    keys = order(Phase.WEIGHTS)
    assert keys.shape == (3, 6, 16)
    assert len({tuple(row.argsort().tolist()) for row in keys.reshape(-1, 16)}) == 18
    assert torch.equal(order(Phase.WEIGHTS), keys)
    assert not torch.equal(order(Phase.WEIGHTS, epoch=1), keys)
    assert not torch.equal(order(Phase.ALPHA), keys)
    assert torch.equal(order(Phase.DERIVE), torch.arange(16).expand(3, 6, 16))


def test_channels_that_do_not_divide_are_refused() -> None:
    with pytest.raises(UserError, match="expected a multiple of 3 for partial channels, not 4"):
        start(PcDarts, channel_divisor=3)


@pytest.mark.parametrize("random_channels", [False, True])
def test_it_resumes_bit_equal(random_channels: bool) -> None:
    assert_resumes(PcDarts, random_channels=random_channels)
