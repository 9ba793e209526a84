"""The weight-sharing network: a pure function of images and op weights.

Liu, Simonyan and Yang, DARTS, ICLR 2019, equation 2, on the space of NAS-Bench-201: an edge is the sum of all
operations on its source, each times its op weight; a node is the sum of its edges. Alpha is no parameter here.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from harness.cell import CONV1, CONV3, EDGES, NONE, OPERATIONS, POOL, SKIP, Shape
from harness.layers import KERNEL_SIZE, ConvolutionBlock, Head, Reduction, Stem, average_pool, shuffle_channels

EVERY_OPERATION = ((True,) * len(OPERATIONS),) * len(EDGES)


@dataclass(frozen=True)
class SupernetSpec:
    """What a supernet is built from. A variant may change it, and may have the net rebuilt during the search."""

    shape: Shape
    batch_statistics: bool = True
    """Search cells normalise by their batch and track nothing."""
    affine: bool = False
    """Batch norms of the search cells learn a scale and a shift."""
    gradient_checkpointing: bool = False
    """Recompute the cells in the backward pass."""
    partial_channels: int = 1
    """K: only 1/K of an edge's channels pass through the operations, the rest bypasses them (PC-DARTS)."""


@dataclass(frozen=True)
class Controls:
    """What else a forward pass is given beside images and op weights. The defaults change nothing.

    All random draws of a pass stand here, drawn beforehand, so that the pass itself is deterministic.
    """

    active: tuple[tuple[bool, ...], ...] = EVERY_OPERATION
    """[6][5]: operations that are computed at all; the others count as zero whatever their op weight."""
    edge_weights: Tensor | None = None
    """[6]: factor on each edge's output."""
    operation_scale: Tensor | None = None
    """[cells, 6, 5, batch]: factor on each operation's output for each sample: drop-path and its relatives."""
    skip_masks: tuple[Tensor, ...] | None = None
    """One [6, batch, channels, height, width] a cell: factor on the elements of skip_connect's output."""
    channel_order: Tensor | None = None
    """[cells, 6, channels of the last stage]: random keys that choose the channels of each edge (partial channels)."""


class MixedCell(nn.Module):
    """One search cell: six edges, each with both convolutions."""

    def __init__(self, spec: SupernetSpec, channels: int):
        super().__init__()
        self.partial_channels = spec.partial_channels
        self.selected = channels // spec.partial_channels
        track = not spec.batch_statistics
        self.edges = nn.ModuleDict()
        for source, target in EDGES:
            blocks = {
                operation: ConvolutionBlock(self.selected, self.selected, kernel, affine=spec.affine, track=track)
                for operation, kernel in KERNEL_SIZE.items()
            }
            self.edges[f"{source}_{target}"] = nn.ModuleDict(blocks)

    def forward(self, features: Tensor, op_weights: tuple[tuple[Tensor, ...], ...], pass_: "CellControls") -> Tensor:
        """Map [batch, channels, height, width] to the same shape; `op_weights` are [6][5] scalars."""
        nodes = [features]
        for target in (1, 2, 3):
            total: Tensor | None = None
            for source in range(target):
                edge = EDGES.index((source, target))
                output = self._edge(nodes[source], edge, op_weights[edge], pass_)
                if output is not None:
                    total = output if total is None else total + output
            nodes.append(torch.zeros_like(features) if total is None else total)
        return nodes[3]

    def _edge(
        self, features: Tensor, edge: int, op_weights: tuple[Tensor, ...], pass_: "CellControls"
    ) -> Tensor | None:
        if self.partial_channels == 1:
            output = self._mixture(features, edge, op_weights, pass_)
        else:
            output = self._partial_mixture(features, edge, op_weights, pass_)
        if output is None or pass_.edge_weights is None:
            return output
        return pass_.edge_weights[edge] * output

    def _partial_mixture(
        self, features: Tensor, edge: int, op_weights: tuple[Tensor, ...], pass_: "CellControls"
    ) -> Tensor:
        order = None if pass_.channel_order is None else pass_.channel_order[edge, : features.shape[1]].argsort()
        ordered = features if order is None else features[:, order]
        selected, bypass = ordered[:, : self.selected], ordered[:, self.selected :]
        mixed = self._mixture(selected, edge, op_weights, pass_)
        joined = torch.cat([torch.zeros_like(selected) if mixed is None else mixed, bypass], dim=1)
        if order is None:
            return shuffle_channels(joined, self.partial_channels)
        return joined[:, order.argsort()]

    def _mixture(
        self, features: Tensor, edge: int, op_weights: tuple[Tensor, ...], pass_: "CellControls"
    ) -> Tensor | None:
        total: Tensor | None = None
        for position, operation in enumerate(OPERATIONS):
            if operation == NONE or not pass_.active[edge][position]:
                continue
            factor = op_weights[position]
            if pass_.operation_scale is not None:
                factor = (factor * pass_.operation_scale[edge, position]).view(-1, 1, 1, 1)
            output = factor * self._operation(features, edge, operation, pass_)
            total = output if total is None else total + output
        return total

    def _operation(self, features: Tensor, edge: int, operation: str, pass_: "CellControls") -> Tensor:
        if operation == SKIP:
            return features if pass_.skip_mask is None else features * pass_.skip_mask[edge]
        if operation == POOL:
            return average_pool(features)
        assert operation in (CONV1, CONV3)
        source, target = EDGES[edge]
        blocks = self.edges[f"{source}_{target}"]
        output: Tensor = blocks[operation](features)  # type: ignore[index]
        return output


