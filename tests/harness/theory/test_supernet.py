import pytest
import torch
import torch.nn.functional as F

from harness.theory.bias import angle
from harness.theory.supernet import (
    DAMPING,
    SHARPNESS,
    WEIGHT_DECAY,
    SmoothActivations,
    SupernetProblem,
    SupernetReference,
    digit_halves,
)


@pytest.fixture(scope="module")
def reference() -> SupernetReference:
    return SupernetReference(SupernetProblem(0))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train next to nothing before the start, where only definitions are tested."""
    monkeypatch.setattr("harness.theory.supernet.PRETRAINING", 5)


def test_relu_is_softplus_inside_the_context_alone() -> None:
    values = torch.linspace(-1, 1, 9, dtype=torch.float64, requires_grad=True)
    with SmoothActivations():
        inside = F.relu(values)
    assert torch.equal(inside, F.softplus(values, beta=SHARPNESS))
    assert torch.equal(F.relu(values), values.clamp(min=0))


def test_halves_are_balanced_and_share_no_image() -> None:
    (train, train_labels), (valid, valid_labels), shape = digit_halves(seed=3, per_class=4)
    assert train.shape == valid.shape == (40, 1, 8, 8)
    assert torch.bincount(train_labels).tolist() == torch.bincount(valid_labels).tolist() == [4] * 10
    assert (train.unsqueeze(1) - valid).flatten(2).abs().sum(dim=2).min() > 0
    assert (shape.classes, shape.image_channels, shape.image_size) == (10, 1, 8)


@pytest.mark.usefixtures("short")
def test_the_training_loss_is_cross_entropy_with_decay_and_damping() -> None:
    problem = SupernetProblem(1)
    w, alpha = problem.start + 0.01, {"alpha": problem.alpha}
    expected = problem.cross_entropy("train", {"w": w}, alpha)
    expected = expected + 0.5 * WEIGHT_DECAY * w.square().sum() + 0.5 * DAMPING * 1e-4 * len(w)
    assert float(problem.train_loss({"w": w}, alpha)) == pytest.approx(float(expected), rel=1e-9)
    by_half = [float(problem.cross_entropy(half, {"w": w}, alpha)) for half in ("train", "valid")]
    assert by_half[0] < by_half[1]
    assert float(problem.valid_loss({"w": w}, alpha)) == by_half[1]
    kinked = problem.with_relu()
    assert float(kinked.train_loss({"w": w}, alpha)) != float(problem.train_loss({"w": w}, alpha))
    assert torch.equal(kinked.start, problem.start)


@pytest.mark.usefixtures("short")
def test_a_problem_depends_on_its_seed_alone() -> None:
    torch.manual_seed(5)
    first = SupernetProblem(1)
    torch.manual_seed(6)
    assert torch.equal(first.start, SupernetProblem(1).start)
    assert not torch.equal(first.alpha, SupernetProblem(2).alpha)


@pytest.mark.usefixtures("short")
def test_gradient_steps_are_plain_descent() -> None:
    problem = SupernetProblem(1)
    once = problem.descend(problem.start, problem.alpha, 0.01, 1)
    assert torch.allclose(once, problem.start - 0.01 * problem.train_gradient(problem.start, problem.alpha))
    assert torch.allclose(
        problem.descend(problem.start, problem.alpha, 0.01, 2), problem.descend(once, problem.alpha, 0.01, 1)
    )


def test_the_inner_problem_is_solved_and_its_gradient_is_that_of_finite_differences(
    reference: SupernetReference,
) -> None:
    problem = reference.problem
    assert problem.train_gradient(reference.solution, reference.alpha).norm() < 1e-5
    assert reference.implicit.solved.residual < 2e-6
    assert reference.implicit.solved.smallest > 0
    assert reference.finite_difference() == pytest.approx(float(reference.exact.norm()), rel=0.01)
    # Were it not for how w* moves, the check could not tell the exact gradient from first order.
    a = reference.alpha.clone().requires_grad_()
    (first,) = torch.autograd.grad(problem.valid_loss({"w": reference.solution}, {"alpha": a}), a)
    assert angle(first, reference.exact) > 10
    slope = float((first * reference.exact).sum() / reference.exact.norm())
    assert abs(slope / reference.exact.norm() - 1) > 0.05
