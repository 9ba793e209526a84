"""Every discrete cell is a limit of the relaxed family: alpha = t * one-hot gives its network at the rate exp(-t)."""

import itertools
import math

import pytest
import torch

from harness.base.streams import stream
from harness.space.cell import CELL_COUNT, OPERATIONS, RESIDUAL, Cell
from harness.theory.expressivity import discrete_network, one_hot
from tests.harness.networks.test_supernet import build, images

__all__ = ["images"]

SOME_CELLS = stream(0, "expressivity").integers(0, CELL_COUNT, 12).tolist()


def gap(net, cell, images, t: float) -> float:
    """Largest difference between the relaxed net at alpha = t * one-hot and the discrete network."""
    with torch.no_grad():
        op_weights = torch.softmax(t * one_hot(cell), dim=-1)
        return float((net(images, op_weights) - discrete_network(net, cell)(images)).abs().max())


@pytest.mark.parametrize("index", [*SOME_CELLS, 1835, 1651, 9930])
def test_the_relaxed_net_tends_to_the_discrete_one_at_least_exponentially(images, index) -> None:
    cell, net = Cell.from_index(index), build()
    gaps = [gap(net, cell, images, t) for t in (18.0, 21.0, 24.0, 40.0)]
    assert gaps[2] < 1e-6
    assert gaps[3] < 1e-12
    for larger, smaller in itertools.pairwise(gaps[:3]):
        assert smaller <= 1.1 * larger * math.exp(-3) + 1e-12


def test_the_rate_is_that_of_the_leaking_op_weights(images) -> None:
    """A cell in which every node has input: the gap falls as 4 exp(-t), what the softmax gives the other operations."""
    gaps = [gap(build(), RESIDUAL, images, t) for t in (15.0, 18.0, 21.0)]
    assert [larger / smaller for larger, smaller in itertools.pairwise(gaps)] == pytest.approx(
        [math.exp(3)] * 2, rel=0.05
    )
    leak = 1 - torch.softmax(15 * one_hot(RESIDUAL), dim=-1).max()
    assert float(leak) == pytest.approx((len(OPERATIONS) - 1) * math.exp(-15), rel=1e-3)


def test_float32_underflow_makes_the_limit_exact() -> None:
    """A logit gap beyond 104 leaves nothing of the other operations in float32."""
    assert torch.equal(torch.softmax(torch.tensor([0.0, 105.0, 0.0]), dim=0), torch.tensor([0.0, 1.0, 0.0]))
    assert not torch.equal(torch.softmax(torch.tensor([0.0, 95.0, 0.0]), dim=0), torch.tensor([0.0, 1.0, 0.0]))


def test_an_empty_node_is_amplified_by_batch_norm_until_the_leak_is_small(images) -> None:
    """The caveat: the leak into a node without input is scaled up again, so the limit sets in late."""
    cell = Cell(("none", "skip_connect", "nor_conv_3x3", "skip_connect", "nor_conv_3x3", "skip_connect"))
    assert gap(build(), cell, images, 3.0) > 0.05
    assert gap(build(), cell, images, 24.0) < 1e-6
