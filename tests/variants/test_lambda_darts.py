from itertools import combinations

import pytest
import torch
from pydantic import ValidationError
from torch.autograd.functional import jacobian

from harness.base.errors import UserError
from harness.base.named_tensors import constant
from harness.networks.supernet import twice_differentiable
from harness.testing import tiny_search
from harness.testing.searches import first_step
from tests.harness.search.test_loop import assert_same
from variants.darts import Darts
from variants.lambda_darts import SHIFT, LambdaDarts, alignment, alignment_slope


def random_gradients(cells: int = 4) -> torch.Tensor:
    return torch.randn(cells, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_the_alignment_is_the_mean_cosine_over_pairs() -> None:
    gradients = random_gradients()
    pairs = [torch.cosine_similarity(a.flatten(), b.flatten(), dim=0) for a, b in combinations(gradients, 2)]
    assert float(alignment(gradients)) == pytest.approx(float(torch.stack(pairs).mean()), abs=1e-14)
    assert float(alignment(gradients[:1].expand(3, -1, -1))) == pytest.approx(1)


def test_its_slope_is_that_of_autograd_and_zero_for_a_cell_without_gradient() -> None:
    gradients = random_gradients()
    assert torch.allclose(alignment_slope(gradients), jacobian(alignment, gradients), rtol=0, atol=1e-14)
    gradients[1] = 0
    found = alignment_slope(gradients)
    assert found.isfinite().all()
    assert not found[1].any()
    assert not alignment_slope(torch.zeros(3, 6, 5)).any()


def test_the_product_is_the_gradient_of_the_regularised_loss() -> None:
    """L - strength * Lambda, differentiated twice by autograd in float64.

    The step is so short that no ReLU switches on the way: autograd does not see that either.
    """
    settings = {"strength": 0.3, "radius": 1e-8}
    search = tiny_search(LambdaDarts, settings, precision="float64", network__cells_per_stage=2)
    search.epoch = 2  # the last, with the whole strength
    step = first_step(search)
    found = search.variant.weight_gradients(step)
    shift = torch.zeros(6, 6, 5, dtype=torch.float64, requires_grad=True)
    with twice_differentiable(search.supernet):
        loss = step.train_loss(step.weights, {**constant(step.architecture), SHIFT: shift})
        (slopes,) = torch.autograd.grad(loss, shift, create_graph=True)
        weights = list(step.weights.values())
        plain = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        exact = torch.autograd.grad(loss - 0.3 * alignment(slopes), weights, allow_unused=True)
    largest = 0.0
    for name, own, expected in zip(found, plain, exact, strict=True):
        assert (found[name] is None) == (own is None)
        if own is not None:
            largest = max(largest, float((expected - own).abs().max()))
            assert torch.allclose(found[name], expected, rtol=1e-4, atol=1e-6), name
    assert largest > 1e-3


def test_the_strength_rises_from_zero_so_the_first_epoch_is_that_of_darts() -> None:
    searches = [tiny_search(method, precision="float64") for method in (LambdaDarts, Darts)]
    for search in searches:
        search.run_epoch()
    assert_same(dict(searches[0].supernet.weights), dict(searches[1].supernet.weights))
    for search in searches:
        search.run_epoch()
    assert any(
        not torch.equal(one, other)
        for one, other in zip(searches[0].supernet.parameters(), searches[1].supernet.parameters(), strict=True)
    )


@pytest.mark.parametrize("precision", ["bfloat16", "tf32"])
def test_a_precision_that_its_differences_drown_in_is_refused(precision: str) -> None:
    with pytest.raises(UserError, match=f"precision: expected float32 or float64, .*{precision}"):
        tiny_search(LambdaDarts, precision=precision)


@pytest.mark.parametrize("settings", [{"strength": -1}, {"radius": 0}])
def test_settings_without_a_meaning_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        LambdaDarts.Settings(**settings)
