import math

import numpy as np
import pytest
import torch

from harness.search.loop import Search
from harness.search.variant import Phase
from harness.space.cell import EDGES, NONE, OPERATIONS
from harness.testing import tiny_search
from tests.harness.networks import plain_supernet
from variants.is_darts import IsDarts, information, without_largest


def literal(x: torch.Tensor) -> float:
    """The paper's form: mu and sigma over the channels of each pixel, sigma unbiased."""
    mean, deviation = x.mean(dim=1, keepdim=True), x.std(dim=1, keepdim=True)
    return float((3 * (x - mean) ** 2 / deviation**6).mean())


def test_the_simplified_statistic_is_the_literal_one() -> None:
    generator = torch.Generator().manual_seed(0)
    for channels in (2, 4, 9):
        x = torch.randn(3, channels, 5, 4, dtype=torch.float64, generator=generator)
        assert float(information(x)) == pytest.approx(literal(x), rel=1e-10)
    assert math.isinf(information(torch.zeros(2, 4, 3, 3)))


def by_hand(search: Search) -> np.ndarray:
    """The literal statistic of every operation over all training images, on the network in loops."""
    weights = {name: value.detach() for name, value in search.supernet.weights.items()}
    values, images = np.zeros((6, 5)), 0
    p = torch.full((6, 5), 0.2, dtype=torch.float64)
    for inputs, labels in search.data.mixed_batches("train", search.data.batch_size):
        x = plain_supernet.batch_norm(
            plain_supernet.convolve(inputs, weights["stem.0.weight"]), weights["stem.1.weight"], weights["stem.1.bias"]
        )
        nodes = [x]
        for target in (1, 2, 3):
            arriving = [edge for edge, (_, end) in enumerate(EDGES) if end == target]
            for edge in arriving:
                for column in range(1, 5):
                    output = plain_supernet.operation(nodes[EDGES[edge][0]], weights, 0, edge, column)
                    values[edge, column] += len(labels) * literal(output)
            nodes.append(
                sum(plain_supernet.mixture(nodes[EDGES[edge][0]], weights, 0, edge, p[edge], None) for edge in arriving)
            )
        images += len(labels)
    values[:, OPERATIONS.index(NONE)] = math.inf
    return values / images


def test_the_statistic_is_that_of_a_plain_net(monkeypatch: pytest.MonkeyPatch) -> None:
    search = tiny_search(IsDarts, precision="float64", batch_size=16)
    only_first = [cell for cell in range(len(search.supernet.cells)) if cell]
    from variants import is_darts

    original = is_darts.probe

    def of_the_first_cell(*arguments: object) -> object:
        return (part for part in original(*arguments) if part.cell not in only_first)

    monkeypatch.setattr(is_darts, "probe", of_the_first_cell)
    found = search.variant._measure(search) * len(search.supernet.cells)
    np.testing.assert_allclose(found, by_hand(search), rtol=1e-6)


def test_the_largest_that_remains_goes_first() -> None:
    values = np.array([[math.inf, 1.0, 2.0, 5.0, 3.0]] * 6)
    mask = ((True,) * 5,) * 6
    kept = []
    for _ in range(4):
        mask = without_largest(values, mask)
        kept.append(mask[0])
    assert [sum(row) for row in kept] == [4, 3, 2, 1]
    assert kept[0] == (False, True, True, True, True)
    assert kept[1] == (False, True, True, False, True)
    assert kept[3] == (False, True, False, False, False)


def test_operations_go_after_the_papers_epochs_and_none_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    search = tiny_search(IsDarts, epochs=30)
    left = []
    for search.epoch in range(1, 31):
        search.variant.end_of_epoch(search)
        left.append(sum(search.variant._remaining[0]))
    assert [epoch for epoch in range(1, 30) if left[epoch] < left[epoch - 1]] == [21, 23, 25, 27]
    assert left[-1] == 1
    assert NONE not in search.variant.derive(search).operations


def test_the_divisor_stays_five() -> None:
    search = tiny_search(IsDarts)
    for _ in range(3):
        search.run_epoch()
    op_weights = search.variant.op_weights({}, search.moment(Phase.WEIGHTS))
    assert op_weights.sum(dim=1).tolist() == pytest.approx([0.2] * 6)
    assert search.one_hot(search.variant.derive(search)).mul(0.2).tolist() == op_weights.tolist()
