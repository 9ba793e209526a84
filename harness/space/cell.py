"""The NAS-Bench-201 cell space: 5 operations on 6 edges, 15,625 cells.

Source of the space: Dong and Yang, NAS-Bench-201, ICLR 2020 (arXiv 2001.00326). Nodes are 0 (input) to 3
(output); every edge i>j with i < j carries one operation; a node is the sum of its incoming edges.
"""

import random
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import product
from typing import TYPE_CHECKING

from harness.base.errors import UserError, did_you_mean, quoted

if TYPE_CHECKING:
    import numpy as np

NONE, SKIP, CONV1, CONV3, POOL = "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"
OPERATIONS = (NONE, SKIP, CONV1, CONV3, POOL)
"""The operations in the benchmark's order, which is the column order of alpha."""

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""The edges (source, target) in the benchmark's order, which is the row order of alpha."""

EDGE_NAMES = tuple(f"{source}>{target}" for source, target in EDGES)

CELL_COUNT = len(OPERATIONS) ** len(EDGES)

KERNEL_AREA = {CONV1: 1, CONV3: 9}


@dataclass(frozen=True)
class Shape:
    """The network around the cell: NAS-Bench-201's own with the defaults.

    `image_size` is in pixels and must be a multiple of 4, for the two reductions halve it.
    """

    channels: int = 16
    cells_per_stage: int = 5
    classes: int = 10
    image_channels: int = 3
    image_size: int = 32

    @property
    def stage_channels(self) -> tuple[int, int, int]:
        """Channels of the three stages."""
        return self.channels, 2 * self.channels, 4 * self.channels

    @property
    def cells(self) -> int:
        """Cells of the whole network."""
        return 3 * self.cells_per_stage


