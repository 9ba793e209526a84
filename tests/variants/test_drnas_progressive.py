import copy

import pytest
import torch

from harness.base.errors import UserError
from harness.search.variant import Phase
from harness.testing import first_step
from tests.variants.searches import assert_resumes, moment, start
from variants.drnas import Drnas, sample_dirichlet
from variants.drnas_progressive import DrnasProgressive


def test_the_first_stage_draws_what_drnas_draws() -> None:
    one, other = start(Drnas), start(DrnasProgressive)
    for phase in Phase:
        left, right = (each.variant.op_weights(each.architecture, moment(each, phase)) for each in (one, other))
        assert torch.equal(left, right)


def test_two_stages_of_channels_operations_and_warm_up() -> None:
    tested = start(DrnasProgressive, protocol={"epochs": 4, "network__channels": 8}, warm_up=0.5)
    seen, rates = [], []
    for _ in range(4):
        before = tested.architecture["alpha"].detach().clone()
        kept = int((tested.derived_op_weights() > 0).sum())
        rates.append(tested.run_epoch()["learning_rate"])
        moved = not torch.equal(tested.architecture["alpha"], before)
        seen.append((tested.supernet.spec.partial_channels, kept, moved))
    # The net is wider already at the end of the second epoch.
    assert seen == [(4, 30, False), (2, 30, True), (2, 18, False), (2, 18, True)]
    # One cosine over the whole search.
    assert rates == sorted(rates, reverse=True)


def test_the_second_stage_goes_on_with_alpha_its_optimiser_and_the_widened_weights() -> None:
    tested = start(DrnasProgressive, protocol={"epochs": 4})
    tested.run_epoch()
    end_of_epoch = tested.variant.end_of_epoch
    old = {}

    def watching(search):
        old["weights"] = copy.deepcopy(search.supernet.state_dict())
        old["alpha"] = search.architecture["alpha"].detach().clone()
        old["moment"] = search.alpha_optimizer.state[search.architecture["alpha"]]["exp_avg"].clone()
        return end_of_epoch(search)

    tested.variant.end_of_epoch = watching
    tested.run_epoch()
    alpha = tested.architecture["alpha"]
    assert torch.equal(alpha, old["alpha"])
    assert torch.equal(tested.alpha_optimizer.state[alpha]["exp_avg"], old["moment"])
    assert not tested.weight_optimizer.state
    new = tested.supernet.state_dict()
    assert torch.equal(new["stem.0.weight"], old["weights"]["stem.0.weight"])
    name = "cells.2.edges.0_3.nor_conv_1x1.convolution.weight"
    assert new[name].shape == (8, 8, 1, 1)
    assert torch.allclose(new[name], old["weights"][name].repeat(2, 2, 1, 1) / 2)


def test_dropped_operations_weigh_nothing_and_get_no_gradient() -> None:
    tested = start(DrnasProgressive, warm_up=0.0)
    with torch.no_grad():
        tested.architecture["alpha"].copy_(torch.tensor([0.3, -1.0, 0.2, 2.0, -0.5]).expand(6, 5))
    tested.variant._active = ((True, False, True, True, False),) * 6
    for phase in Phase:
        drawn = tested.variant.op_weights(tested.architecture, moment(tested, phase))
        assert torch.equal(drawn[:, [1, 4]], torch.zeros(6, 2))
        assert torch.allclose(drawn.sum(dim=1), torch.ones(6))
    b = torch.tensor([1.3, 1.2, 3.0])
    assert torch.allclose(drawn[0, [0, 2, 3]], b / b.sum())
    found = tested.variant.alpha_gradient(first_step(tested))["alpha"]
    assert (found[:, [1, 4]] == 0).all()
    assert (found[:, 2:4] != 0).all()


def test_the_kept_part_of_a_dirichlet_vector_is_one_of_the_kept_concentrations() -> None:
    b, draws = torch.tensor([0.5, 1.0, 2.0, 3.0, 0.7], dtype=torch.float64), 50_000
    whole = sample_dirichlet(b.expand(draws, 5), seed=0)[:, :3]
    renormalised = whole / whole.sum(dim=1, keepdim=True)
    direct = sample_dirichlet(b[:3].expand(draws, 3), seed=1)
    for power in (1, 2):
        one, other = renormalised**power, direct**power
        deviation = ((one.var(dim=0) + other.var(dim=0)) / draws).sqrt()
        assert ((one.mean(dim=0) - other.mean(dim=0)).abs() < 4 * deviation).all()


def test_channels_must_be_a_multiple_of_four() -> None:
    with pytest.raises(UserError, match="expected a multiple of 4 for partial channels, not 6"):
        start(DrnasProgressive, protocol={"network__channels": 6})


@pytest.mark.parametrize("anchor", ["weight-decay", "kl"])
def test_it_resumes_bit_equal(anchor: str) -> None:
    assert_resumes(DrnasProgressive, anchor=anchor)
