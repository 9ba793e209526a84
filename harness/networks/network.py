"""The discrete network of one cell: what the benchmark trains alone."""

from torch import Tensor, nn

from harness.networks.layers import KERNEL_SIZE, ConvolutionBlock, Head, Reduction, Stem, average_pool
from harness.space.cell import CONV1, CONV3, EDGES, NONE, POOL, SKIP, Cell, Shape


class DiscreteCell(nn.Module):
    """One cell with its own weights: one convolution block for each edge that has one."""

    def __init__(self, cell: Cell, channels: int, affine: bool, track: bool):
        super().__init__()
        self.cell = cell
        self.edges = nn.ModuleDict()
        for (source, target), operation in zip(EDGES, cell.operations, strict=True):
            if operation in KERNEL_SIZE:
                block = ConvolutionBlock(channels, channels, KERNEL_SIZE[operation], affine=affine, track=track)
                self.edges[f"{source}_{target}"] = block

    def forward(self, features: Tensor) -> Tensor:
        """Map [batch, channels, height, width] to the same shape."""
        nodes = [features]
        for target in (1, 2, 3):
            terms = [self._edge(nodes[source], source, target) for source in range(target)]
            present = [term for term in terms if term is not None]
            nodes.append(sum(present[1:], present[0]) if present else features.new_zeros(features.shape))
        return nodes[3]

    def _edge(self, features: Tensor, source: int, target: int) -> Tensor | None:
        operation = self.cell.operation(source, target)
        if operation == NONE:
            return None
        if operation == SKIP:
            return features
        if operation == POOL:
            return average_pool(features)
        assert operation in (CONV1, CONV3)
        output: Tensor = self.edges[f"{source}_{target}"](features)
        return output


class Network(nn.Module):
    """NAS-Bench-201's network of a cell: stem, three stages of N cells with reductions between, head.

    With the defaults its parameter count equals `Cell.parameters`.
    """

    def __init__(self, cell: Cell, shape: Shape, affine: bool = True, track: bool = True):
        super().__init__()
        self.stem = Stem(shape)
        self.cells = nn.ModuleList()
        self.reductions = nn.ModuleList()
        for stage, channels in enumerate(shape.stage_channels):
            if stage:
                self.reductions.append(Reduction(shape.stage_channels[stage - 1], channels))
            for _ in range(shape.cells_per_stage):
                self.cells.append(DiscreteCell(cell, channels, affine, track))
        self.head = Head(shape)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [batch, image channels, height, width] to logits [batch, classes]."""
        features = self.stem(images)
        per_stage = len(self.cells) // 3
        for position, cell in enumerate(self.cells):
            if position and position % per_stage == 0:
                features = self.reductions[position // per_stage - 1](features)
            features = cell(features)
        logits: Tensor = self.head(features)
        return logits