@dataclass(frozen=True, order=True)
class Cell:
    """One cell: the operation of each edge, in the order of `EDGES`."""

    operations: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.operations) != len(EDGES):
            raise UserError(f"a cell has {len(EDGES)} operations, not {len(self.operations)}")
        for edge, operation in zip(EDGE_NAMES, self.operations, strict=True):
            if operation not in OPERATIONS:
                hint = did_you_mean(operation, OPERATIONS)
                raise UserError(f"edge {edge}: {quoted(operation)} is no operation of the space, {hint}")

    @classmethod
    def from_index(cls, index: int) -> "Cell":
        """Return the cell at NAS-Bench-201's official index (0 to 15,624)."""
        if not 0 <= index < CELL_COUNT:
            raise UserError(f"cell index {index} is out of range, expected 0 to {CELL_COUNT - 1}")
        return cls(_official_order()[index])

    @classmethod
    @lru_cache(maxsize=CELL_COUNT)  # the same few stand in many rows
    def from_string(cls, text: str) -> "Cell":
        """Parse the benchmark's form, `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`."""
        operations: dict[tuple[int, int], str] = {}
        for target, node in enumerate(text.strip().split("+"), start=1):
            if not re.fullmatch(r"\|([^|~]+~[0-9]{1,3}\|)+", node):
                raise UserError(f"{quoted(text, 100)} is no cell, expected the form {ALL_SKIP}")
            for part in node.strip("|").split("|"):
                operation, source = part.split("~")
                if (int(source), target) in operations:
                    raise UserError(f"{quoted(text, 100)} is no cell: edge {source}>{target} stands twice")
                operations[int(source), target] = operation
        if set(operations) != set(EDGES):
            raise UserError(f"{quoted(text, 100)} is no cell, expected the edges {', '.join(EDGE_NAMES)}")
        return cls(tuple(operations[edge] for edge in EDGES))

    @classmethod
    def parse(cls, text: str) -> "Cell":
        """Return the cell of an official index or of a cell string, also as AutoDL-Projects prints it in its logs.

        Six numbers, which NASLib and others write, are no cell: each means its own order of operations and edges.
        """
        printed = re.fullmatch(r"Structure\(4 nodes with (\|.*\|)\)", text.strip())  # __repr__ in its genotypes.py
        text = printed[1] if printed else text
        return cls.from_index(int(text)) if re.fullmatch(r"-?\d{1,9}", text.strip()) else cls.from_string(text)

    def __str__(self) -> str:
        nodes = []
        for target in (1, 2, 3):
            parts = [f"{self.operation(source, target)}~{source}" for source in range(target)]
            nodes.append("|" + "|".join(parts) + "|")
        return "+".join(nodes)

    def operation(self, source: int, target: int) -> str:
        """Return the operation of one edge."""
        return self.operations[EDGES.index((source, target))]

    @property
    def codes(self) -> tuple[int, ...]:
        """The operations as their positions in `OPERATIONS`."""
        return tuple(OPERATIONS.index(operation) for operation in self.operations)

    def columns(self, operations: tuple[str, ...]) -> tuple[int, ...]:
        """Return the operations as their positions among those of a network.

        Raises:
            ValueError: an edge carries none of them.
        """
        return tuple(operations.index(operation) for operation in self.operations)

    @property
    def index(self) -> int:
        """NAS-Bench-201's official index."""
        return _official_index()[self.operations]

    @cached_property
    def canonical(self) -> str:
        """The benchmark's canonical form: cells that share it compute the same function of their weights.

        `skip_connect` passes its source on unchanged, an edge without input counts as `none` (`#`), and
        sums have no order. The 15,625 cells fall into 6,466 classes. The converse does not hold: the form
        keeps apart some cells that differ only in how often nothing is added, or in how sums are nested.
        """
        forms = ["0"]
        for target in (1, 2, 3):
            terms = []
            for source in range(target):
                operation = self.operation(source, target)
                if operation == NONE or forms[source] == "#":
                    terms.append("#")
                else:
                    terms.append(forms[source] if operation == SKIP else f"({forms[source]})@{operation}")
            forms.append("+".join(sorted(terms)))
        return forms[3]

    @property
    def counts(self) -> dict[str, int]:
        """How often each operation stands in the cell."""
        counter = Counter(self.operations)
        return {operation: counter[operation] for operation in OPERATIONS}

    @property
    def depth(self) -> int:
        """Edges on the longest path from input to output that meets no `none`; 0 if there is no path."""
        longest: list[int | None] = [0, None, None, None]
        for target in (1, 2, 3):
            for source in range(target):
                reached = longest[source]
                if reached is not None and self.operation(source, target) != NONE:
                    longest[target] = max(longest[target] or 0, reached + 1)
        return longest[3] or 0

    @property
    def width(self) -> int:
        """Largest number of paths from input to output that share no edge and meet no `none`.

        By the theorem of Menger this is the smallest cut, of which a cell has four.
        """
        cuts = []
        for left in ({0}, {0, 1}, {0, 2}, {0, 1, 2}):
            crossing = [op for (a, b), op in zip(EDGES, self.operations, strict=True) if a in left and b not in left]
            cuts.append(sum(operation != NONE for operation in crossing))
        return min(cuts)

    def parameters(self, shape: Shape) -> int:
        """Trainable weights of the network of this cell, as the benchmark counts them."""
        total = 9 * shape.image_channels * shape.channels + 2 * shape.channels
        for channels in shape.stage_channels:
            for operation, area in KERNEL_AREA.items():
                per_cell = self.counts[operation] * (area * channels**2 + 2 * channels)
                total += shape.cells_per_stage * per_cell
        for before, after in zip(shape.stage_channels, shape.stage_channels[1:], strict=False):
            total += 9 * before * after + 9 * after**2 + before * after + 4 * after
        last = shape.stage_channels[-1]
        return total + 2 * last + (last + 1) * shape.classes

    def flops(self, shape: Shape) -> int:
        """Multiply-adds of one image through the network of this cell, as the benchmark counts them.

        It counts convolutions and the linear layer with its bias; batch norm and pooling are free.
        """
        areas = [(shape.image_size >> stage) ** 2 for stage in range(3)]
        total = 9 * shape.image_channels * shape.channels * areas[0]
        for channels, area in zip(shape.stage_channels, areas, strict=True):
            kernels = sum(self.counts[operation] * size for operation, size in KERNEL_AREA.items())
            total += shape.cells_per_stage * kernels * channels**2 * area
        for stage, area in enumerate(areas[1:]):
            before, after = shape.stage_channels[stage : stage + 2]
            total += (9 * before * after + 9 * after**2 + before * after) * area
        return total + (shape.stage_channels[-1] + 1) * shape.classes


@cache
def _official_order() -> tuple[tuple[str, ...], ...]:
    # The benchmark's authors shuffled the product of the operations under this seed; a private generator
    # repeats it without touching the global one.
    cells = list(product(OPERATIONS, repeat=len(EDGES)))
    random.Random(88).shuffle(cells)
    return tuple(cells)


@cache
def _official_index() -> dict[tuple[str, ...], int]:
    return {operations: index for index, operations in enumerate(_official_order())}


def all_cells(operations: Collection[str] = OPERATIONS) -> list[Cell]:
    """Return the cells of these operations, of all five the 15,625, in the official order."""
    return [Cell(chosen) for chosen in _official_order() if set(chosen) <= set(operations)]


def random_cell(generator: "np.random.Generator", operations: tuple[str, ...] = OPERATIONS) -> Cell:
    """Return a uniform draw from the cells of these operations."""
    if operations == OPERATIONS:
        return Cell.from_index(int(generator.integers(CELL_COUNT)))
    return Cell(tuple(operations[column] for column in generator.integers(len(operations), size=len(EDGES))))


ALL_SKIP = Cell((SKIP,) * len(EDGES))
ALL_CONV3 = Cell((CONV3,) * len(EDGES))
RESIDUAL = Cell((CONV3, CONV3, CONV3, SKIP, CONV3, CONV3))
"""The hand cell that several published methods arrive at (index 9930)."""
