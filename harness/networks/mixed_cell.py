"""One search cell, with the work of all edges that leave a node done together.

Edges from the same node share its ReLU, one convolution a kernel size (their weights joined) and its average pooling.
The op weight is the scale of the batch norm behind a convolution, so its gradient is the gradient of that scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.networks.layers import KERNEL_SIZE, ConvolutionBlock, average_pool, shuffle_channels, tracked_norms
from harness.networks.precision import scaled, shifted
from harness.space.cell import CONV1, CONV3, EDGES, OPERATIONS, POOL, SKIP

LEAVING = tuple(tuple(edge for edge, (source, _) in enumerate(EDGES) if source == node) for node in range(3))
"""The edges that leave nodes 0, 1 and 2."""
ENTERING = tuple(tuple(edge for edge, (_, target) in enumerate(EDGES) if target == node) for node in (1, 2, 3))
"""The edges that enter nodes 1, 2 and 3."""

Terms = list[tuple[int, Tensor]]
"""Summands of the edges' outputs: pairs of an edge and a tensor."""


class OpWeights:
    """The op weights of one cell, [6, operations], cut into scalars and repeated for each channel of an edge."""

    def __init__(self, matrix: Tensor, channels: int, operations: tuple[str, ...] = OPERATIONS):
        self.matrix = matrix
        self.operations = operations
        self._scalars = matrix.reshape(-1).unbind()
        # Contiguous, because PyTorch's batch norm reads a scale of stride 0 beyond its end.
        repeated = matrix.unsqueeze(2).expand(*matrix.shape, channels).contiguous()
        self._repeated = repeated.view(-1, channels).unbind()

    def scalar(self, edge: int, operation: str) -> Tensor:
        """Return one op weight."""
        return self._scalars[self._position(edge, operation)]

    def per_channel(self, edges: Sequence[int], operation: str) -> Tensor:
        """Return the op weights of several edges, [edges * channels]."""
        return joined([self._repeated[self._position(edge, operation)] for edge in edges])

    def _position(self, edge: int, operation: str) -> int:
        return edge * len(self.operations) + self.operations.index(operation)


@dataclass(frozen=True)
class CellControls:
    """The part of a pass's controls that belongs to one cell; shapes as there without the first dimension."""

    operations: tuple[str, ...]
    """Of the network, by column."""
    active: tuple[tuple[bool, ...], ...]
    edge_weights: Tensor | None
    """Factor on what bypasses the operations; the op weights have theirs already."""
    operation_scale: Tensor | None
    skip_mask: Tensor | None
    channel_order: Tensor | None
    edge_shift: Tensor | None = None

    def edges_with(self, operation: str, edges: Sequence[int]) -> tuple[int, ...]:
        """Return those of `edges` that compute the operation."""
        if operation not in self.operations:
            return ()
        column = self.operations.index(operation)
        return tuple(edge for edge in edges if self.active[edge][column])

    def scale(self, edge: int, operation: str) -> Tensor:
        """Return the factor on an operation's output for each sample, [batch]."""
        assert self.operation_scale is not None
        return self.operation_scale[edge, self.operations.index(operation)]