@dataclass(frozen=True)
class CellControls:
    """The part of `Controls` that belongs to one cell; shapes as there without the first dimension."""

    active: tuple[tuple[bool, ...], ...]
    edge_weights: Tensor | None
    operation_scale: Tensor | None
    skip_mask: Tensor | None
    channel_order: Tensor | None

    @classmethod
    def of(cls, controls: Controls, cell: int) -> "CellControls":
        """Select what cell number `cell` needs."""
        return cls(
            controls.active,
            controls.edge_weights,
            None if controls.operation_scale is None else controls.operation_scale[cell],
            None if controls.skip_masks is None else controls.skip_masks[cell],
            None if controls.channel_order is None else controls.channel_order[cell],
        )


class Supernet(nn.Module):
    """Stem, three stages of N search cells with reductions between, head."""

    def __init__(self, spec: SupernetSpec):
        super().__init__()
        self.spec = spec
        shape = spec.shape
        self.stem = Stem(shape)
        self.cells = nn.ModuleList()
        self.reductions = nn.ModuleList()
        for stage, channels in enumerate(shape.stage_channels):
            if stage:
                self.reductions.append(Reduction(shape.stage_channels[stage - 1], channels))
            self.cells.extend(MixedCell(spec, channels) for _ in range(shape.cells_per_stage))
        self.head = Head(shape)

    def forward(self, images: Tensor, op_weights: Tensor, controls: Controls | None = None) -> Tensor:
        """Map images to logits.

        Args:
            images: [batch, image channels, height, width].
            op_weights: [6, 5] for all cells, or [cells, 6, 5].
            controls: see `Controls`.

        Returns:
            Logits [batch, classes]; the gradient with respect to `op_weights` is exact.
        """
        controls = controls or Controls()
        scalars = self._scalars(op_weights)
        # Convolutions and pooling are several times faster in this memory format.
        features = self.stem(images.contiguous(memory_format=torch.channels_last))
        per_stage = self.spec.shape.cells_per_stage
        for position, cell in enumerate(self.cells):
            if position and position % per_stage == 0:
                features = self.reductions[position // per_stage - 1](features)
            arguments = (features, scalars[position], CellControls.of(controls, position))
            if self.spec.gradient_checkpointing and torch.is_grad_enabled():
                # The recomputation must not count its batch a second time.
                contexts = partial(_recomputation_contexts, cell)
                features = checkpoint(cell, *arguments, use_reentrant=False, context_fn=contexts)
            else:
                features = cell(*arguments)
        logits: Tensor = self.head(features)
        return logits

    def feature_shapes(self, batch: int) -> list[tuple[int, int, int, int]]:
        """Return the shape [batch, channels, height, width] of the features inside each cell's operations."""
        shape, shapes = self.spec.shape, []
        for stage, channels in enumerate(shape.stage_channels):
            side = shape.image_size >> stage
            selected = channels // self.spec.partial_channels
            shapes += [(batch, selected, side, side)] * shape.cells_per_stage
        return shapes

    def _scalars(self, op_weights: Tensor) -> list[tuple[tuple[Tensor, ...], ...]]:
        # One unbind gives all scalars with a single node in the autograd graph.
        cells = self.spec.shape.cells
        shared = op_weights.dim() == 2
        matrices = op_weights.unsqueeze(0) if shared else op_weights
        expected = (1 if shared else cells, len(EDGES), len(OPERATIONS))
        if tuple(matrices.shape) != expected:
            raise ValueError(f"op weights have shape {tuple(op_weights.shape)}, expected [6, 5] or [{cells}, 6, 5]")
        flat = matrices.reshape(-1).unbind()
        width = len(OPERATIONS)
        rows = [tuple(flat[start : start + width]) for start in range(0, len(flat), width)]
        per_cell = [tuple(rows[start : start + len(EDGES)]) for start in range(0, len(rows), len(EDGES))]
        return per_cell * cells if shared else per_cell


def _recomputation_contexts(cell: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), statistics_untouched(cell)


@contextmanager
def statistics_untouched(module: nn.Module) -> Iterator[None]:
    """Let passes inside this context leave the running statistics of all batch norms as they are."""
    norms = [norm for norm in module.modules() if isinstance(norm, nn.BatchNorm2d) and norm.track_running_stats]
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, kept, strict=True):
            norm.momentum = momentum
