"""What is measured along the way, and changes nothing: no stream, no weight, no count of the search's cost moves.

Everything that needs a forward pass is measured on a few validation images that are fixed by the seed, without
augmentation, and normalised by the statistics of their batch, whatever the protocol says about running ones: those
mix all cells, and the gap between mixture and cell would measure them.
"""

import math
import time
from itertools import combinations
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.images.batches import Batch
from harness.networks.supernet import statistics_untouched, twice_differentiable
from harness.records.record import DIAGNOSTIC_COLUMNS
from harness.search.derivation import argmax_cell
from harness.search.variant import Phase, SearchView
from harness.space.cell import OPERATIONS, SKIP, Cell
from harness.space.one_shot_cells import ONE_SHOT_CELLS

ROWS_AT_ONCE = {"cpu": 10, "cuda": 1}
"""Rows of the Hessian that one backward pass computes, by device: on a CPU more are little faster and take more memory.

On CUDA the derivative of cuDNN's batch norm asks for a memory format, which no batch of gradients has.
"""


def measure(search: SearchView) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what is due after the search's last epoch: columns of epochs.parquet, and rows of one_shot.parquet.

    What is not due, or what a method has nothing to say about, is NaN.
    """
    started = time.perf_counter()
    passes = search.passes
    settings, epochs = search.protocol.diagnostics, search.protocol.epochs
    measures: dict[str, Any] = {}
    one_shot: list[dict[str, Any]] = []
    if search.architecture:
        measures |= _of_alpha(search)
    if search.architecture and search.finite:
        if is_due(search.epoch, settings.every, epochs):
            batch = search.data.probe_batch("valid", settings.images)
            measures |= discretisation_gap(search, batch) | {"layer_alignment": layer_alignment(search, batch)}
        if is_due(search.epoch, settings.hessian_every, epochs):
            measures |= spectrum(alpha_hessian(search, search.data.probe_batch("valid", settings.hessian_images)))
    if search.finite and is_due(search.epoch, settings.one_shot_every, epochs):
        one_shot = one_shot_accuracies(search, search.data.probe_batch("valid", settings.images))
    search.passes = passes
    nothing = {"cell": None} | dict.fromkeys(DIAGNOSTIC_COLUMNS, math.nan)
    return nothing | measures | {"diagnostics_seconds": time.perf_counter() - started}, one_shot


def _of_alpha(search: SearchView) -> dict[str, Any]:
    op_weights = search.derived_op_weights()
    cell = str(argmax_cell(op_weights, search.variant.operations))
    changed = math.nan if search.cell is None else float(flips(search.cell, cell))
    return {"cell": cell, "flips": changed, **mixture_measures(op_weights, search.variant.operations)}


def is_due(epoch: int, every: int | None, epochs: int) -> bool:
    """Whether something is measured after this epoch: every so many epochs, and after the last; never for None."""
    return every is not None and (epoch % every == 0 or epoch == epochs)


def mixture_measures(op_weights: np.ndarray, operations: tuple[str, ...] = OPERATIONS) -> dict[str, float]:
    """Return how decided op weights [6, operations] are, and what skip_connect has of them.

    Rows are normalised to sum 1 first, for methods whose op weights do not. Entropies are in nats; a rank of 1 means
    that skip_connect leads, equal op weights share the mean of their ranks. Without skip_connect its mass is 0, and it
    has no rank.
    """
    shares = op_weights / op_weights.sum(axis=1, keepdims=True)
    ordered = np.sort(shares, axis=1)
    logarithms = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    entropies = -(shares * logarithms).sum(axis=1)
    skip = shares[:, [operations.index(SKIP)]] if SKIP in operations else np.zeros((len(shares), 1))
    ranks = (shares > skip).sum(axis=1) + 0.5 * ((shares == skip).sum(axis=1) + 1)
    return {
        "entropy": float(entropies.mean()),
        "entropy_smallest": float(entropies.min()),
        "entropy_largest": float(entropies.max()),
        "margin": float((ordered[:, -1] - ordered[:, -2]).mean()),
        "skip_mass": float(skip.mean()),
        "skip_rank": float(ranks.mean()) if SKIP in operations else math.nan,
    }


def flips(before: str, after: str) -> int:
    """Return on how many edges two cells differ."""
    pairs = zip(Cell.from_string(before).operations, Cell.from_string(after).operations, strict=True)
    return sum(one != other for one, other in pairs)


def discretisation_gap(search: SearchView, batch: Batch) -> dict[str, float]:
    """Return accuracies (percent) of the shared weights under the op weights and under their argmax cell.

    The gap is the first minus the second, in points, without retraining (Zela et al., ICLR 2020, section 3).
    """
    with torch.no_grad():
        mixture = search.variant.op_weights(search.architecture, search.moment(Phase.DERIVE))
    cell = search.one_hot(argmax_cell(search.derived_op_weights(), search.variant.operations))
    mixture_accuracy = search.one_shot_accuracy(mixture, [batch])
    one_hot_accuracy = search.one_shot_accuracy(cell, [batch])
    return {
        "mixture_accuracy": mixture_accuracy,
        "one_hot_accuracy": one_hot_accuracy,
        "discretisation_gap": mixture_accuracy - one_hot_accuracy,
    }


def alpha_hessian(search: SearchView, batch: Batch) -> np.ndarray | None:
    """Return the Hessian [alphas, alphas] of the validation loss on one batch (Zela et al., ICLR 2020, section 4).

    Where cells or stages have alphas of their own it is that of a common shift of all of them, so that it has one
    size for all methods. None where the op weights do not depend smoothly on alpha.
    """
    alpha = search.architecture["alpha"].detach()
    shift = torch.zeros(alpha.shape[-2:], dtype=alpha.dtype, device=alpha.device, requires_grad=True)
    architecture = {**search.architecture, "alpha": alpha + shift}
    op_weights = search.variant.op_weights(architecture, search.moment(Phase.DERIVE))
    if not op_weights.requires_grad:
        return None
    slope = _slope(_loss(search, op_weights, batch), shift, create_graph=True)
    units = torch.eye(shift.numel(), dtype=alpha.dtype, device=alpha.device).reshape(-1, *shift.shape)
    rows = [_rows(slope, shift, chosen) for chosen in units.split(ROWS_AT_ONCE[alpha.device.type])]
    matrix = torch.cat(rows).double().cpu().numpy()
    return (matrix + matrix.T) / 2


def _rows(slope: Tensor, shift: Tensor, chosen: Tensor) -> Tensor:
    several = len(chosen) > 1
    directions = chosen if several else chosen[0]
    (found,) = torch.autograd.grad(slope, shift, directions, is_grads_batched=several, retain_graph=True)
    return found.reshape(len(chosen), -1)


def spectrum(hessian: np.ndarray | None) -> dict[str, float]:
    """Return the largest and smallest eigenvalue and the trace of a symmetric matrix, in nats."""
    if hessian is None or not np.isfinite(hessian).all():
        return {}
    eigenvalues = np.linalg.eigvalsh(hessian)
    return {
        "hessian_largest": float(eigenvalues[-1]),
        "hessian_smallest": float(eigenvalues[0]),
        "hessian_trace": float(np.trace(hessian)),
    }


def layer_alignment(search: SearchView, batch: Batch) -> float:
    """Return the mean cosine, over pairs of cells, of the gradients that each alone gives to the op weights.

    Near 1 all cells ask for the same operations, near 0 the first ones drown the others
    (Movahedi et al., Lambda-DARTS, ICLR 2023, section 3). NaN where a cell gives no gradient.
    """
    with torch.no_grad():
        op_weights = search.variant.op_weights(search.architecture, search.moment(Phase.DERIVE))
    cells = search.supernet.spec.shape.cells
    own = op_weights.detach().expand(cells, *op_weights.shape[-2:]).clone().requires_grad_()
    gradients = _slope(_loss(search, own, batch), own).reshape(cells, -1).double().cpu().numpy()
    return mean_pairwise_cosine(gradients)


def mean_pairwise_cosine(vectors: np.ndarray) -> float:
    """Return the mean cosine over all pairs of rows; NaN for a zero row or a single one."""
    norms = np.linalg.norm(vectors, axis=1)
    if len(vectors) < 2 or not norms.all():
        return float("nan")
    directions = vectors / norms[:, None]
    return float(np.mean([directions[i] @ directions[j] for i, j in combinations(range(len(vectors)), 2)]))


def one_shot_accuracies(search: SearchView, batch: Batch) -> list[dict[str, Any]]:
    """Return the accuracy (percent) of the shared weights under each cell of the fixed list: rows of one_shot.parquet.

    A space of fewer operations has a part of the list. Compared with the truth, they say how well the supernet ranks
    cells (Yu et al., ICLR 2020).
    """
    rows = []
    for index in ONE_SHOT_CELLS:
        cell = Cell.from_index(index)
        if not set(cell.operations) <= set(search.variant.operations):
            continue
        accuracy = search.one_shot_accuracy(search.one_hot(cell), [batch])
        rows.append({"epoch": search.epoch, "cell_index": index, "accuracy": accuracy})
    return rows


def _loss(search: SearchView, op_weights: Tensor, batch: Batch) -> Tensor:
    images, labels = batch
    controls = search.variant.controls(search.architecture, search.moment(Phase.DERIVE))
    with statistics_untouched(search.supernet), twice_differentiable(search.supernet):
        return F.cross_entropy(search.supernet(images, op_weights, controls), labels)


def _slope(value: Tensor, variable: Tensor, *, create_graph: bool = False) -> Tensor:
    (found,) = torch.autograd.grad(value, variable, create_graph=create_graph)
    return found
