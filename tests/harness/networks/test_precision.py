"""What bfloat16 rounds, and what it does not."""

import pytest
import torch
from torch import Tensor

from harness.networks.precision import scaled, shifted


def random(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float32).to(dtype)


@pytest.mark.parametrize("apply", [scaled, shifted])
def test_a_number_beside_features_keeps_its_gradient(apply) -> None:
    features, gradient = random(8, 4, 6, 6, dtype=torch.bfloat16), random(8, 4, 6, 6, dtype=torch.bfloat16)
    exact = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    apply(exact, features.double()).backward(gradient.double())
    found, features = torch.tensor(0.2, requires_grad=True), features.requires_grad_()
    output = apply(found, features)
    output.backward(gradient)
    assert output.dtype == features.grad.dtype == torch.bfloat16
    assert found.grad.dtype == torch.float32
    assert found.grad.item() == pytest.approx(exact.grad.item(), rel=1e-5)  # bfloat16 itself: 4e-3


@pytest.mark.parametrize("apply", [scaled, shifted])
def test_it_is_differentiated_twice(apply) -> None:
    number, features = torch.tensor(0.3, dtype=torch.float64, requires_grad=True), random(2, 3)
    (slope,) = torch.autograd.grad((apply(number, features) ** 2).sum(), number, create_graph=True)
    (curvature,) = torch.autograd.grad(slope, number)
    expected = 2 * (features.double() ** 2).sum() if apply is scaled else 2.0 * features.numel()
    assert curvature.item() == pytest.approx(float(expected), rel=1e-6)


def test_without_a_gradient_or_in_one_precision_it_is_plain() -> None:
    features = random(2, 3)
    for factor in (torch.tensor(0.3), torch.tensor(0.3, requires_grad=True), random(2, 1)):
        assert torch.equal(scaled(factor, features), factor * features)
        assert torch.equal(shifted(factor, features), features + factor)
