"""A small supernet as a bilevel problem whose inner solution and hyper-gradient can be computed.

Two things stand in the way in a real search, and are changed here. Batch norm makes the loss blind to the scale of
a convolution's weights, so a decay towards zero shrinks them and the curvature grows: the inner problem has,
besides, a pull towards the weights it starts from, the damping. ReLU has kinks, where a minimum tends to sit and where
there is no second derivative: softplus stands in for it.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from harness.base.named_tensors import Tensors
from harness.base.streams import stream, torch_seed
from harness.estimators.implicit_gradient import ImplicitGradient, implicit_gradient
from harness.networks.supernet import Supernet, SupernetSpec
from harness.space.cell import EDGES, OPERATIONS, Shape

CHANNELS = 2
IMAGES_PER_CLASS = 2
"""In the training half, and as many in the validation half."""
ALPHA_SD = 0.5
WEIGHT_DECAY = 5e-4
DAMPING = 0.3
SHARPNESS = 20.0
"""beta in softplus(x) = log(1 + exp(beta x)) / beta."""
PRETRAINING = 100
"""Steps of momentum 0.9 that lead from the drawn weights to those where the inner problem starts."""
PRETRAINING_LR = 0.025
SOLVER_CALLS = 150
"""Evaluations of the training gradient that the inner solution may take."""
CG_TOLERANCE = 1e-6
CG_LIMIT = 1000
PROBE = 0.01
"""How far alpha moves on each side in the check by finite differences."""


class SmoothActivations(TorchFunctionMode):
    """Within this context every ReLU is a softplus."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call `func`, or softplus in place of ReLU."""
        if func is F.relu:
            return F.softplus(args[0], beta=SHARPNESS)
        return func(*args, **(kwargs or {}))