class MixedCell(nn.Module):
    """Six edges, each with the convolutions among `operations` on `channels / partial_channels` channels."""

    def __init__(
        self,
        channels: int,
        partial_channels: int,
        affine: bool,
        track: bool,
        operations: tuple[str, ...] = OPERATIONS,
    ):
        super().__init__()
        self.partial_channels = partial_channels
        self.selected = channels // partial_channels
        self.edges = nn.ModuleDict()
        blocks = []
        for source, target in EDGES:
            of_edge = {
                operation: ConvolutionBlock(self.selected, self.selected, kernel, affine=affine, track=track)
                for operation, kernel in KERNEL_SIZE.items()
                if operation in operations
            }
            self.edges[f"{source}_{target}"] = nn.ModuleDict(of_edge)
            blocks.append(of_edge)
        self.blocks = tuple(blocks)
        """[edge][operation]: the same modules as in `edges`, quicker to reach."""
        self.norms = tracked_norms(self)

    def forward(self, features: Tensor, op_weights: OpWeights, controls: CellControls) -> Tensor:
        """Map [batch, channels, height, width] to the same shape."""
        nodes = [features]
        arriving: list[list[Tensor]] = [[], [], [], []]
        for node, edges in enumerate(LEAVING):
            leaving = self._mixtures if self.partial_channels == 1 else self._partial_mixtures
            for edge, term in leaving(nodes[node], edges, op_weights, controls):
                arriving[EDGES[edge][1]].append(term)
            terms = arriving[node + 1]
            output = total(terms) if terms else torch.zeros_like(features)
            if controls.edge_shift is not None:
                output = shifted(total([controls.edge_shift[edge] for edge in ENTERING[node]]), output)
            nodes.append(output)
        return nodes[3]

    def _mixtures(self, features: Tensor, edges: Sequence[int], op_weights: OpWeights, controls: CellControls) -> Terms:
        return self._convolved(features, edges, op_weights, controls) + self._skipped_and_pooled(
            features, edges, op_weights, controls
        )

    def _partial_mixtures(
        self, features: Tensor, edges: Sequence[int], op_weights: OpWeights, controls: CellControls
    ) -> Terms:
        if controls.channel_order is None:
            outputs = self._beside_bypass(features, edges, op_weights, controls)
            return [(edge, shuffle_channels(output, self.partial_channels)) for edge, output in outputs]
        terms = []
        for edge in edges:
            # Each edge has channels of its own, so edges share nothing.
            order = controls.channel_order[edge, : features.shape[1]].argsort()
            for _, output in self._beside_bypass(features[:, order], [edge], op_weights, controls):
                terms.append((edge, output[:, order.argsort()]))
        return terms

    def _beside_bypass(
        self, features: Tensor, edges: Sequence[int], op_weights: OpWeights, controls: CellControls
    ) -> Terms:
        """Mix the operations on the first channels and append the other channels to the output of each edge."""
        chosen, rest = features[:, : self.selected], features[:, self.selected :]
        terms = self._mixtures(chosen, edges, op_weights, controls)
        outputs = []
        for edge in edges:
            own = [term for owner, term in terms if owner == edge]
            mixed = total(own) if own else torch.zeros_like(chosen)
            bypass = rest if controls.edge_weights is None else scaled(controls.edge_weights[edge], rest)
            outputs.append((edge, torch.cat([mixed, bypass], dim=1)))
        return outputs

    def _skipped_and_pooled(
        self, features: Tensor, edges: Sequence[int], op_weights: OpWeights, controls: CellControls
    ) -> Terms:
        terms = []
        for edge in controls.edges_with(SKIP, edges):
            kept = features if controls.skip_mask is None else features * controls.skip_mask[edge]
            terms.append((edge, scaled(factor(edge, SKIP, op_weights, controls), kept)))
        pooling = controls.edges_with(POOL, edges)
        if pooling:
            pooled = average_pool(features)
            terms += [(edge, scaled(factor(edge, POOL, op_weights, controls), pooled)) for edge in pooling]
        return terms

    def _convolved(
        self, features: Tensor, edges: Sequence[int], op_weights: OpWeights, controls: CellControls
    ) -> Terms:
        sums: dict[tuple[int, ...], Tensor] = {}
        rectified = F.relu(features)
        for operation in (CONV1, CONV3):
            active = controls.edges_with(operation, edges)
            if active:
                output = self._convolution(rectified, active, operation, op_weights)
                if controls.operation_scale is not None:
                    scales = torch.stack([controls.scale(edge, operation) for edge in active], dim=1)
                    output = output * scales.repeat_interleave(self.selected, dim=1)[:, :, None, None]
                # Both kernel sizes are added before they are cut into edges: fewer and larger sums.
                sums[active] = sums[active] + output if active in sums else output
        return [
            (edge, part)
            for active, output in sums.items()
            for edge, part in zip(active, output.split(self.selected, dim=1), strict=True)
        ]

    def _convolution(self, rectified: Tensor, edges: Sequence[int], operation: str, op_weights: OpWeights) -> Tensor:
        """Return [batch, edges * channels, height, width]: convolution, batch norm and op weight of several edges."""
        blocks = [self.blocks[edge][operation] for edge in edges]
        convolutions = [block.convolution for block in blocks]
        norms = [block.norm for block in blocks]
        tracked, affine = norms[0].track_running_stats, norms[0].affine
        # Statistics of the batch take a bias out again: its exact gradient is zero, and it is left out unless tracked.
        biases = [layer.bias for layer in convolutions if tracked and layer.bias is not None]
        weight = joined([layer.weight for layer in convolutions])
        output = F.conv2d(rectified, weight, joined(biases) if biases else None, padding=KERNEL_SIZE[operation] // 2)
        scale, shift = op_weights.per_channel(edges, operation), None
        if affine:
            shift = scale * joined([norm.bias for norm in norms])
            scale = scale * joined([norm.weight for norm in norms])
        if tracked:
            return _tracked_batch_norm(output, norms, scale, shift)
        return F.batch_norm(output, None, None, scale, shift, training=True, eps=norms[0].eps)


def _tracked_batch_norm(
    features: Tensor, norms: Sequence[nn.BatchNorm2d], scale: Tensor, shift: Tensor | None
) -> Tensor:
    """Normalise the channels of several batch norms at once, and update the running statistics of each."""
    first = norms[0]
    means = [norm.running_mean for norm in norms if norm.running_mean is not None]
    variances = [norm.running_var for norm in norms if norm.running_var is not None]
    mean, variance = torch.cat(means), torch.cat(variances)
    momentum = 0.0 if first.momentum is None else first.momentum
    output = F.batch_norm(features, mean, variance, scale, shift, first.training, momentum, first.eps)
    if first.training:
        for own, updated in zip(means + variances, [*mean.chunk(len(norms)), *variance.chunk(len(norms))], strict=True):
            own.copy_(updated)
        for norm in norms:
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.add_(1)
    return output


def factor(edge: int, operation: str, op_weights: OpWeights, controls: CellControls) -> Tensor:
    """Return the op weight, or with a scale for each sample [batch, 1, 1, 1]."""
    factor = op_weights.scalar(edge, operation)
    if controls.operation_scale is None:
        return factor
    return (factor * controls.scale(edge, operation)).view(-1, 1, 1, 1)


def joined(tensors: Sequence[Tensor]) -> Tensor:
    """Concatenate along the first dimension."""
    return tensors[0] if len(tensors) == 1 else torch.cat(tuple(tensors))


def total(tensors: Sequence[Tensor]) -> Tensor:
    """Return the sum of tensors of one shape."""
    return reduce(torch.add, tensors)
