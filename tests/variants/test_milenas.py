import pytest
import torch

from harness.testing import first_step, tiny_search
from tests.harness.search.test_loop import assert_same
from variants.darts import Darts
from variants.milenas import MiLeNas


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_the_gradient_is_that_of_the_summed_losses(weight) -> None:
    tested = tiny_search(MiLeNas, {"train_weight": weight}, precision="float64", alpha__init_scale=1.0)
    step = first_step(tested)
    found = tested.variant.alpha_gradient(step)["alpha"]
    both = step.valid_loss(step.weights, step.architecture) + weight * step.train_loss(step.weights, step.architecture)
    (expected,) = torch.autograd.grad(both, step.architecture["alpha"])
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)
    (valid,) = torch.autograd.grad(step.valid_loss(step.weights, step.architecture), step.architecture["alpha"])
    assert float((found - valid).norm()) > 0.1 * float(valid.norm())


def test_without_the_training_loss_it_is_darts_bit_for_bit() -> None:
    without, plain = tiny_search(MiLeNas, {"train_weight": 0.0}), tiny_search(Darts)
    for _ in range(3):
        without.run_epoch()
        plain.run_epoch()
    assert_same(without.state(), plain.state())


def test_the_extra_pass_leaves_the_weights_and_their_statistics_alone() -> None:
    tested = tiny_search(MiLeNas, network__batch_statistics=False)
    before = {name: value.clone() for name, value in tested.supernet.state_dict().items()}
    tested.variant.alpha_gradient(first_step(tested))
    counters = {name for name in before if name.endswith("num_batches_tracked")}
    assert_same(
        {name: value for name, value in tested.supernet.state_dict().items() if name not in counters},
        {name: value for name, value in before.items() if name not in counters},
    )
