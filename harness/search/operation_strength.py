"""Rules that ask a trained supernet for a cell: operation strength, removal of operations, best of several cells.

None of them moves a weight, so all of them can judge the same finished search.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.images.batches import Batch
from harness.networks.supernet import statistics_untouched
from harness.search.variant import Phase, SearchView
from harness.space.cell import EDGES, NONE, Cell

# What a forward pass alone costs, in forward-backward passes.
FORWARD = 1 / 3


def operation_strength(search: SearchView, batches: Iterable[Batch], *, absolute_in_cells: bool = False) -> np.ndarray:
    """Return each operation's first-order effect on the loss, [6, operations] (after Yang et al., OStr-DARTS, 2024).

    The loss is linear in an op weight to first order, so removing operation o of edge e from all cells l changes it by
    about -sum_l p_eo dL/dp_eo^(l). The strength is the mean over batches of the magnitude of that sum. `none` has no
    output, so its strength is 0.

    Args:
        batches: validation batches; each costs one forward-backward pass.
        absolute_in_cells: sum the magnitudes of the cells, so that effects of opposite sign do not cancel.
    """
    op_weights = _op_weights_of_cells(search).requires_grad_()
    strengths = []
    with statistics_untouched(search.supernet):
        for batch in batches:
            (slope,) = torch.autograd.grad(_loss(search, op_weights, batch), op_weights)
            effect = (op_weights * slope).detach().double()
            summed = effect.abs().sum(dim=0) if absolute_in_cells else effect.sum(dim=0).abs()
            strengths.append(summed)
            search.passes += 1
    return torch.stack(strengths).mean(dim=0).cpu().numpy()


def removal_effect(search: SearchView, batches: Iterable[Batch]) -> np.ndarray:
    """Return how much the loss rises without an operation in all cells, [6, operations]: the mean over batches.

    Its op weight is set to zero and the others stay as they are, as in DARTS-PT (Wang et al., ICLR 2021). This is the
    exact test that `operation_strength` approximates, at a forward pass for each of them and batch.
    """
    op_weights = _op_weights_of_cells(search)
    effects = []
    with torch.no_grad(), statistics_untouched(search.supernet):
        for batch in batches:
            whole = _loss(search, op_weights, batch)
            search.passes += FORWARD
            effect = torch.zeros(op_weights.shape[-2:], dtype=torch.float64, device=search.device)
            for edge in range(len(EDGES)):
                for column, operation in enumerate(search.variant.operations):
                    if operation == NONE:
                        continue
                    without = op_weights.clone()
                    without[:, edge, column] = 0
                    effect[edge, column] = _loss(search, without, batch) - whole
                    search.passes += FORWARD
            effects.append(effect)
    return torch.stack(effects).mean(dim=0).cpu().numpy()


def best_of_k(
    search: SearchView, cells: Iterable[Cell], batches: Sequence[Batch], *, running_statistics: bool = False
) -> Cell:
    """Return the cell with the best one-shot accuracy; the first of equal ones (Dong and Yang, SETN, ICCV 2019).

    Every cell is judged by the shared weights on the same batches; a cell that comes twice is judged once. Batch norms
    use the statistics of the batch or, with `running_statistics`, their running ones where they keep them.
    """
    distinct = list(dict.fromkeys(cells))
    scores = [
        search.one_shot_accuracy(search.one_hot(cell), batches, running_statistics=running_statistics)
        for cell in distinct
    ]
    return distinct[int(np.argmax(scores))]


def _op_weights_of_cells(search: SearchView) -> Tensor:
    """Return the op weights of the derivation, one matrix a cell: [cells, 6, operations], a new tensor."""
    with torch.no_grad():
        op_weights = search.variant.op_weights(search.architecture, search.moment(Phase.DERIVE))
    return op_weights.expand(search.supernet.spec.shape.cells, -1, -1).clone()


def _loss(search: SearchView, op_weights: Tensor, batch: Batch) -> Tensor:
    images, labels = batch
    controls = search.variant.controls(search.architecture, search.moment(Phase.DERIVE, batch_size=len(labels)))
    with search.arithmetic():
        logits = search.supernet(images, op_weights, controls)
    return F.cross_entropy(logits.to(search.dtype), labels)
