import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.networks.supernet import Controls, nonzero_operations
from harness.search.loop import Search
from harness.search.variant import Stop
from harness.space.cell import OPERATIONS, RESIDUAL, Cell
from harness.testing import tiny_search
from tests.harness.networks import plain_supernet
from tests.harness.networks.test_probe import record_relus
from tests.harness.search.test_loop import assert_same
from tests.variants.searches import assert_resumes
from variants import zero_cost_pt
from variants.zero_cost_pt import ZeroCostPt, agreement, removal_scores, score


@pytest.fixture
def search() -> Search:
    return tiny_search(ZeroCostPt, precision="float64")


def unnormalised(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """A batch norm of a new network in evaluation: mean 0 and variance 1."""
    y = x / np.sqrt(1 + 1e-5)
    return y if weight is None else y * weight.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)


@pytest.fixture
def relus(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What goes into each ReLU of the plain network in loops."""
    monkeypatch.setattr(plain_supernet, "batch_norm", unnormalised)
    return record_relus(monkeypatch)


def literal(relus: list[Tensor], search: Search, op_weights: Tensor, images: Tensor, alone: bool = False) -> float:
    """The score by its definition: the sum of xx' + (1-x)(1-x)' over every ReLU of an unfused net."""
    relus.clear()
    weights = {name: value.detach() for name, value in search.supernet.weights.items()}
    controls = Controls(active=nonzero_operations(op_weights)) if alone else None
    plain_supernet.supernet(weights, images, op_weights, search.supernet.spec.shape.cells_per_stage, controls)
    kernel = np.zeros((len(images), len(images)))
    for given in relus:
        x = (given > 0).flatten(start_dim=1).double().numpy()
        kernel += x @ x.T + (1 - x) @ (1 - x).T
    return float(np.linalg.slogdet(kernel)[1])


def test_a_score_is_that_of_a_plain_unfused_net(search: Search, relus: list[Tensor]) -> None:
    images, labels = search.data.probe_batch("train", 12)
    p = torch.rand(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    p[3, 3] = 0
    assert score(search, p, (images, labels)) == pytest.approx(literal(relus, search, p, images), abs=1e-9)
    assert len(relus) == 3 * 12 + 2 * 2 + 1
    cell = search.one_hot(RESIDUAL)
    alone = score(search, cell, (images, labels), alone=True)
    assert alone == pytest.approx(literal(relus, search, cell, images, alone=True), abs=1e-9)
    assert len(relus) < 3 * 12
    assert alone != pytest.approx(score(search, cell, (images, labels)), abs=1e-3)


def test_an_operation_goes_and_the_others_keep_their_op_weights(search: Search, relus: list[Tensor]) -> None:
    images, labels = search.data.probe_batch("train", 12)
    p = torch.full((6, 5), 0.2, dtype=torch.float64)
    found = removal_scores(search, p, 2, (images, labels))
    for column in (0, 1, 3):
        without = p.clone()
        without[2, column] = 0
        assert found[column] == pytest.approx(literal(relus, search, without, images), abs=1e-9)
    assert found[0] == score(search, p, (images, labels))  # nothing goes with `none`
    assert len(set(found)) == 5
    assert p.eq(0.2).all()


def test_equal_images_make_a_score_of_minus_infinity() -> None:
    class Part:
        relu_inputs = ((torch.tensor([[1.0, -1.0], [1.0, -1.0]]), 3),)

    assert agreement([Part()]).tolist() == [[6, 6], [6, 6]]


def test_edges_are_fixed_in_random_order_to_what_leaves_the_lowest_score(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def scores(search: Search, op_weights: Tensor, edge: int, batch: object) -> list[float]:
        seen.append((edge, op_weights.clone()))
        return [float(column == edge % 5) * -1 for column in range(5)]

    monkeypatch.setattr(zero_cost_pt, "removal_scores", scores)
    batch = search.data.probe_batch("train", 4)
    cells = [search.variant._proposal(search, batch) for _ in range(3)]
    assert {cell.codes for cell in cells} == {(0, 1, 2, 3, 4, 0)}
    orders = [tuple(edge for edge, _ in seen[start : start + 6]) for start in (0, 6, 12)]
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert len(set(orders)) > 1
    for position, (_, op_weights) in enumerate(seen[:6]):
        for earlier in orders[0][:position]:
            assert op_weights[earlier].tolist() == np.eye(5)[earlier % 5].tolist()
        for later in orders[0][position:]:
            assert op_weights[later].tolist() == pytest.approx([0.2] * 5, abs=2e-3)
            assert len(set(op_weights[later].tolist())) == 5
    assert not torch.equal(seen[0][1], seen[6][1])


def test_the_proposal_with_the_largest_sum_over_batches_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    search = tiny_search(ZeroCostPt, {"proposals": 4, "images": 10, "batches": 3})
    one, other = (Cell((name,) * 6) for name in OPERATIONS[1:3])
    proposed = iter([one, other, one, other])
    monkeypatch.setattr(search.variant, "_proposal", lambda search, batch: next(proposed))
    asked = []

    def scores(search: Search, op_weights: Tensor, batch: tuple[Tensor, Tensor], alone: bool = False) -> float:
        asked.append((len(batch[0]), alone))
        return [5.0, -4.0, 1.0, 3.0, 0.0, 0.0][len(asked) - 1]  # the sums are 2 and 3

    monkeypatch.setattr(zero_cost_pt, "score", scores)
    assert search.variant.derive(search) == other
    assert asked == [(10, True)] * 6


def test_no_weight_moves_and_one_epoch_is_all() -> None:
    search = tiny_search(ZeroCostPt)
    start = copy.deepcopy(dict(search.supernet.weights))
    search.run_epoch()
    assert_same(dict(search.supernet.weights), start)
    assert isinstance(search.variant.end_of_epoch(search), Stop)
    assert search.stop_reason is not None
    assert search.passes == search.data.steps_per_epoch


def test_its_choice_counts_a_third_of_a_pass_for_each_look_at_as_many_images() -> None:
    search = tiny_search(ZeroCostPt, {"images": 8})
    search.variant._proposal(search, search.data.probe_batch("train", 8))
    assert search.passes == pytest.approx(30 * 8 / 20 / 3)
    search.variant._total(search, RESIDUAL)
    assert search.passes == pytest.approx((30 * 8 + 40) / 20 / 3)


def test_a_resumed_search_is_the_same_search() -> None:
    assert_resumes(ZeroCostPt, proposals=1, images=4)
