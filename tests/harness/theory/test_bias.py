import math

import pytest
import torch

from harness.theory.bias import (
    CONVERGED,
    TWIN_STEPS,
    ToyReference,
    angle,
    compare_gradients,
    compare_zeroth_order,
    error_terms,
    orthonormal_directions,
    trajectory,
    with_bounds,
)
from harness.theory.quadratic import Quadratic


@pytest.fixture
def problem() -> Quadratic:
    return Quadratic(weights=12, alphas=5, coupling=0.5)


def at(frame, **values):
    """The only row of a frame with these values."""
    for name, value in values.items():
        frame = frame[frame[name] == value]
    (row,) = frame.to_dict("records")
    return row


def test_angles_are_precise_down_to_small_ones() -> None:
    exact = torch.tensor([1.0, 0.0], dtype=torch.float64)
    for degrees in (1e-7, 30.0, 90.0, 150.0):
        turned = torch.tensor([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))], dtype=torch.float64)
        assert angle(3 * turned, exact) == pytest.approx(degrees, rel=1e-6)


def test_the_exact_gradient_is_the_slope_of_the_outer_function(problem: Quadratic) -> None:
    def outer(alpha):
        return problem.valid_loss({"w": problem.B @ alpha}, {"alpha": alpha})

    assert torch.allclose(problem.exact(), torch.func.grad(outer)(problem.alpha), atol=1e-12)


def test_descent_in_closed_form_equals_steps_by_autograd(problem: Quadratic) -> None:
    weights = problem.weights["w"].detach()
    stepped = weights
    for _ in range(3):
        slope = torch.func.grad(lambda w: problem.train_loss({"w": w}, {"alpha": problem.alpha}))(stepped)
        stepped = stepped - 0.1 * slope
    assert torch.allclose(problem.descend(weights, problem.alpha, 0.1, 3), stepped, atol=1e-12)


def test_a_trajectory_goes_on_where_it_was_and_ends_at_the_solution(problem: Quadratic) -> None:
    reference = ToyReference(problem)
    points = trajectory(reference, [1.0], [CONVERGED, 5, 0, 2])
    assert [point.inner_steps for point in points] == [0, 2, 5, CONVERGED]
    at_once = problem.descend(reference.start, reference.alpha, points[0].step_size, 5)
    assert torch.allclose(points[2].weights, at_once, atol=1e-12)
    assert points[-1].distance == 0
    assert points[0].step_size == pytest.approx(1 / float(torch.linalg.eigvalsh(problem.H)[-1]))


def test_second_order_is_the_exact_gradient_after_one_step(problem: Quadratic) -> None:
    reference = ToyReference(problem)
    points = trajectory(reference, [0.7], [2])
    (point,) = points

    def surrogate(alpha):
        return problem.valid_loss({"w": problem.descend(point.weights, alpha, point.step_size, 1)}, {"alpha": alpha})

    expected = torch.func.grad(surrogate)(problem.alpha)
    row = at(compare_gradients(reference, points, []), estimator="second order")
    assert row["angle"] == pytest.approx(angle(expected, problem.exact()), abs=1e-6)
    assert row["norm_ratio"] == pytest.approx(float(expected.norm() / problem.exact().norm()))


def test_the_neumann_series_is_exact_in_the_limit_at_the_rate_of_the_smallest_curvature(problem: Quadratic) -> None:
    reference = ToyReference(problem)
    points = trajectory(reference, [0.5], [CONVERGED])
    found = compare_gradients(reference, points, [30, 31, 400])
    errors = {row["estimator"]: row["error"] for row in found.to_dict("records")}
    curvatures = torch.linalg.eigvalsh(problem.H)
    rate = 1 - 0.5 * float(curvatures[0] / curvatures[-1])
    assert errors["Neumann, K = 31"] / errors["Neumann, K = 30"] == pytest.approx(rate, rel=0.02)
    assert errors["Neumann, K = 400"] < 1e-12


