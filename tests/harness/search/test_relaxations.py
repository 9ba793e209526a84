import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from harness.search.relaxations import gumbel_softmax, sparsemax, straight_through


def brute_force(z: np.ndarray) -> np.ndarray:
    """The projection on the simplex: of the solutions for each possible support, the nearest that is feasible."""
    best, distance = np.zeros(len(z)), np.inf
    for count in range(1, len(z) + 1):
        for support in itertools.combinations(range(len(z)), count):
            chosen = list(support)
            p = np.zeros(len(z))
            p[chosen] = z[chosen] - (z[chosen].sum() - 1) / count
            if (p >= 0).all() and ((p - z) ** 2).sum() < distance:
                best, distance = p, ((p - z) ** 2).sum()
    return best


@pytest.mark.parametrize("scale", [1e-3, 0.3, 1.0, 10.0])
def test_it_is_the_projection_on_the_simplex(scale) -> None:
    logits = scale * np.random.default_rng(1).standard_normal((40, 5))
    found = sparsemax(torch.from_numpy(logits)).numpy()
    assert found.sum(axis=1) == pytest.approx(np.ones(40))
    assert np.allclose(found, [brute_force(z) for z in logits], atol=1e-12)


def test_it_is_the_solution_of_the_quadratic_program() -> None:
    z = np.array([0.9, 0.3, -0.2, 0.7, 0.1])
    solved = minimize(
        lambda p: ((p - z) ** 2).sum(),
        np.full(5, 0.2),
        bounds=[(0, 1)] * 5,
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
        tol=1e-12,
    )
    found = sparsemax(torch.from_numpy(z)).numpy()
    assert found == pytest.approx(solved.x, abs=1e-6)
    assert (found == 0).sum() == 3


def test_ties_share_and_a_shift_changes_nothing() -> None:
    assert torch.allclose(sparsemax(torch.zeros(2, 5)), torch.full((2, 5), 0.2))
    tied = torch.tensor([3.0, 3.0, 0.0, 0.0, 0.0])
    assert torch.equal(sparsemax(tied), torch.tensor([0.5, 0.5, 0, 0, 0]))
    assert torch.allclose(sparsemax(tied + 7), sparsemax(tied))


def test_gradient_is_that_of_finite_differences() -> None:
    logits = torch.from_numpy(np.random.default_rng(2).standard_normal((6, 5))).requires_grad_()
    assert torch.autograd.gradcheck(sparsemax, logits)


def test_a_straight_through_corner_is_exact_and_has_the_gradient_of_the_soft_point() -> None:
    soft = torch.tensor([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]], requires_grad=True)
    corner = straight_through(soft)
    assert corner.tolist() == [[0, 1, 0], [1, 0, 0]]  # the first of equal ones
    value = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert torch.equal(torch.autograd.grad((corner * value).sum(), soft)[0], value)


@pytest.mark.parametrize("temperature", [100.0, 1.0, 0.01, 1e-3])
def test_a_draw_keeps_its_corner_and_stays_a_number_at_every_temperature(temperature) -> None:
    random = np.random.default_rng(3)
    logits = torch.from_numpy(5 * random.standard_normal((50, 5))).float().requires_grad_()
    noise = torch.from_numpy(random.gumbel(size=(50, 5))).float()
    found = gumbel_softmax(logits, noise, temperature)
    assert torch.equal(found.argmax(dim=1), (logits + noise).argmax(dim=1))
    assert torch.allclose(found.sum(dim=1), torch.ones(50))
    assert torch.autograd.grad(found[:, 0].sum(), logits)[0].isfinite().all()
