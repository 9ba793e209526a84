"""The supernet's pass once more, operation by operation: what the fused cells never form.

Fused cells share a ReLU and a convolution among edges, and an op weight is the scale of a batch norm. Here every
operation has an output of its own, and every ReLU is counted as often as a net that computes each edge alone has it.
It runs operator by operator, in the place of compiled cells, CUDA graphs and recomputation, which have none of these
tensors either; it is for passes without a gradient, and never moves a running statistic.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.base.errors import UserError
from harness.networks.layers import KERNEL_SIZE, ConvolutionBlock, Head, Reduction, average_pool
from harness.networks.mixed_cell import MixedCell
from harness.networks.supernet import Active, Supernet, every_operation
from harness.space.cell import EDGES, NONE, SKIP

Statistics = Literal["batch", "initial"]
"""What batch norms normalise by: the batch, or mean 0 and variance 1, as a new network does when it is evaluated."""


@dataclass(frozen=True)
class Probed:
    """A part of the network: a search cell, a reduction or the head."""

    cell: int | None
    """Number of the search cell; None for another part."""
    outputs: dict[tuple[int, int], Tensor]
    """What each active operation gives before its op weight, [batch, channels, height, width], by edge and column."""
    relu_inputs: tuple[tuple[Tensor, int], ...]
    """What goes into each ReLU, and how many ReLUs of an unfused net it goes into."""
    features: Tensor
    """What the part passes on; of the head the logits [batch, classes]."""


@torch.no_grad()
def probe(
    supernet: Supernet,
    images: Tensor,
    op_weights: Tensor,
    active: Active | None = None,
    statistics: Statistics = "batch",
) -> Iterator[Probed]:
    """Walk through the network and hand out its parts in the order of the pass.

    Args:
        images: [batch, image channels, height, width].
        op_weights: [6, operations] for all cells, or [cells, 6, operations].
        active: as `Controls.active`; what is not active has no output and no ReLU. An operation with op weight 0 has.
        statistics: of the batch norms.

    Raises:
        UserError: only a part of the channels passes through the operations.
    """
    if supernet.spec.partial_channels != 1:
        raise UserError("a method that looks at single operations needs a network whose edges take all channels")
    shape, operations = supernet.spec.shape, supernet.spec.operations
    computed = every_operation(operations) if active is None else active
    of_cells = op_weights.expand(shape.cells, *op_weights.shape[-2:])
    convolution, norm = supernet.stem
    assert isinstance(norm, nn.BatchNorm2d)
    features = _normalised(norm, convolution(images.contiguous(memory_format=torch.channels_last)), statistics)
    for position, cell in enumerate(supernet.cells):
        assert isinstance(cell, MixedCell)
        if position and position % shape.cells_per_stage == 0:
            reduction = supernet.reductions[position // shape.cells_per_stage - 1]
            assert isinstance(reduction, Reduction)
            part = _reduction(reduction, features, statistics)
            yield part
            features = part.features
        part = _cell(cell, position, features, of_cells[position], computed, operations, statistics)
        yield part
        features = part.features
    yield _head(supernet.head, features, statistics)


def _cell(
    cell: MixedCell,
    position: int,
    features: Tensor,
    op_weights: Tensor,
    active: Active,
    operations: tuple[str, ...],
    statistics: Statistics,
) -> Probed:
    nodes = [features, *(torch.zeros_like(features) for _ in range(3))]
    outputs, rectified = {}, [0, 0, 0]
    for edge, (source, target) in enumerate(EDGES):  # by target: a source is whole when an edge leaves it
        for column, operation in enumerate(operations):
            if not active[edge][column]:
                continue
            if operation in KERNEL_SIZE:
                output = _block(cell.blocks[edge][operation], nodes[source], statistics)
                rectified[source] += 1
            elif operation == NONE:
                output = torch.zeros_like(features)
            else:
                output = nodes[source] if operation == SKIP else average_pool(nodes[source])
            outputs[edge, column] = output
            nodes[target] = nodes[target] + op_weights[edge, column] * output
    relu_inputs = tuple((nodes[source], count) for source, count in enumerate(rectified) if count)
    return Probed(position, outputs, relu_inputs, nodes[3])


def _reduction(reduction: Reduction, features: Tensor, statistics: Statistics) -> Probed:
    inner = _block(reduction.first, features, statistics)
    shortcut = reduction.shortcut(F.avg_pool2d(features, kernel_size=2, stride=2))
    passed_on = shortcut + _block(reduction.second, inner, statistics)
    return Probed(None, {}, ((features, 1), (inner, 1)), passed_on)


def _head(head: Head, features: Tensor, statistics: Statistics) -> Probed:
    normalised = _normalised(head.norm, features, statistics)
    return Probed(None, {}, ((normalised, 1),), head.classifier(F.relu(normalised).mean(dim=(2, 3))))


def _block(block: ConvolutionBlock, features: Tensor, statistics: Statistics) -> Tensor:
    return _normalised(block.norm, block.convolution(F.relu(features)), statistics)


def _normalised(norm: nn.BatchNorm2d, features: Tensor, statistics: Statistics) -> Tensor:
    channels = features.shape[1]
    mean, variance = features.new_zeros(channels), features.new_ones(channels)
    training = statistics == "batch"
    return F.batch_norm(features, mean, variance, norm.weight, norm.bias, training=training, eps=norm.eps)
