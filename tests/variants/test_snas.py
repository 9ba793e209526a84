import numpy as np
import pytest
import torch

from harness.search.variant import Phase
from harness.testing import tiny_search
from tests.variants.searches import moment, start
from variants.snas import Snas


def spread_alpha() -> torch.Tensor:
    return torch.linspace(-2, 3, 30, dtype=torch.float64).view(6, 5)[:, torch.tensor([2, 0, 4, 1, 3])]


def draws(tested, alpha, phase, count, epoch=0) -> torch.Tensor:
    now = moment(tested, phase, epoch)
    return torch.stack([tested.variant.op_weights({"alpha": alpha}, now) for _ in range(count)])


@pytest.mark.parametrize(("epoch", "temperature"), [(0, 10.0), (5, 5.5), (9, 1.9)])
def test_the_temperature_falls_linearly(epoch, temperature) -> None:
    tested = start(Snas, {"epochs": 10})
    assert tested.variant.temperature(moment(tested, Phase.WEIGHTS, epoch)) == pytest.approx(temperature)


@pytest.mark.parametrize("phase", [Phase.WEIGHTS, Phase.ALPHA])
def test_draws_are_soft_and_their_largest_entries_have_the_frequencies_of_softmax(phase) -> None:
    tested = start(Snas, {"precision": "float64"}, temperature=0.7)
    found = draws(tested, spread_alpha(), phase, 4000)
    assert torch.allclose(found.sum(dim=-1), torch.ones(1, dtype=torch.float64))
    assert ((found > 0) & (found < 1)).all()
    p = torch.softmax(spread_alpha(), dim=-1)
    counts = torch.stack([(found.argmax(dim=-1) == column).sum(dim=0) for column in range(5)], dim=-1)
    chi_square = ((counts - 4000 * p).square() / (4000 * p)).sum(dim=-1)
    assert (chi_square < 22).all()  # 4 degrees of freedom, p = 0.0002 for each of six edges


def test_a_draw_and_its_gradient_are_those_of_the_formula() -> None:
    tested = start(Snas, {"precision": "float64", "epochs": 10})
    now = moment(tested, Phase.ALPHA, epoch=5)
    noise = torch.from_numpy(now.stream("gumbel/alpha").gumbel(size=(6, 5)))
    alpha = spread_alpha().requires_grad_()
    found = tested.variant.op_weights({"alpha": alpha}, moment(tested, Phase.ALPHA, epoch=5))
    powers = ((spread_alpha() + noise) / 5.5).exp()
    expected = powers / powers.sum(dim=1, keepdim=True)
    assert torch.allclose(found, expected, atol=1e-12)
    value = torch.from_numpy(np.random.default_rng(0).standard_normal((6, 5)))
    (slope,) = torch.autograd.grad((found * value).sum(), alpha)
    mean = (expected * value).sum(dim=1, keepdim=True)
    assert torch.allclose(slope, expected * (value - mean) / 5.5, atol=1e-12)


def test_the_lower_the_temperature_the_nearer_the_corners() -> None:
    largest = [
        float(draws(start(Snas, temperature=tau), spread_alpha().float(), Phase.WEIGHTS, 200).amax(dim=-1).mean())
        for tau in (10.0, 1.0, 0.1)
    ]
    assert largest == sorted(largest)
    assert largest[0] < 0.35
    assert largest[-1] > 0.9


def test_cells_are_derived_from_the_probabilities() -> None:
    tested = start(Snas)
    found = tested.variant.op_weights({"alpha": spread_alpha()}, moment(tested, Phase.DERIVE))
    assert torch.equal(found, torch.softmax(spread_alpha(), dim=-1))


def test_passes_draw_anew_and_weights_and_alpha_by_themselves() -> None:
    tested = tiny_search(Snas)
    alpha = tested.architecture["alpha"].detach()
    first, second = draws(tested, alpha, Phase.WEIGHTS, 2)
    assert not torch.equal(first, second)
    (other,) = draws(tested, alpha, Phase.ALPHA, 1)
    assert not torch.equal(first, other)
