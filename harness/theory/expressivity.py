"""Every discrete cell as a limit of the relaxed family: how fast the supernet's output tends to the cell's.

With alpha = t on the cell's operations and 0 elsewhere, the softmax leaves the other operations of an edge together
(O - 1) exp(-t) / (1 + (O - 1) exp(-t)), the leak. The output of the supernet differs from that of the cell's network,
which has the same weights, by about a constant times the leak.

The constant is large where batch norm meets a node whose true input is zero: batch norm is blind to the scale of its
input, so it blows the leak up again until the leak's variance is far below its epsilon.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.base.streams import stream, torch_seed
from harness.networks.layers import KERNEL_SIZE, ConvolutionBlock
from harness.networks.network import Network
from harness.networks.supernet import Supernet, SupernetSpec
from harness.space.cell import CELL_COUNT, EDGES, NONE, OPERATIONS, Cell, Shape

SHAPE = Shape(channels=2, cells_per_stage=1, classes=10, image_channels=1, image_size=8)
IMAGES = 8

FILLED, EMPTY, CUT_OFF = "filled", "empty node", "cut off"
"""Kinds of cells: every batch norm has an input; some has none; not even the output node is reached."""

FIT = (14.0, 26.0)
"""Logit gaps whose distances give a cell's slope: behind the onset."""
ROUNDING = 1e-13
"""Distances below are left out of the fit: there float64 rounds."""
SMALL = 1e-3
"""Distance of the logits that counts as reached."""


def drawn_cells(count: int, seed: int = 0) -> list[Cell]:
    """Return distinct cells, uniformly drawn, in the order of their index."""
    chosen = stream(seed, "theory/cells").permutation(CELL_COUNT)[:count]
    return [Cell.from_index(int(index)) for index in np.sort(chosen)]


def kind(cell: Cell) -> str:
    """Return which of the three kinds a cell is of."""
    reached = [True, False, False, False]
    for target in (1, 2, 3):
        sources = [source for source in range(target) if reached[source]]
        reached[target] = any(cell.operation(source, target) != NONE for source in sources)
    if not reached[3]:
        return CUT_OFF
    normed = [source for (source, _), name in zip(EDGES, cell.operations, strict=True) if name in KERNEL_SIZE]
    return FILLED if all(reached[source] for source in normed) else EMPTY


def batch_norm_epsilon() -> float:
    """Return what the batch norms add to a variance before they divide by its root."""
    return ConvolutionBlock(1, 1, kernel=1).norm.eps


def leak(logit_gap: float) -> float:
    """Return what the softmax leaves the operations that are not chosen, together."""
    others = (len(OPERATIONS) - 1) * math.exp(-logit_gap)
    return others / (1 + others)


def one_hot(cell: Cell) -> Tensor:
    """Return the op weights [6, 5] of a discrete cell."""
    return F.one_hot(torch.tensor(cell.codes), len(OPERATIONS)).double()


def discrete_network(net: Supernet, cell: Cell) -> Network:
    """Return the network of a cell with the weights that a supernet with batch statistics has for its operations."""
    network = Network(cell, net.spec.shape, affine=net.spec.affine, track=False).double()
    shared = net.state_dict()
    own = {}
    for name in network.state_dict():
        parts = name.split(".")
        if parts[0] == "cells":
            source, target = map(int, parts[3].split("_"))
            parts.insert(4, cell.operation(source, target))
        own[name] = shared[".".join(parts)]
    network.load_state_dict(own)
    return network


def distances(cells: Sequence[Cell], logit_gaps: Sequence[float], seed: int = 0) -> pd.DataFrame:
    """Measure how far the supernet with drawn weights is from each cell's network with the same weights, in float64.

    Returns:
        A row a cell and logit gap: cell_index, cell, kind, logit_gap, leak, and distance: the largest difference of a
        logit over all drawn images. An infinite gap stands for one-hot op weights: what is left there is rounding.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(torch_seed(seed, "theory/weights"))
        net = Supernet(SupernetSpec(SHAPE)).double()
    size = (IMAGES, SHAPE.image_channels, SHAPE.image_size, SHAPE.image_size)
    images = torch.from_numpy(stream(seed, "theory/images").standard_normal(size))
    rows = []
    with torch.no_grad():
        for cell in cells:
            target, chosen = discrete_network(net, cell)(images), one_hot(cell)
            about = {"cell_index": cell.index, "cell": str(cell), "kind": kind(cell)}
            for gap in (*logit_gaps, math.inf):
                op_weights = chosen if math.isinf(gap) else torch.softmax(gap * chosen, dim=-1)
                distance = float((net(images, op_weights) - target).abs().max())
                rows.append({**about, "logit_gap": gap, "leak": leak(gap), "distance": distance})
    return pd.DataFrame(rows)


def fits(measured: pd.DataFrame) -> pd.DataFrame:
    """Fit each cell's distances over the logit gaps in `FIT`.

    Returns:
        A row a cell: cell_index, cell, kind; slope, of log(distance) over the gap by least squares, which is -1 where
        the distance falls as exp(-t), NaN with fewer than two distances above rounding; factor, the median of
        distance / leak there; reached, the gap from which on the distance stays below `SMALL`, by interpolation of its
        logarithm, NaN where it does not.
    """
    rows = []
    for (index, cell, of_kind), own in measured.groupby(["cell_index", "cell", "kind"], sort=True):
        own = own[np.isfinite(own["logit_gap"])].sort_values("logit_gap")
        fitted = own[own["logit_gap"].between(*FIT) & (own["distance"] > ROUNDING)]
        line = np.polyfit(fitted["logit_gap"], np.log(fitted["distance"]), 1) if len(fitted) > 1 else [math.nan]
        rows.append(
            {
                "cell_index": index,
                "cell": cell,
                "kind": of_kind,
                "slope": float(line[0]),
                "factor": float((fitted["distance"] / fitted["leak"]).median()),
                "reached": _reached(own["logit_gap"].to_numpy(), own["distance"].to_numpy()),
            }
        )
    return pd.DataFrame(rows)


def _reached(logit_gaps: np.ndarray, values: np.ndarray) -> float:
    above = np.flatnonzero(values >= SMALL)
    if not len(above):
        return float(logit_gaps[0])
    last = above[-1]
    if last == len(values) - 1:
        return math.nan
    before, after = math.log(values[last]), math.log(values[last + 1])
    share = (before - math.log(SMALL)) / (before - after)
    return float(logit_gaps[last] + share * (logit_gaps[last + 1] - logit_gaps[last]))


def underflow() -> pd.DataFrame:
    """Return, for each precision, the smallest whole logit gap whose softmax is exactly one-hot.

    In exact arithmetic no finite gap is.
    """
    rows = []
    for precision in (torch.float32, torch.float64):
        gap = 1
        while not torch.equal(_softmax_of(gap, precision), _softmax_of(math.inf, precision)):
            gap += 1
        rows.append({"precision": str(precision).removeprefix("torch."), "logit_gap": gap})
    return pd.DataFrame(rows)


def _softmax_of(gap: float, precision: torch.dtype) -> Tensor:
    others = len(OPERATIONS) - 1
    return torch.softmax(torch.tensor([0.0] + [-gap] * others, dtype=precision), dim=0)
