import pytest
import torch

from harness.theory.bias import orthonormal_directions
from harness.theory.supernet import SupernetProblem
from harness.theory.zeroth_order import TrainedProblem, slopes_over_mu


@pytest.fixture(scope="module")
def problem() -> SupernetProblem:
    return SupernetProblem(0, channels=4, alpha_sd=1e-3, pretraining=1)


def test_training_is_that_of_pytorchs_optimiser(problem: SupernetProblem) -> None:
    weights = problem.start.clone().requires_grad_()
    optimizer = torch.optim.SGD([weights], lr=0.025, momentum=0.9, weight_decay=5e-4)
    for _ in range(10):
        optimizer.zero_grad()
        problem.cross_entropy("train", {"w": weights}, {"alpha": problem.alpha}).backward()
        optimizer.step()
    trained = TrainedProblem(problem)
    assert torch.allclose(trained.trained(problem.alpha), weights.detach(), atol=1e-12)
    assert torch.allclose(trained.trained(problem.alpha, differentiable=True).detach(), weights.detach(), atol=1e-12)
    assert not problem.start.requires_grad


def test_the_exact_gradient_is_the_slope_of_the_loss_after_the_steps(problem: SupernetProblem) -> None:
    trained, step = TrainedProblem(problem), 1e-5
    (z,) = orthonormal_directions(30, sets=1)[:1].reshape(-1, 6, 5)
    sides = [
        float(trained.valid_loss({"w": trained.trained(alpha)}, {"alpha": alpha}))
        for alpha in (problem.alpha + step * z, problem.alpha - step * z)
    ]
    slope = float((trained.exact() * z).sum())
    assert slope == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-4)
    # Were it not for how the weights move with alpha, the check could not tell it from first order.
    alpha = problem.alpha.clone().requires_grad_()
    loss = trained.valid_loss({"w": trained.trained(problem.alpha)}, {"alpha": alpha})
    (first,) = torch.autograd.grad(loss, alpha)
    assert abs(float((first * z).sum()) / slope - 1) > 0.05


def test_tangents_are_exact_and_kinks_make_twins_rough(problem: SupernetProblem) -> None:
    found = slopes_over_mu(problem, orthonormal_directions(30, sets=1)[:2], (1e-2,)).fillna({"mu": 0.0})
    rows = found.set_index(["activations", "estimate"])
    for activations in ("ReLU", "softplus"):
        assert rows.at[(activations, "tangent"), "error"] < 1e-9
        assert rows.at[(activations, "tangent"), "size"] == pytest.approx(1)
    assert rows.at[("softplus", "twin"), "error"] < 0.5
    assert rows.at[("ReLU", "twin"), "error"] > 2
    assert found["directions"].tolist() == [2] * 4
