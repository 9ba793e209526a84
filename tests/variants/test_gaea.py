import numpy as np
import pytest
import torch
from pydantic import ValidationError

from harness.search.optimizers import SGD
from harness.search.variant import Phase
from harness.testing import tiny_search
from harness.testing.searches import first_step
from variants.darts import Darts
from variants.gaea import MIXTURE, Gaea, exponentiated_step


def multiplied(theta: np.ndarray, slope: np.ndarray, rate: float, floor: float) -> np.ndarray:
    """The step by its definition, on the simplex itself."""
    moved = theta * np.exp(-rate * slope)
    moved = np.maximum(moved / moved.sum(axis=1, keepdims=True), floor)
    return moved / moved.sum(axis=1, keepdims=True)


def test_steps_of_the_logits_are_the_steps_on_the_simplex() -> None:
    """SGD on log theta with the slope along theta, and theta multiplied: 100 steps, with and without the floor."""
    for scale, floor in ((1.0, 1e-5), (30.0, 1e-2)):
        search = tiny_search(Gaea, {"floor": floor}, precision="float64")
        step, random = first_step(search), np.random.default_rng(3)
        theta = torch.softmax(search.architecture["alpha"].detach(), dim=-1).numpy()
        lifted = False
        for _ in range(100):
            slope = scale * random.standard_normal((6, 5))
            search.variant._slope = lambda step, theta, slope=slope: torch.from_numpy(slope)
            search._alpha_step(step)
            theta = multiplied(theta, slope, 0.1, floor)
            lifted |= bool((theta < 1.1 * floor).any())
            found = search.variant.op_weights(search.architecture, search.moment(Phase.DERIVE)).detach().numpy()
            np.testing.assert_allclose(found, theta, rtol=0, atol=1e-12)
            np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
        assert lifted == (scale > 1)


def test_without_the_floor_the_gradient_is_the_slope_along_the_op_weights() -> None:
    search = tiny_search(Gaea, precision="float64")
    step = first_step(search)
    theta = torch.softmax(search.architecture["alpha"].detach(), dim=-1).requires_grad_()
    (slope,) = torch.autograd.grad(step.valid_loss(step.weights, {MIXTURE: theta}), theta)
    found = search.variant.alpha_gradient(step)["alpha"]
    # Up to a constant an edge, which no softmax sees.
    difference = found - slope
    assert torch.allclose(difference, difference.mean(dim=1, keepdim=True).expand_as(difference), atol=1e-9)
    plain = tiny_search(Darts, precision="float64")
    assert not torch.allclose(found, plain.variant.alpha_gradient(first_step(plain))["alpha"], rtol=0.1)


def test_a_constant_slope_moves_nothing_and_a_large_one_overflows_nothing() -> None:
    theta = torch.softmax(torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), dim=-1)
    assert torch.allclose(exponentiated_step(theta, torch.full_like(theta, 7.0), 0.1, 1e-5), theta, atol=1e-15)
    steep = torch.zeros_like(theta)
    steep[:, 2] = -1e6
    assert torch.allclose(exponentiated_step(theta, steep, 0.1, 1e-5)[:, 2], torch.full((6,), 1.0).double(), atol=1e-4)


def test_the_protocols_rate_and_decay_are_for_adam() -> None:
    alpha_optimizer = tiny_search(Gaea, {"alpha_lr": 0.7}).alpha_optimizer
    assert isinstance(alpha_optimizer, SGD)
    assert alpha_optimizer.settings == {"lr": 0.7, "momentum": 0, "nesterov": False, "weight_decay": 0}


@pytest.mark.parametrize("settings", [{"alpha_lr": 0}, {"floor": 0}, {"floor": 0.2}])
def test_settings_without_a_meaning_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Gaea.Settings(**settings)
