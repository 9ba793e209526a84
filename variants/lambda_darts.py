"""Lambda-DARTS: the weights learn to give all cells the same wish for alpha."""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from harness.api import (
    EDGES,
    Architecture,
    Moment,
    Phase,
    Protocol,
    StepView,
    Tensors,
    UserError,
    Variant,
    constant,
    gradient,
)

SHIFT = "shift"
"""What is added to the op weights of each cell, [cells, 6, operations]: to differentiate by, and to move them."""


class LambdaDarts(Variant):
    """Raise Lambda, the mean cosine of the cells' own gradients of the op weights, beside lowering the training loss.

    All cells share one alpha. Where their gradients disagree, those nearest to the output outvote the others, and these
    ask for skip connections.
    """

    name = "lambda-darts"
    citation = (
        "Movahedi, Adabinejad, Imani, Keshavarz, Dehghani, Shakery and Araabi. Lambda-DARTS: Mitigating Performance "
        "Collapse by Harmonizing Operation Selection among Cells. ICLR 2023, arXiv 2210.07998."
    )
    axis = "regulariser on the weights: alignment of the cells' gradients"
    family = "regulariser"
    departures = (
        "Epochs, rates and weight decays are the protocol's (the paper: 100 epochs, alpha at 1e-4, weight decay 3e-4, "
        "as in the protocol lambda-darts).",
        "The passes at moved op weights leave the running statistics of batch norms alone; the authors' code moves "
        "them three times a step.",
    )
    passes_per_step = 4.0

    class Settings(Variant.Settings):
        """Settings of the regulariser."""

        strength: float = Field(default=0.125, ge=0, le=1e3)
        """Factor of Lambda in the last epoch; it rises linearly from 0 in the first."""
        radius: float = Field(default=1e-4, ge=1e-8, le=1.0)
        """Norm of the step of all cells' op weights, for the finite difference."""

    def __init__(self, settings: Any, protocol: Protocol):
        super().__init__(settings, protocol)
        if protocol.precision in ("bfloat16", "tf32"):
            raise UserError(
                f"protocol precision: expected float32 or float64, for the finite differences of lambda-darts drown in "
                f"the rounding of {protocol.precision!r}"
            )

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return the softmax of alpha, [6, operations]; with a shift [cells, 6, operations]."""
        own = super().op_weights(architecture, moment)
        return own + architecture[SHIFT] if SHIFT in architecture else own

    def weight_gradients(self, step: StepView) -> Mapping[str, Tensor | None]:
        """Return the gradient of L_train - strength * Lambda."""
        shift = self._no_shift(step).requires_grad_()
        plain, along = step.training_gradients({**constant(step.architecture), SHIFT: shift})
        direction = alignment_slope(along[SHIFT])
        # A zero direction has nothing to raise, and stays zero.
        distance = self.settings.radius / direction.norm().clamp_min(torch.finfo(direction.dtype).tiny)
        lower, upper = (self._gradient_at(step, sign * distance * direction) for sign in (-1.0, 1.0))
        moment = step.moment(Phase.WEIGHTS)
        factor = self.settings.strength * moment.epoch / max(moment.epochs - 1, 1) / (2 * distance)
        return {
            name: None if own is None else own + factor * (lower[name] - upper[name]) for name, own in plain.items()
        }

    def _no_shift(self, step: StepView) -> Tensor:
        cells = step.search.supernet.spec.shape.cells
        return torch.zeros(cells, len(EDGES), len(self.operations), dtype=step.search.dtype, device=step.search.device)

    def _gradient_at(self, step: StepView, shift: Tensor) -> Tensors:
        architecture = {**constant(step.architecture), SHIFT: shift}
        return gradient(step.train_loss(step.weights, architecture), step.weights)


def alignment(gradients: Tensor) -> Tensor:
    """Return Lambda of gradients [cells, 6, operations]: the mean cosine over all pairs of cells."""
    unit = torch.nn.functional.normalize(gradients.flatten(start_dim=1), dim=1)
    cells = len(unit)
    # The square of the sum holds each pair twice, and each cell with itself.
    return (unit.sum(dim=0).square().sum() - unit.square().sum()) / (cells * (cells - 1))


def alignment_slope(gradients: Tensor) -> Tensor:
    """Return dLambda / dgradients, [cells, 6, operations]; zero for a cell without a gradient.

    With unit vectors u_l it is 2 / (L (L - 1)) (I - u_l u_l^T) sum_k u_k / ||g_l||.
    """
    flat = gradients.flatten(start_dim=1)
    norms = flat.norm(dim=1, keepdim=True)
    unit = torch.where(norms > 0, flat / norms.clamp_min(torch.finfo(flat.dtype).tiny), torch.zeros_like(flat))
    total = unit.sum(dim=0, keepdim=True)
    across = total - (unit * total).sum(dim=1, keepdim=True) * unit
    cells = len(flat)
    slope = 2 / (cells * (cells - 1)) * across / norms.clamp_min(torch.finfo(flat.dtype).tiny)
    return torch.where(norms > 0, slope, torch.zeros_like(slope)).view_as(gradients)
