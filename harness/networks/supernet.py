"""The weight-sharing network: a pure function of images and op weights.

Liu, Simonyan and Yang, DARTS, ICLR 2019, equation 2, on the space of NAS-Bench-201: an edge is the sum of all
operations on its source, each times its op weight; a node is the sum of its edges. Alpha is no parameter here.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from harness.base.errors import UserError
from harness.base.named_tensors import Tensors
from harness.networks.compiled import CompiledCells, plain
from harness.networks.layers import Head, Reduction, Stem, tracked_norms
from harness.networks.mixed_cell import CellControls, MixedCell, OpWeights
from harness.space.cell import EDGES, OPERATIONS, Shape

Active = tuple[tuple[bool, ...], ...]
"""For each edge and operation of the network, `[6][operations]`, whether it is computed."""


def every_operation(operations: Sequence[str] = OPERATIONS) -> Active:
    """Return the mask in which all edges compute all operations."""
    return ((True,) * len(operations),) * len(EDGES)


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
    operations: tuple[str, ...] = OPERATIONS
    """Of each edge: the columns of op weights."""

    def __post_init__(self) -> None:
        if self.shape.channels % self.partial_channels:
            raise UserError(
                f"protocol network.channels: expected a multiple of {self.partial_channels} for partial channels,"
                f" not {self.shape.channels}"
            )

    @classmethod
    def from_plain(cls, content: dict[str, Any]) -> "SupernetSpec":
        """Return what `dataclasses.asdict` made plain content of, for a checkpoint."""
        return cls(**{**content, "shape": Shape(**content["shape"]), "operations": tuple(content["operations"])})

    def feature_shapes(self, batch: int) -> list[tuple[int, int, int, int]]:
        """Return the shape [batch, channels, height, width] of the features inside each cell's operations."""
        shapes = []
        for stage, channels in enumerate(self.shape.stage_channels):
            side = self.shape.image_size >> stage
            shapes += [(batch, channels // self.partial_channels, side, side)] * self.shape.cells_per_stage
        return shapes


@dataclass(frozen=True)
class Controls:
    """What else a forward pass is given beside images and op weights. The defaults change nothing.

    All random draws of a pass stand here, drawn beforehand, so that the pass itself is deterministic.
    """

    active: Active | None = None
    """Operations that are computed at all; the others count as zero whatever their op weight. None: all are."""
    edge_weights: Tensor | None = None
    """[6]: factor on each edge's output."""
    operation_scale: Tensor | None = None
    """[cells, 6, operations, batch]: factor on each operation's output for each sample: drop-path and its relatives."""
    skip_masks: tuple[Tensor, ...] | None = None
    """One [6, batch, channels, height, width] a cell: factor on the elements of skip_connect's output."""
    channel_order: Tensor | None = None
    """[cells, 6, channels of the last stage]: random keys that choose the channels of each edge (partial channels)."""
    edge_shift: Tensor | None = None
    """[6]: number added to every element of each edge's output, whatever its weight."""

    def detached(self) -> "Controls":
        """Return the same controls as constants, for a pass that is not differentiated with respect to them."""
        edges, scale, shift = self.edge_weights, self.operation_scale, self.edge_shift
        return replace(
            self,
            edge_weights=None if edges is None else edges.detach(),
            operation_scale=None if scale is None else scale.detach(),
            edge_shift=None if shift is None else shift.detach(),
        )

    def of_cell(self, cell: int, operations: tuple[str, ...] = OPERATIONS) -> CellControls:
        """Select what cell number `cell` of a network with these operations needs."""
        return CellControls(
            operations,
            every_operation(operations) if self.active is None else self.active,
            self.edge_weights,
            None if self.operation_scale is None else self.operation_scale[cell],
            None if self.skip_masks is None else self.skip_masks[cell],
            None if self.channel_order is None else self.channel_order[cell],
            self.edge_shift,
        )


def nonzero_operations(op_weights: Tensor) -> Active:
    """Return as `Controls.active` the operations that some cell weighs: leaving out the others changes no value."""
    weighed = (op_weights.reshape(-1, *op_weights.shape[-2:]) != 0).any(dim=0)
    return tuple(tuple(row) for row in weighed.tolist())


Passes = Callable[[Tensors, Tensor, Tensor, Controls], Tensor]
"""(weights, images, op weights, controls) -> logits."""


class Supernet(nn.Module):
    """Stem, three stages of N search cells with reductions between, head."""

    cell_class = MixedCell

    def __init__(self, spec: SupernetSpec):
        super().__init__()
        self.spec = spec
        self.checkpointing = spec.gradient_checkpointing
        self.compiled: CompiledCells | None = None
        """Runs the cells in the place of PyTorch's operators one by one."""
        self.graphs: Passes | None = None
        """Runs the passes of a step in the place of kernels one by one."""
        shape = spec.shape
        self.stem = Stem(shape)
        self.cells = nn.ModuleList()
        self.reductions = nn.ModuleList()
        for stage, channels in enumerate(shape.stage_channels):
            if stage:
                self.reductions.append(Reduction(shape.stage_channels[stage - 1], channels))
            self.cells.extend(
                self.cell_class(
                    channels, spec.partial_channels, spec.affine, not spec.batch_statistics, spec.operations
                )
                for _ in range(shape.cells_per_stage)
            )
        self.head = Head(shape)
        self.norms = tracked_norms(self)

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The weights by name, from when they are on their device.

        Found once: to look through a large network takes milliseconds, and is asked for in every step.
        """
        return dict(self.named_parameters())

    def forward(self, images: Tensor, op_weights: Tensor, controls: Controls | None = None) -> Tensor:
        """Map images to logits.

        Args:
            images: [batch, image channels, height, width].
            op_weights: [6, operations] for all cells, or [cells, 6, operations].
            controls: see `Controls`.

        Returns:
            Logits [batch, classes]; the gradient with respect to `op_weights` is exact.
        """
        controls = controls or Controls()
        cell_weights = self._cell_weights(op_weights, controls.edge_weights)
        # Convolutions and pooling are several times faster in this memory format.
        features = self.stem(images.contiguous(memory_format=torch.channels_last))
        per_stage = self.spec.shape.cells_per_stage
        run = self.compiled or plain
        for position, cell in enumerate(self._each_cell()):
            if position and position % per_stage == 0:
                features = self.reductions[position // per_stage - 1](features)
            arguments = (features, cell_weights[position], controls.of_cell(position, self.spec.operations))
            if self.checkpointing and torch.is_grad_enabled():
                features = _checkpointed(cell, *arguments)
            else:
                features = run(cell, *arguments)
        logits: Tensor = self.head(features)
        return logits

    def _each_cell(self) -> Iterator[MixedCell]:
        for cell in self.cells:
            assert isinstance(cell, MixedCell)
            yield cell

    def _cell_weights(self, op_weights: Tensor, edge_weights: Tensor | None) -> list[OpWeights]:
        shape, one_cell = self.spec.shape, (len(EDGES), len(self.spec.operations))
        if op_weights.shape not in (one_cell, (shape.cells, *one_cell)):
            found = list(op_weights.shape)
            raise ValueError(f"op weights have shape {found}, expected {list(one_cell)} or {[shape.cells, *one_cell]}")
        if edge_weights is not None:
            op_weights = op_weights * edge_weights.unsqueeze(1)
        prepared = []
        for stage, channels in enumerate(shape.stage_channels):
            selected = channels // self.spec.partial_channels
            if op_weights.dim() == 2:
                prepared += [OpWeights(op_weights, selected, self.spec.operations)] * shape.cells_per_stage
            else:
                first = stage * shape.cells_per_stage
                own = op_weights[first : first + shape.cells_per_stage].unbind()
                prepared += [OpWeights(matrix, selected, self.spec.operations) for matrix in own]
        return prepared


def with_weights(
    supernet: Supernet, weights: Tensors, images: Tensor, op_weights: Tensor, controls: Controls
) -> Tensor:
    """Run the supernet kernel by kernel, with weights in the place of its own."""
    logits: Tensor = functional_call(supernet, dict(weights), (images, op_weights, controls))
    return logits


def _checkpointed(cell: MixedCell, features: Tensor, op_weights: OpWeights, controls: CellControls) -> Tensor:
    # The recomputation must not count its batch a second time, and must see the weights of this pass: by then
    # functional_call may have put others back.
    call = partial(functional_call, cell, dict(cell.named_parameters()))
    contexts = partial(_recomputation_contexts, cell)
    output: Tensor = checkpoint(call, (features, op_weights, controls), use_reentrant=False, context_fn=contexts)
    return output


def _recomputation_contexts(cell: MixedCell) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), statistics_untouched(cell)


@contextmanager
def twice_differentiable(supernet: Supernet) -> Iterator[None]:
    """Let passes inside this context be differentiated twice: not recomputed later, compiled or recorded."""
    kept = supernet.checkpointing, supernet.compiled, supernet.graphs
    supernet.checkpointing, supernet.compiled, supernet.graphs = False, None, None
    try:
        yield
    finally:
        supernet.checkpointing, supernet.compiled, supernet.graphs = kept


@contextmanager
def evaluation_mode(supernet: Supernet) -> Iterator[None]:
    """Let passes inside this context normalise by the running statistics, where a batch norm keeps them."""
    supernet.eval()
    try:
        yield
    finally:
        supernet.train()


@contextmanager
def statistics_untouched(network: Supernet | MixedCell) -> Iterator[None]:
    """Let passes inside this context leave the running statistics of all batch norms as they are."""
    kept = [norm.momentum for norm in network.norms]
    for norm in network.norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(network.norms, kept, strict=True):
            norm.momentum = momentum
