import itertools

import numpy as np
import pytest
import torch

from harness.networks.supernet import Controls
from harness.search.variant import Phase
from harness.space.cell import OPERATIONS
from harness.testing import tiny_search
from tests.variants.searches import assert_resumes
from variants.darts import Darts
from variants.drop_branch import DropBranch

SKIP, POOL = 1, 4
P = 0.3


def scale(search, phase=Phase.WEIGHTS, batch_size=20):
    return search.variant.controls(search.architecture, search.moment(phase, batch_size=batch_size)).operation_scale


def test_only_the_skip_is_dropped_and_each_sample_by_itself() -> None:
    search = tiny_search(DropBranch, {"probability": P}, network__cells_per_stage=2)
    factors = scale(search, batch_size=2000)
    assert factors.shape == (6, 6, 5, 2000)
    others = [column for column in range(5) if column != SKIP]
    assert (factors[:, :, others] == 1).all()
    skip = factors[:, :, SKIP].double()
    assert torch.allclose(skip.unique(), torch.tensor([0, 1 / (1 - P)], dtype=torch.float64))
    assert float((skip == 0).double().mean()) == pytest.approx(P, abs=0.01)
    assert np.abs(np.corrcoef(skip.reshape(36, -1).numpy()) - np.eye(36)).max() < 0.12  # no two branches go together
    assert not torch.equal(scale(search), scale(search))
    assert not torch.equal(scale(tiny_search(DropBranch)), scale(tiny_search(DropBranch), Phase.ALPHA))


def test_the_schedule_and_the_derivation() -> None:
    search = tiny_search(DropBranch, {"probability": P}, epochs=10)
    constant = tiny_search(DropBranch, {"probability": P, "schedule": "constant"}, epochs=10)
    for epoch in (0, 5, 9):
        search.epoch = constant.epoch = epoch
        moment = search.moment(Phase.WEIGHTS)
        assert search.variant.probability(moment) == pytest.approx(P * (1 - epoch / 10))
        assert constant.variant.probability(moment) == P
    search.epoch = 10
    assert search.variant.controls(search.architecture, search.moment(Phase.WEIGHTS)) == Controls()
    search.epoch = 0
    assert search.variant.controls(search.architecture, search.moment(Phase.DERIVE)) == Controls()


def first_cell(search, images, op_weights, controls):
    """Features behind the first cell."""
    caught = []
    hook = search.supernet.cells[0].register_forward_hook(lambda module, inputs, output: caught.append(output))
    search.supernet(images, op_weights, controls)
    hook.remove()
    return caught[0]


def test_output_and_alpha_gradient_are_those_of_darts_in_the_mean_over_masks() -> None:
    """Without convolutions a cell is linear in each edge's factor, so that the mean over all masks is exact."""
    search = tiny_search(DropBranch, precision="float64")
    images, _ = next(iter(search.data.epoch("train", 0)))
    p = torch.zeros(6, 5, dtype=torch.float64)
    p[:, [SKIP, POOL]] = 0.2 + torch.rand(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    p.requires_grad_()

    def output_and_gradient(controls):
        output = first_cell(search, images, p, controls)
        return output.detach(), torch.autograd.grad(output.sum(), p)[0]

    plain, plain_gradient = output_and_gradient(Controls())
    mean, mean_gradient = torch.zeros_like(plain), torch.zeros_like(plain_gradient)
    for kept in itertools.product((0, 1), repeat=6):
        probability = np.prod([1 - P if one else P for one in kept])
        factors = torch.ones(3, 6, 5, len(images), dtype=torch.float64)
        factors[:, :, SKIP] = (torch.tensor(kept, dtype=torch.float64) / (1 - P))[:, None]
        output, gradient = output_and_gradient(Controls(operation_scale=factors))
        mean, mean_gradient = mean + probability * output, mean_gradient + probability * gradient
    assert torch.allclose(mean, plain, atol=1e-10)
    linear = [SKIP, POOL]
    assert torch.allclose(mean_gradient[:, linear], plain_gradient[:, linear], atol=1e-8)


def test_the_gradient_of_skip_is_scaled_by_its_mask() -> None:
    search = tiny_search(DropBranch, {"probability": P}, precision="float64")
    images, _ = next(iter(search.data.epoch("train", 0)))
    factors = scale(search)[..., :1].expand(-1, -1, -1, len(images)).clone()  # the same mask for all samples
    op_weights = torch.softmax(torch.randn(3, 6, 5, dtype=torch.float64), dim=-1).requires_grad_()
    masked = search.supernet(images, op_weights, Controls(operation_scale=factors))
    scaled = (op_weights * factors[..., 0]).detach().requires_grad_()
    plain = search.supernet(images, scaled)
    assert torch.allclose(masked, plain)
    seed = torch.randn_like(plain)
    (found,) = torch.autograd.grad((masked * seed).sum(), op_weights)
    (expected,) = torch.autograd.grad((plain * seed).sum(), scaled)
    assert torch.allclose(found, factors[..., 0] * expected)
    dropped = factors[:, :, SKIP, 0] == 0
    assert dropped.any()
    assert (found[:, :, SKIP][dropped] == 0).all()
    assert OPERATIONS[SKIP] == "skip_connect"


def test_without_dropout_it_is_darts() -> None:
    one, other = tiny_search(DropBranch, {"probability": 0.0}), tiny_search(Darts)
    one.run_epoch()
    other.run_epoch()
    assert torch.equal(one.architecture["alpha"], other.architecture["alpha"])


@pytest.mark.parametrize("schedule", ["constant", "decaying"])
def test_a_resumed_search_is_the_same_search(schedule) -> None:
    assert_resumes(DropBranch, schedule=schedule)