class SupernetProblem:
    """Full-batch losses of a tiny float64 supernet on a fixed set of digits, as functions of one weight vector.

    L_train = cross-entropy + decay / 2 |w|^2 + damping / 2 |w - start|^2; L_valid = cross-entropy.
    """

    def __init__(
        self,
        seed: int,
        damping: float = DAMPING,
        channels: int = CHANNELS,
        alpha_sd: float = ALPHA_SD,
        pretraining: int | None = None,
    ):
        """Draw network, images and alpha by the seed and train the weights; `pretraining` None is `PRETRAINING`."""
        self.damping = damping
        self._smooth = True
        train, valid, shape = digit_halves(seed, IMAGES_PER_CLASS, channels)
        self._halves = {"train": train, "valid": valid}
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(torch_seed(seed, "theory/weights"))
            self._net = Supernet(SupernetSpec(shape)).double()
        self._shapes = {name: weight.shape for name, weight in self._net.named_parameters()}
        drawn = stream(seed, "theory/alpha").standard_normal((len(EDGES), len(OPERATIONS)))
        self.alpha = alpha_sd * torch.from_numpy(drawn)
        initial = torch.cat([weight.detach().flatten() for weight in self._net.parameters()])
        self.start = initial
        self.start = self._pretrained(initial, PRETRAINING if pretraining is None else pretraining)

    def with_relu(self) -> "SupernetProblem":
        """Return the problem with the network's own activations, and the same start."""
        other = copy.copy(self)
        other._smooth = False
        return other

    def cross_entropy(self, half: str, weights: Tensors, architecture: Tensors) -> Tensor:
        """Return the mean over the images of a half, `train` or `valid`."""
        parts = weights["w"].split([shape.numel() for shape in self._shapes.values()])
        named = {name: part.view(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}
        images, labels = self._halves[half]
        op_weights = torch.softmax(architecture["alpha"], dim=-1)
        if self._smooth:
            with SmoothActivations():
                logits = functional_call(self._net, named, (images, op_weights))
        else:
            logits = functional_call(self._net, named, (images, op_weights))
        return F.cross_entropy(logits, labels)

    def train_loss(self, weights: Tensors, architecture: Tensors) -> Tensor:
        """L_train."""
        w = weights["w"]
        pull = 0.5 * WEIGHT_DECAY * w.square().sum() + 0.5 * self.damping * (w - self.start).square().sum()
        return self.cross_entropy("train", weights, architecture) + pull

    def valid_loss(self, weights: Tensors, architecture: Tensors) -> Tensor:
        """L_valid."""
        return self.cross_entropy("valid", weights, architecture)

    def train_gradient(self, weights: Tensor, alpha: Tensor) -> Tensor:
        """dL_train/dw."""
        w = weights.detach().requires_grad_()
        return torch.autograd.grad(self.train_loss({"w": w}, {"alpha": alpha}), w)[0]

    def descend(self, weights: Tensor, alpha: Tensor, lr: float, steps: int) -> Tensor:
        """Return the weights after plain gradient steps on L_train."""
        for _ in range(steps):
            weights = weights - lr * self.train_gradient(weights, alpha)
        return weights

    def solve(self, weights: Tensor, alpha: Tensor, calls: int = SOLVER_CALLS) -> Tensor:
        """Return w*(alpha) as far as L-BFGS gets from these weights in so many evaluations."""
        w = weights.clone().requires_grad_()
        solver = torch.optim.LBFGS(
            [w],
            max_iter=calls,
            max_eval=calls,
            history_size=50,
            tolerance_grad=1e-7,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )

        def evaluate() -> Tensor:
            solver.zero_grad()
            loss = self.train_loss({"w": w}, {"alpha": alpha})
            loss.backward()
            return loss

        solver.step(evaluate)
        return w.detach()

    def _pretrained(self, weights: Tensor, steps: int) -> Tensor:
        w = weights.clone().requires_grad_()
        optimizer = torch.optim.SGD([w], lr=PRETRAINING_LR, momentum=0.9, weight_decay=WEIGHT_DECAY)
        for _ in range(steps):
            optimizer.zero_grad()
            self.cross_entropy("train", {"w": w}, {"alpha": self.alpha}).backward()
            optimizer.step()
        return w.detach()


class SupernetReference:
    """The problem, solved numerically."""

    def __init__(self, problem: SupernetProblem):
        self.problem = problem
        self.alpha = problem.alpha
        self.start = problem.start
        self.solution = problem.solve(self.start, self.alpha)
        self.implicit: ImplicitGradient = implicit_gradient(
            problem.train_loss, problem.valid_loss, self.solution, self.alpha, tolerance=CG_TOLERANCE, limit=CG_LIMIT
        )
        self.exact = self.implicit.gradient
        self.largest_curvature = self.implicit.solved.largest

    def finite_difference(self) -> float:
        """Return dF along the unit vector of the exact hyper-gradient, from two more inner solutions."""
        direction = self.exact / self.exact.norm()
        sides = []
        for sign in (1.0, -1.0):
            alpha = self.alpha + sign * PROBE * direction
            weights = self.problem.solve(self.solution, alpha)
            sides.append(float(self.problem.valid_loss({"w": weights}, {"alpha": alpha})))
        return (sides[0] - sides[1]) / (2 * PROBE)


Half = tuple[Tensor, Tensor]
"""Images [n, 1, 8, 8] and labels [n]."""


def digit_halves(seed: int, per_class: int, channels: int = CHANNELS) -> tuple[Half, Half, Shape]:
    """Return a training and a validation half of scikit-learn's digits, and the shape of their supernet.

    Each half has `per_class` images of every digit, drawn by the seed, and all are normalised as in a search.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    random = stream(seed, "theory/images")
    drawn = np.stack(
        [random.permutation(np.flatnonzero(digits.target == label))[: 2 * per_class] for label in range(10)]
    )
    images = torch.from_numpy(digits.images[drawn]).unsqueeze(2)
    images = (images - images.mean()) / images.std()
    labels = torch.from_numpy(digits.target[drawn])
    halves = [
        (images[:, part].flatten(0, 1), labels[:, part].flatten())
        for part in (slice(per_class), slice(per_class, None))
    ]
    shape = Shape(channels=channels, cells_per_stage=1, classes=10, image_channels=1, image_size=8)
    return halves[0], halves[1], shape


@dataclass(frozen=True)
class SolvedFacts:
    """How well a supernet problem was solved: a row of solutions.parquet."""

    weights: int
    images: int
    """Of each half."""
    damping: float
    moved: float
    """|w* - start|."""
    start_gradient: float
    """|dL_train/dw| at the start."""
    gradient: float
    """The same at w*."""
    relu_gradient: float
    """The same where the problem with ReLU is solved by the same method."""
    cg_residual: float
    cg_products: int
    smallest_curvature: float
    """Of L_train at w*: an upper bound of the smallest eigenvalue of its Hessian."""
    smallest_undamped: float
    """The same of L_train without the damping: where negative, L_train is not convex there."""
    largest_curvature: float
    train_cross_entropy: float
    valid_cross_entropy: float
    exact_norm: float
    finite_difference: float
    """What `exact_norm` should be, from two more inner solutions."""


def solved_facts(reference: SupernetReference) -> SolvedFacts:
    """Measure how well the problem was solved."""
    problem, alpha = reference.problem, reference.alpha
    at = {"w": reference.solution}, {"alpha": alpha}
    solved = reference.implicit.solved
    kinked = problem.with_relu()
    return SolvedFacts(
        weights=len(reference.solution),
        images=10 * IMAGES_PER_CLASS,
        damping=problem.damping,
        moved=float((reference.solution - reference.start).norm()),
        start_gradient=float(problem.train_gradient(reference.start, alpha).norm()),
        gradient=float(problem.train_gradient(reference.solution, alpha).norm()),
        relu_gradient=float(kinked.train_gradient(kinked.solve(kinked.start, alpha), alpha).norm()),
        cg_residual=solved.residual,
        cg_products=solved.products,
        smallest_curvature=solved.smallest,
        smallest_undamped=solved.smallest - problem.damping,
        largest_curvature=solved.largest,
        train_cross_entropy=float(problem.cross_entropy("train", *at)),
        valid_cross_entropy=float(problem.cross_entropy("valid", *at)),
        exact_norm=float(reference.exact.norm()),
        finite_difference=reference.finite_difference(),
    )
