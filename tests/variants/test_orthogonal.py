import pytest
import torch
from pydantic import ValidationError

from harness.testing import tiny_search
from variants.darts import Darts
from variants.orthogonal import Orthogonal, tail_energy


def random_alpha(scale: float = 1.0, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(6, 5, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_value_is_the_tail_of_the_squared_singular_values(rank) -> None:
    alpha = random_alpha()
    singular = torch.linalg.svdvals(alpha - alpha.mean(dim=1, keepdim=True))
    assert float(singular[-1]) < 1e-12  # centred rows have rank 4 at most
    assert float(tail_energy(alpha, rank)) == pytest.approx(float(singular[rank:].square().sum()) / 30)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_gradient_without_that_of_the_directions_is_the_difference_quotient(rank, scale) -> None:
    alpha = random_alpha(scale).requires_grad_()
    (found,) = torch.autograd.grad(tail_energy(alpha, rank), alpha)
    step = 1e-4 * scale
    expected = torch.zeros_like(found)
    for edge in range(6):
        for column in range(5):
            moved = torch.zeros_like(found)
            moved[edge, column] = step
            there, back = (tail_energy((alpha + sign * moved).detach(), rank) for sign in (1, -1))
            expected[edge, column] = (there - back) / (2 * step)
    assert found.isfinite().all()
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-7 * scale)


def test_single_precision_noise_of_the_start_is_no_trouble() -> None:
    alpha = random_alpha(1e-3).float().requires_grad_()
    (gradient,) = torch.autograd.grad(tail_energy(alpha, 2), alpha)
    assert gradient.isfinite().all()
    assert float(gradient.norm()) > 0
    zero = torch.zeros(6, 5, requires_grad=True)
    assert torch.equal(torch.autograd.grad(tail_energy(zero, 2), zero)[0], torch.zeros(6, 5))


def test_what_the_softmax_does_not_see_costs_nothing() -> None:
    alpha = random_alpha()
    assert torch.allclose(tail_energy(alpha + torch.arange(6.0)[:, None], 2), tail_energy(alpha, 2))


def test_a_collapse_costs_nothing() -> None:
    """All edges alike is rank 1: the regulariser does not see the collapse to skip."""
    alpha = random_alpha()[:1].expand(6, 5)
    assert float(tail_energy(alpha, 1)) == pytest.approx(0, abs=1e-15)


def test_it_pulls_alpha_to_the_rank() -> None:
    free, pulled = (tiny_search(Orthogonal, {"strength": strength}) for strength in (0.0, 100.0))
    for _ in range(3):
        free.run_epoch()
        pulled.run_epoch()
    energies = [float(tail_energy(search.architecture["alpha"].detach(), 2)) for search in (free, pulled)]
    assert energies[1] < 0.5 * energies[0]
    plain = tiny_search(Darts)
    for _ in range(3):
        plain.run_epoch()
    assert torch.equal(free.architecture["alpha"], plain.architecture["alpha"])


def test_a_rank_that_would_never_act_is_refused() -> None:
    with pytest.raises(ValidationError):
        Orthogonal.Settings(rank=4)
