import pytest
import torch

from harness.testing import tiny_search
from tests.harness.estimators.test_hypergradient import TinySearch
from variants.a2m import ArchitectureAwareMinimisation
from variants.darts import Darts


class Bowl:
    """A step whose validation loss is A' H A / 2 of alpha alone, and which counts its losses."""

    def __init__(self, dimensions: int = 8):
        generator = torch.Generator().manual_seed(0)
        root = torch.randn(dimensions, dimensions, dtype=torch.float64, generator=generator)
        self.hessian = root @ root.T / dimensions
        self.alpha = torch.randn(dimensions, dtype=torch.float64, generator=generator)
        self.architecture = {"alpha": self.alpha.clone().requires_grad_()}
        self.weights: dict[str, torch.Tensor] = {}
        self.losses = 0

    def valid_loss(self, weights, architecture):
        self.losses += 1
        return 0.5 * architecture["alpha"] @ self.hessian @ architecture["alpha"]


@pytest.mark.parametrize(("ascent", "difference"), [(0.01, 0.01), (0.5, 1e-3), (0.3, 2.0), (0.0, 0.01)])
def test_closed_form_on_a_quadratic(ascent, difference) -> None:
    variant = tiny_search(ArchitectureAwareMinimisation, {"ascent": ascent, "difference": difference}).variant
    step = Bowl()
    found = variant.alpha_gradient(step)["alpha"]
    uphill = torch.eye(8, dtype=torch.float64) + ascent * step.hessian
    assert torch.allclose(found, uphill @ step.hessian @ uphill @ step.alpha, rtol=1e-9, atol=1e-12)
    assert step.losses == 4
    assert torch.equal(step.architecture["alpha"].detach(), step.alpha)


def test_on_a_supernet_it_is_made_of_gradients_and_an_exact_hessian_product() -> None:
    """Against double backward, of which the central difference is an approximation of order difference^2."""
    step = TinySearch()
    settings = {"ascent": 0.5, "difference": 1e-4}
    found = tiny_search(ArchitectureAwareMinimisation, settings).variant.alpha_gradient(step)["alpha"]
    alpha = step.architecture["alpha"]
    (g,) = torch.autograd.grad(step.valid_loss(step.weights, step.architecture), alpha, create_graph=True)
    there = (alpha + 0.5 * g).detach().requires_grad_()
    (uphill,) = torch.autograd.grad(step.valid_loss(step.weights, {"alpha": there}), there)
    (curved,) = torch.autograd.grad((g * uphill).sum(), alpha)
    assert float((found - uphill - 0.5 * curved).norm()) < 1e-4 * float((0.5 * curved).norm())
    assert float((found - g.detach()).norm()) > 0.01 * float(g.detach().norm())


def test_without_an_ascent_it_is_darts() -> None:
    without, plain = tiny_search(ArchitectureAwareMinimisation, {"ascent": 0.0}), tiny_search(Darts)
    for _ in range(2):
        without.run_epoch()
        plain.run_epoch()
    assert torch.equal(without.architecture["alpha"], plain.architecture["alpha"])
