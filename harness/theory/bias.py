"""How far estimators of the alpha gradient are from the exact hyper-gradient, on problems where that is known.

Two errors are to be told apart. The weights lag behind w*(alpha), which inner steps mend; and first-order DARTS leaves
out how w* moves with alpha, which no step size and no number of inner steps mends.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from harness.base.named_tensors import Tensors
from harness.base.streams import stream
from harness.estimators import hypergradient
from harness.theory.quadratic import Quadratic

CONVERGED = math.inf
"""Number of inner steps that stands for the inner solution itself."""

TWIN_STEPS = 10
"""Inner steps of the zeroth-order estimate's twins (Xie et al., ZO-DARTS, ICASSP 2023)."""
MU = 0.01
"""How far along its direction a twin's alpha lies."""


class BilevelProblem(Protocol):
    """A problem with one tensor of weights, `w` [n], and one of architecture parameters, `alpha`."""

    def train_loss(self, weights: Tensors, architecture: Tensors) -> Tensor:
        """L_train."""
        ...

    def valid_loss(self, weights: Tensors, architecture: Tensors) -> Tensor:
        """L_valid."""
        ...

    def descend(self, weights: Tensor, alpha: Tensor, lr: float, steps: int) -> Tensor:
        """Return the weights after plain gradient steps on L_train."""
        ...


class Reference(Protocol):
    """A problem together with its inner solution and its exact hyper-gradient at one alpha."""

    alpha: Tensor
    start: Tensor
    """The weights before the first inner step."""
    solution: Tensor
    """w*(alpha)."""
    exact: Tensor
    """The hyper-gradient, shaped as alpha."""
    largest_curvature: float
    """Of L_train at the solution."""

    @property
    def problem(self) -> BilevelProblem:
        """The problem."""
        ...


class ToyReference:
    """The quadratic problem, solved in closed form."""

    def __init__(self, problem: Quadratic):
        self.problem = problem
        self.alpha = problem.alpha
        self.start = problem.weights["w"].detach()
        self.solution = problem.solution()
        self.exact = problem.exact()
        self.largest_curvature = float(torch.linalg.eigvalsh(problem.H)[-1])


def angle(estimate: Tensor, exact: Tensor) -> float:
    """Return the angle between two tensors as vectors, degrees; precise for small angles too."""
    a, b = estimate.flatten(), exact.flatten()
    unit = b / b.norm()
    along = a @ unit
    return math.degrees(math.atan2(float((a - along * unit).norm()), float(along)))


@dataclass(frozen=True)
class Point:
    """Weights on the way to the inner solution."""

    step_share: float
    """The inner step size as a share of 1 / largest curvature."""
    step_size: float
    inner_steps: float
    """`CONVERGED` at the inner solution."""
    distance: float
    """|w - w*|."""
    weights: Tensor

    def row(self) -> dict[str, float]:
        """Return the point as columns of a data frame."""
        return {name: getattr(self, name) for name in ("step_share", "step_size", "inner_steps", "distance")}


def trajectory(reference: Reference, shares: Sequence[float], inner_steps: Sequence[float]) -> list[Point]:
    """Return the points after so many inner steps from the start, for each inner step size."""
    points = []
    for share in shares:
        lr = share / reference.largest_curvature
        weights, made = reference.start, 0
        for steps in sorted(inner_steps):
            if steps == CONVERGED:
                weights = reference.solution
            else:
                weights = reference.problem.descend(weights, reference.alpha, lr, int(steps) - made)
                made = int(steps)
            points.append(Point(share, lr, steps, float((weights - reference.solution).norm()), weights))
    return points


def compare_gradients(reference: Reference, points: Sequence[Point], terms: Sequence[int]) -> pd.DataFrame:
    """Compare first order, second order and Neumann series of so many terms with the exact hyper-gradient.

    Returns:
        A row an estimator and point: angle (degrees); norm_ratio, its norm over the exact one's; and
        error, the norm of the difference over the exact one's.
    """
    rows = []
    for point in points:
        for name, estimate in _gradients(reference, point, terms).items():
            rows.append({**point.row(), "estimator": name, **_compared(estimate, reference.exact)})
    return pd.DataFrame(rows)


def _gradients(reference: Reference, point: Point, terms: Sequence[int]) -> dict[str, Tensor]:
    lr, w = point.step_size, {"w": point.weights.detach().requires_grad_()}
    a = {"alpha": reference.alpha.detach().requires_grad_()}
    train, valid = reference.problem.train_loss, reference.problem.valid_loss
    second = hypergradient.unrolled(
        train, valid, w, a, lr=lr, momentum=0.0, momentum_buffers={}, weight_decay=0.0
    )  # a decay of the weights is part of L_train
    found = {"first order": hypergradient.first_order(valid, w, a), "second order": second}
    for count in terms:
        found[f"Neumann, K = {count}"] = hypergradient.neumann(train, valid, w, a, lr=lr, terms=count)
    return {name: estimate["alpha"] for name, estimate in found.items()}


