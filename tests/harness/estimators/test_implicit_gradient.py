import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.estimators.implicit_gradient import conjugate_gradient, implicit_gradient
from harness.theory.quadratic import Quadratic


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_conjugate_gradients_solve_a_system_and_meet_its_curvatures() -> None:
    root = random(12, 12)
    H, right = root @ root.T + torch.eye(12, dtype=torch.float64), random(12, seed=1)
    found = conjugate_gradient(lambda v: H @ v, right, tolerance=1e-13, limit=100)
    assert torch.allclose(found.x, torch.linalg.solve(H, right), atol=1e-10)
    assert found.residual < 1e-12
    eigenvalues = torch.linalg.eigvalsh(H)
    assert found.smallest == pytest.approx(float(eigenvalues[0]), rel=1e-6)
    assert found.largest == pytest.approx(float(eigenvalues[-1]), rel=1e-6)


def test_a_solve_that_is_cut_short_says_so() -> None:
    H, right = torch.diag(torch.linspace(1, 50, 12, dtype=torch.float64)), random(12, seed=1)
    found = conjugate_gradient(lambda v: H @ v, right, tolerance=1e-12, limit=3)
    assert found.products == 3
    assert found.residual == pytest.approx(float((right - H @ found.x).norm() / right.norm()))
    assert found.residual > 1e-3
    assert 1 < found.smallest < found.largest < 50


def test_a_direction_without_curvature_is_refused() -> None:
    H = torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64))
    with pytest.raises(ValueError, match="not positive definite"):
        conjugate_gradient(lambda v: H @ v, torch.tensor([1.0, 2.0], dtype=torch.float64), tolerance=1e-8, limit=10)


class TinyNetwork:
    """A network 4-5-3 without kinks; alpha scales its hidden units; a decay makes the training loss curved."""

    def __init__(self) -> None:
        self.inputs = {"train": random(9, 4, seed=2), "valid": random(9, 4, seed=3)}
        self.labels = {"train": torch.arange(9) % 3, "valid": torch.arange(9) // 3}
        self.alpha = random(5, seed=4)
        self.weights = 0.5 * random(4 * 5 + 5 * 3, seed=5)

    def loss(self, half: str, weights, architecture) -> Tensor:
        first, second = weights["w"][:20].view(4, 5), weights["w"][20:].view(5, 3)
        hidden = torch.sigmoid(architecture["alpha"]) * F.softplus(self.inputs[half] @ first)
        return F.cross_entropy(hidden @ second, self.labels[half])

    def train_loss(self, weights, architecture) -> Tensor:
        return self.loss("train", weights, architecture) + 0.5 * weights["w"].square().sum()

    def valid_loss(self, weights, architecture) -> Tensor:
        return self.loss("valid", weights, architecture)


def test_the_implicit_gradient_of_a_network_equals_a_dense_solve() -> None:
    net = TinyNetwork()
    found = implicit_gradient(net.train_loss, net.valid_loss, net.weights, net.alpha, tolerance=1e-12, limit=200)

    def slope(w: Tensor, a: Tensor) -> Tensor:
        return torch.func.grad(lambda v: net.train_loss({"w": v}, {"alpha": a}))(w)

    H = torch.func.jacrev(slope, argnums=0)(net.weights, net.alpha)
    C = torch.func.jacrev(slope, argnums=1)(net.weights, net.alpha)
    by_weights, by_alpha = torch.func.grad(lambda w, a: net.valid_loss({"w": w}, {"alpha": a}), argnums=(0, 1))(
        net.weights, net.alpha
    )
    expected = by_alpha - C.T @ torch.linalg.solve(H, by_weights)
    assert (expected - by_alpha).norm() > 0.01 * expected.norm()  # the second term matters
    assert torch.allclose(found.gradient, expected, atol=1e-10)


def test_the_implicit_gradient_of_the_quadratic_problem_is_exact() -> None:
    problem = Quadratic(weights=12, alphas=5, coupling=0.5)
    found = implicit_gradient(
        problem.train_loss, problem.valid_loss, problem.solution(), problem.alpha, tolerance=1e-13, limit=100
    )
    assert torch.allclose(found.gradient, problem.exact(), atol=1e-10)