def test_the_bias_of_first_order_has_a_closed_form_and_no_step_size_removes_it(problem: Quadratic) -> None:
    reference = ToyReference(problem)
    found = with_bounds(error_terms(reference, trajectory(reference, [0.1, 1.0], [0, 10, 200, CONVERGED])), problem)
    expected = float((problem.B.T @ problem.valid_slope()).norm() / problem.exact().norm())
    assert found["bias"].tolist() == pytest.approx([expected] * len(found))
    settled = found[found["inner_steps"] == CONVERGED]
    assert settled["lag"].tolist() == [0, 0]
    assert settled["error"].tolist() == pytest.approx([expected] * 2)
    start = at(found, step_share=1.0, inner_steps=0)
    gap = problem.D.T @ (reference.start - reference.solution)
    assert start["lag"] == pytest.approx(float(gap.norm() / problem.exact().norm()))


def test_inner_steps_remove_the_lag_at_the_rate_of_the_smallest_curvature(problem: Quadratic) -> None:
    reference = ToyReference(problem)
    found = error_terms(reference, trajectory(reference, [1.0], [60, 61]))
    curvatures = torch.linalg.eigvalsh(problem.H)
    lags = found["lag"].tolist()
    assert lags[1] / lags[0] == pytest.approx(1 - float(curvatures[0] / curvatures[-1]), rel=0.02)


def test_both_terms_keep_to_their_bounds(problem: Quadratic) -> None:
    reference = ToyReference(problem)
    found = with_bounds(error_terms(reference, trajectory(reference, [0.3], [0, 3, 30])), problem)
    assert (found["lag"] <= found["lag_bound"]).all()
    assert (found["bias"] <= found["bias_bound"]).all()
    assert (found["error"] <= found["lag"] + found["bias"] + 1e-12).all()
    largest = float(torch.linalg.matrix_norm(problem.D, 2)) * found["distance"] / float(problem.exact().norm())
    assert found["lag_bound"].tolist() == pytest.approx(largest.tolist())


def test_there_is_no_bias_where_both_losses_are_one() -> None:
    class OneLoss(Quadratic):
        def valid_loss(self, weights, architecture):
            return self.train_loss(weights, architecture) + 0.5 * self.q * architecture["alpha"].square().sum()

        def exact(self):
            return self.q * self.alpha

    reference = ToyReference(OneLoss())
    found = error_terms(reference, trajectory(reference, [1.0], [0, CONVERGED]))
    assert found["bias"].max() < 1e-12
    assert found["lag"].iloc[0] > 0.1
    assert found["error"].iloc[1] < 1e-12


def test_directions_are_orthonormal_sets() -> None:
    drawn = orthonormal_directions(5, sets=2)
    assert drawn.shape == (10, 5)
    for half in (drawn[:5], drawn[5:]):
        assert torch.allclose(half @ half.T, torch.eye(5, dtype=torch.float64), atol=1e-12)
    assert torch.equal(drawn, orthonormal_directions(5, sets=2))
    assert not torch.equal(drawn, orthonormal_directions(5, sets=2, seed=1))


def test_the_mean_of_zeroth_order_is_the_gradient_after_the_twins_steps(problem: Quadratic) -> None:
    reference = ToyReference(problem)
    points = trajectory(reference, [0.5], [3])
    (point,) = points

    def surrogate(alpha):
        moved = problem.descend(point.weights, alpha, point.step_size, TWIN_STEPS)
        return problem.valid_loss({"w": moved}, {"alpha": alpha})

    expected = torch.func.grad(surrogate)(problem.alpha)
    (row,) = compare_zeroth_order(reference, points, orthonormal_directions(5, sets=3)).to_dict("records")
    assert row["angle"] == pytest.approx(angle(expected, problem.exact()), abs=1e-6)
    assert row["norm_ratio"] == pytest.approx(float(expected.norm() / problem.exact().norm()))
    assert row["angle_low"] < row["angle_median"] < row["angle_high"] < 180
    assert row["directions"] == 15
    assert row["angle"] < row["angle_median"]
