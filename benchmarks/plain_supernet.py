"""The supernet in the usual formulation, to measure against: every edge computes each of its operations alone.

This is how public implementations of DARTS on this space write the cell, peers of this project: no edge shares
anything with another, and each output is multiplied by its op weight. Parameters, names and function are those of
`harness.networks.supernet.Supernet`.
"""

from collections.abc import Sequence

from torch import Tensor

from harness.networks.layers import average_pool
from harness.networks.mixed_cell import CellControls, MixedCell, OpWeights, Terms, factor, total
from harness.networks.supernet import Supernet
from harness.space.cell import NONE, OPERATIONS, POOL, SKIP


class PlainCell(MixedCell):
    """A search cell that computes operation after operation."""

    def _mixtures(self, features: Tensor, edges: Sequence[int], op_weights: OpWeights, controls: CellControls) -> Terms:
        terms = []
        for edge in edges:
            outputs = [
                factor(edge, operation, op_weights, controls) * self._operation(features, edge, operation, controls)
                for operation in OPERATIONS
                if operation != NONE and controls.edges_with(operation, [edge])
            ]
            if outputs:
                terms.append((edge, total(outputs)))
        return terms

    def _operation(self, features: Tensor, edge: int, operation: str, controls: CellControls) -> Tensor:
        if operation == SKIP:
            return features if controls.skip_mask is None else features * controls.skip_mask[edge]
        if operation == POOL:
            return average_pool(features)
        output: Tensor = self.blocks[edge][operation](features)
        return output


class PlainSupernet(Supernet):
    """The supernet made of plain cells."""

    cell_class = PlainCell
