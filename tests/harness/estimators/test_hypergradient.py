import itertools

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from harness.estimators import hypergradient
from harness.networks.supernet import Supernet, SupernetSpec
from harness.space.cell import Shape
from harness.theory.quadratic import Quadratic

UNROLL = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}


class TinySearch:
    """A float64 supernet with batch norm, two batches, and the losses of a search on them."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        shape = Shape(channels=2, cells_per_stage=1, classes=3, image_channels=1, image_size=8)
        self.net = Supernet(SupernetSpec(shape)).double()
        self.batches = {
            half: (torch.randn(8, 1, 8, 8, dtype=torch.float64), torch.randint(3, (8,))) for half in ("train", "valid")
        }
        self.weights = dict(self.net.named_parameters())
        self.architecture = {"alpha": (0.5 * torch.randn(6, 5, dtype=torch.float64)).requires_grad_()}
        self.buffers = {name: 0.1 * torch.randn_like(weight) for name, weight in self.weights.items()}

    def loss(self, half, weights, architecture):
        images, labels = self.batches[half]
        p = torch.softmax(architecture["alpha"], dim=-1)
        return F.cross_entropy(functional_call(self.net, dict(weights), (images, p)), labels)

    def train_loss(self, weights, architecture):
        return self.loss("train", weights, architecture)

    def valid_loss(self, weights, architecture):
        return self.loss("valid", weights, architecture)

    def exact_unrolled(self, lr, momentum, weight_decay):
        """Differentiate L_valid(w - lr (mu b + dL_train/dw + lambda w), alpha) through the step, by double backward."""
        names = list(self.weights)
        loss = self.train_loss(self.weights, self.architecture)
        gradients = torch.autograd.grad(loss, list(self.weights.values()), create_graph=True, allow_unused=True)
        stepped = {}
        for name, gradient in zip(names, gradients, strict=True):
            weight = self.weights[name].detach()
            direction = momentum * self.buffers[name] + weight_decay * weight
            stepped[name] = weight - lr * (direction if gradient is None else direction + gradient)
        outer = self.valid_loss(stepped, self.architecture)
        return torch.autograd.grad(outer, self.architecture["alpha"])[0]


@pytest.fixture
def tiny() -> TinySearch:
    return TinySearch()


def unrolled(problem, buffers, radius=0.01, **changes):
    return hypergradient.unrolled(
        problem.train_loss,
        problem.valid_loss,
        problem.weights,
        problem.architecture,
        momentum_buffers=buffers,
        radius=radius,
        **{**UNROLL, **changes},
    )["alpha"]


def test_first_order_is_the_partial_derivative(tiny: TinySearch) -> None:
    found = hypergradient.first_order(tiny.valid_loss, tiny.weights, tiny.architecture)["alpha"]
    (expected,) = torch.autograd.grad(tiny.valid_loss(tiny.weights, tiny.architecture), tiny.architecture["alpha"])
    assert torch.equal(found, expected)


@pytest.fixture
def smooth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace ReLU, whose kinks a finite difference can step over, by softplus."""
    monkeypatch.setattr("harness.networks.layers.F.relu", F.softplus)


def relative_error(tiny: TinySearch, radius: float) -> float:
    exact = tiny.exact_unrolled(**UNROLL)
    return float((unrolled(tiny, tiny.buffers, radius=radius) - exact).norm() / exact.norm())


def test_second_order_agrees_with_double_backward(tiny: TinySearch) -> None:
    exact = tiny.exact_unrolled(**UNROLL)
    first = hypergradient.first_order(tiny.valid_loss, tiny.weights, tiny.architecture)["alpha"]
    assert (first - exact).norm() / exact.norm() > 0.1  # the second term matters here
    assert relative_error(tiny, radius=1e-5) < 1e-7


@pytest.mark.usefixtures("smooth")
def test_error_falls_with_the_square_of_the_radius(tiny: TinySearch) -> None:
    errors = [relative_error(tiny, radius) for radius in (0.01, 0.005, 0.0025, 0.00125)]
    assert errors[2] < 1e-3
    ratios = [larger / smaller for larger, smaller in itertools.pairwise(errors)]
    assert ratios == pytest.approx([4, 4, 4], rel=0.02)


def test_weights_are_bit_identical_afterwards(tiny: TinySearch) -> None:
    before = {name: weight.detach().clone() for name, weight in tiny.weights.items()}
    unrolled(tiny, tiny.buffers)
    assert all(torch.equal(weight, before[name]) for name, weight in tiny.weights.items())
    assert all(weight.grad is None for weight in [*tiny.weights.values(), *tiny.architecture.values()])


def test_missing_momentum_buffers_count_as_zero(tiny: TinySearch) -> None:
    zeros = {name: torch.zeros_like(weight) for name, weight in tiny.weights.items()}
    assert torch.equal(unrolled(tiny, {}), unrolled(tiny, zeros))


def test_unrolled_on_the_quadratic_problem_in_closed_form() -> None:
    problem = Quadratic()
    w, a = problem.weights["w"].detach(), problem.architecture["alpha"].detach()
    lr = 0.1
    stepped = w - lr * problem.H @ (w - problem.B @ a)
    # d stepped / d alpha = lr H B.
    expected = problem.q * a + lr * problem.B.T @ problem.H @ (stepped - problem.target)
    found = unrolled(problem, {}, lr=lr, weight_decay=0.0)
    assert torch.allclose(found, expected, atol=1e-9)


def test_first_order_is_biased_at_the_inner_solution_where_unrolling_is_less_so() -> None:
    problem = Quadratic()
    problem.settle()
    exact = problem.exact()
    first = hypergradient.first_order(problem.valid_loss, problem.weights, problem.architecture)["alpha"]
    second = unrolled(problem, {}, lr=0.3, weight_decay=0.0)

    def cosine(estimate):
        return float(F.cosine_similarity(estimate, exact, dim=0))

    assert cosine(second) > cosine(first)


def test_zero_vector_gives_zero() -> None:
    problem = Quadratic()
    zero = {"w": torch.zeros_like(problem.weights["w"])}
    found = hypergradient.mixed_product(problem.train_loss, problem.weights, problem.architecture, zero, 0.01)
    assert torch.equal(found["alpha"], torch.zeros(5, dtype=torch.float64))
