import pytest
import torch
import torch.nn.functional as F

from harness.base.named_tensors import gradient
from harness.estimators import hypergradient
from harness.theory.quadratic import Quadratic
from tests.harness.estimators.test_hypergradient import TinySearch


def losses(problem):
    return problem.train_loss, problem.valid_loss


def neumann(problem, lr: float, terms: int):
    found = hypergradient.neumann(*losses(problem), problem.weights, problem.architecture, lr=lr, terms=terms)
    return found["alpha"]


def zeroth_order(problem, direction, mu=0.01):
    """The estimate with a twin that is trained to the end."""
    a = problem.architecture["alpha"].detach()
    twin = {"w": problem.B @ (a + mu * direction)}
    return hypergradient.zeroth_order(
        problem.valid_loss, problem.weights, twin, problem.architecture, direction={"alpha": direction}, mu=mu
    )["alpha"]


def settled(alphas: int = 5) -> Quadratic:
    problem = Quadratic(weights=alphas + 3, alphas=alphas)
    problem.settle()
    return problem


def sphere(count: int, size: int):
    return F.normalize(torch.randn(count, size, dtype=torch.float64, generator=torch.Generator().manual_seed(5)), dim=1)


@pytest.mark.parametrize("terms", [0, 1, 4])
def test_neumann_in_closed_form(terms) -> None:
    problem, lr = Quadratic(), 0.1
    w, a = problem.weights["w"].detach(), problem.architecture["alpha"].detach()
    v0 = w - problem.target
    step = torch.eye(len(w), dtype=torch.float64) - lr * problem.H
    total = sum(torch.linalg.matrix_power(step, power) @ v0 for power in range(terms + 1))
    expected = problem.q * a + lr * problem.B.T @ problem.H @ total
    assert torch.allclose(neumann(problem, lr, terms), expected, atol=1e-12)


def test_neumann_converges_to_the_exact_gradient() -> None:
    problem = settled()
    exact = problem.exact()
    errors = [float((neumann(problem, 0.2, terms) - exact).norm() / exact.norm()) for terms in (0, 2, 8, 200)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-9


def test_the_better_the_estimate_the_nearer_the_exact_direction() -> None:
    problem = settled()
    exact = problem.exact()
    lr = 0.2
    first = hypergradient.first_order(problem.valid_loss, problem.weights, problem.architecture)["alpha"]
    unrolled = hypergradient.unrolled(
        *losses(problem),
        problem.weights,
        problem.architecture,
        lr=lr,
        momentum=0.0,
        momentum_buffers={},
        weight_decay=0.0,
    )["alpha"]
    estimates = [first, unrolled, neumann(problem, lr, 3), neumann(problem, lr, 50)]
    estimates.append(torch.stack([zeroth_order(problem, z) for z in sphere(500, 5)]).mean(dim=0))
    cosines = [float(F.cosine_similarity(estimate, exact, dim=0)) for estimate in estimates]
    assert cosines[:4] == sorted(cosines[:4])
    assert cosines[0] < 0.9
    assert cosines[3] > 0.999
    assert cosines[4] > 0.98


def test_zeroth_order_averages_to_a_thirtieth_of_the_exact_gradient() -> None:
    problem = settled(alphas=30)
    exact = problem.exact()
    # Over an orthonormal basis the mean of z z' is the identity over 30 exactly.
    basis = torch.linalg.qr(sphere(30, 30)).Q
    mean = torch.stack([zeroth_order(problem, z) for z in basis]).mean(dim=0)
    assert torch.allclose(mean, exact / 30, atol=1e-9)
    drawn = torch.stack([zeroth_order(problem, z) for z in sphere(3000, 30)]).mean(dim=0)
    assert float(F.cosine_similarity(drawn, exact, dim=0)) > 0.98
    assert float(drawn.norm() / exact.norm()) == pytest.approx(1 / 30, rel=0.1)


def test_zeroth_order_gives_no_direction_but_its_own() -> None:
    problem = settled()
    (z,) = sphere(1, 5)
    found = zeroth_order(problem, z)
    assert torch.allclose(found, (found @ z) * z)
    assert float(found @ z) == pytest.approx(float(problem.exact() @ z))


def test_neumann_on_a_supernet_agrees_with_finite_differences() -> None:
    tiny = TinySearch()
    lr, radius = 0.05, 1e-6
    before = {name: weight.detach().clone() for name, weight in tiny.weights.items()}

    def train(weights, architecture):
        return tiny.loss("train", weights, architecture)

    def valid(weights, architecture):
        return tiny.loss("valid", weights, architecture)

    found = hypergradient.neumann(train, valid, tiny.weights, tiny.architecture, lr=lr, terms=1)["alpha"]
    v0 = gradient(valid(tiny.weights, tiny.architecture), tiny.weights)
    norm = torch.nn.utils.get_total_norm(v0.values())

    def moved_gradient(sign):
        moved = {
            name: (weight + sign * radius / norm * v0[name]).detach().requires_grad_()
            for name, weight in tiny.weights.items()
        }
        return gradient(train(moved, tiny.architecture), moved)

    plus, minus = moved_gradient(1), moved_gradient(-1)
    total = {name: 2 * v0[name] - lr * (plus[name] - minus[name]) * norm / (2 * radius) for name in v0}
    mixed = hypergradient.mixed_product(train, tiny.weights, tiny.architecture, total, radius)["alpha"]
    first = hypergradient.first_order(valid, tiny.weights, tiny.architecture)["alpha"]
    assert float((found - (first - lr * mixed)).norm() / (lr * mixed).norm()) < 1e-5
    assert all(torch.equal(weight, before[name]) for name, weight in tiny.weights.items())