def _compared(estimate: Tensor, exact: Tensor) -> dict[str, float]:
    scale = exact.norm()
    return {
        "angle": angle(estimate, exact),
        "norm_ratio": float(estimate.norm() / scale),
        "error": float((estimate - exact).norm() / scale),
    }


def compare_zeroth_order(reference: Reference, points: Sequence[Point], directions: Tensor) -> pd.DataFrame:
    """Compare the mean of zeroth-order estimates over directions with the exact hyper-gradient.

    The search's weights and each twin make `TWIN_STEPS` steps from the point on, and the estimate is asked there. As
    its mean is the gradient over d, it is taken times d, the number of architecture parameters.

    Args:
        reference: what to compare with.
        points: where to ask.
        directions: [N, d], unit vectors; in sets of d orthonormal ones their mean has no sampling error.

    Returns:
        Rows as of `compare_gradients`, and for the single directions the angle's median and its ends of 90 % of the
        directions: angle_median, angle_low and angle_high, with `directions`, how many there are.
    """
    rows = []
    for point in points:
        drawn = _zeroth_order(reference, point, directions)
        angles = [angle(estimate, reference.exact) for estimate in drawn]
        low, median, high = np.quantile(angles, [0.05, 0.5, 0.95])
        spread = {"angle_low": low, "angle_median": median, "angle_high": high, "directions": len(directions)}
        mean = reference.alpha.numel() * drawn.mean(dim=0)
        compared = _compared(mean, reference.exact)
        rows.append({**point.row(), "estimator": "zeroth order, mean", **compared, **spread})
    return pd.DataFrame(rows)


def _zeroth_order(reference: Reference, point: Point, directions: Tensor) -> Tensor:
    """Return one estimate a direction, [N, *alpha]."""
    problem, alpha, lr, weights = reference.problem, reference.alpha, point.step_size, point.weights
    own = {"w": problem.descend(weights, alpha, lr, TWIN_STEPS).requires_grad_()}
    estimates = []
    for z in directions.reshape(-1, *alpha.shape):
        twin = {"w": problem.descend(weights, alpha + MU * z, lr, TWIN_STEPS)}
        a = {"alpha": alpha.detach().requires_grad_()}
        found = hypergradient.zeroth_order(problem.valid_loss, own, twin, a, direction={"alpha": z}, mu=MU)
        estimates.append(found["alpha"])
    return torch.stack(estimates)


def orthonormal_directions(size: int, sets: int, seed: int = 0) -> Tensor:
    """Return [sets * size, size] unit vectors: sets of orthonormal ones, each vector uniform on the sphere."""
    random = stream(seed, "theory/directions")
    drawn = [np.linalg.qr(random.standard_normal((size, size))) for _ in range(sets)]
    # The signs make the draw uniform over the orthogonal matrices.
    return torch.from_numpy(np.concatenate([(Q * np.sign(np.diag(R))).T for Q, R in drawn]))


def error_terms(reference: Reference, points: Sequence[Point]) -> pd.DataFrame:
    """Return the two terms of the first-order error by inner steps, as norms over the exact gradient's.

    g1 - dF = [dL_valid/da(w) - dL_valid/da(w*)] + [dL_valid/da(w*) - dF]: what w lags behind, and the bias.

    Returns:
        A row a point: lag, bias, and error, the norm of their sum.
    """

    def by_alpha(weights: Tensor) -> Tensor:
        a = {"alpha": reference.alpha.detach().requires_grad_()}
        return hypergradient.first_order(reference.problem.valid_loss, {"w": weights}, a)["alpha"]

    scale = reference.exact.norm()
    at_solution = by_alpha(reference.solution)
    bias = float((at_solution - reference.exact).norm() / scale)
    rows = []
    for point in points:
        here = by_alpha(point.weights)
        lag, error = (float((here - other).norm() / scale) for other in (at_solution, reference.exact))
        rows.append({**point.row(), "lag": lag, "bias": bias, "error": error})
    return pd.DataFrame(rows)


def with_bounds(terms: pd.DataFrame, problem: Quadratic) -> pd.DataFrame:
    """Return the rows of `error_terms` of the quadratic problem with lag_bound and bias_bound, in the same unit.

    The lag is at most l |w - w*| with l the largest singular value of d2 L_valid / da dw; the bias at most
    (|C| / m) |dL_valid/dw(w*)| with C = d2 L_train / dw da and m the smallest curvature of L_train.
    """
    scale = float(problem.exact().norm())
    coupling = float(torch.linalg.matrix_norm(problem.D, 2))
    cross = float(torch.linalg.matrix_norm(problem.H @ problem.B, 2))
    smallest = float(torch.linalg.eigvalsh(problem.H)[0])
    bias_bound = cross / smallest * float(problem.valid_slope().norm())
    return terms.assign(lag_bound=coupling * terms["distance"] / scale, bias_bound=bias_bound / scale)
