import itertools
from math import factorial

import numpy as np
import pytest
import torch

from harness.search.variant import Phase
from harness.testing import tiny_search
from tests.variants.searches import assert_resumes, start
from variants.shapley_nas import ShapleyNas, standardised

PLAYERS = [(1, 3), (3, 1), (4, 4), (5, 2)]
"""Those of the small game, as (edge, operation); the other 26 contribute nothing."""


def worth(present: set[int]) -> float:
    """Two that only work together, one that spoils what a third achieves, and a sum."""
    together = 20.0 if {0, 1} <= present else 0.0
    return 40.0 + together + (10.0 if 2 in present and 3 not in present else 3.0 * len(present))


def exact_values() -> dict[tuple[int, int], float]:
    count = len(PLAYERS)
    values = {}
    for player, place in enumerate(PLAYERS):
        others = [one for one in range(count) if one != player]
        total = 0.0
        for size in range(count):
            weight = factorial(size) * factorial(count - size - 1) / factorial(count)
            for coalition in itertools.combinations(others, size):
                total += weight * (worth({*coalition, player}) - worth(set(coalition)))
        values[place] = total
    return values


def play(search, monkeypatch) -> list[torch.Tensor]:
    """Let the accuracy be the worth of the players whose op weight is left; returns what is asked for."""
    asked = []

    def accuracy(own, op_weights, batch):
        asked.append(op_weights.clone())
        return worth({number for number, (edge, column) in enumerate(PLAYERS) if op_weights[edge, column] != 0})

    monkeypatch.setattr(search.variant, "_accuracy", accuracy)
    return asked


def test_values_over_many_orders_are_those_of_enumeration(monkeypatch) -> None:
    tested = start(ShapleyNas, orders=300, truncation=0.0)
    play(tested, monkeypatch)
    found = tested.variant._values(tested)
    exact = exact_values()
    assert sum(exact.values()) == pytest.approx(worth({0, 1, 2, 3}) - worth(set()))
    for edge, column in itertools.product(range(6), range(5)):
        assert found[edge, column] == pytest.approx(exact.get((edge, column), 0.0), abs=2.5)
    assert found.sum() == pytest.approx(worth({0, 1, 2, 3}) - worth(set()))  # in every order
    assert exact[1, 3] == pytest.approx(exact[3, 1])
    assert exact[1, 3] > 10


def test_the_mean_over_all_orders_of_the_four_is_exact(monkeypatch) -> None:
    tested = start(ShapleyNas, truncation=0.0)
    play(tested, monkeypatch)
    op_weights = torch.full((6, 5), 0.2)
    places = [edge * 5 + column for edge, column in PLAYERS]
    found = [
        tested.variant._of_order(tested, op_weights, np.array(order), None) for order in itertools.permutations(places)
    ]
    mean = np.mean(found, axis=0)
    for place, value in exact_values().items():
        assert mean[place] == pytest.approx(value)
    assert torch.equal(op_weights, torch.full((6, 5), 0.2))


def test_operations_are_taken_out_one_by_one_and_not_renormalised(monkeypatch) -> None:
    tested = start(ShapleyNas, truncation=0.0)
    asked = play(tested, monkeypatch)
    op_weights = torch.softmax(torch.linspace(-1, 1, 30), dim=0).view(6, 5)
    order = np.random.default_rng(0).permutation(30)
    tested.variant._of_order(tested, op_weights, order, None)
    heard = [int(one) for one in order if one % 5]  # `none` is not worth a look
    assert len(asked) == 1 + 24
    left = op_weights.flatten().clone()
    for player in order:
        left[player] = 0
        if int(player) == heard[3]:
            break
    assert torch.equal(asked[4].flatten(), left)


def test_a_walk_ends_below_half_of_the_accuracy(monkeypatch) -> None:
    tested = start(ShapleyNas)
    accuracies = iter([80.0, 60.0, 50.0, 39.0, 38.0])
    monkeypatch.setattr(tested.variant, "_accuracy", lambda *arguments: next(accuracies))
    found = tested.variant._of_order(tested, torch.full((6, 5), 0.2), np.array([1, 2, 8, 9, 11]), None)
    assert found.flatten()[[1, 2, 8]].tolist() == [20, 10, 11]
    assert np.count_nonzero(found) == 3


def test_alpha_follows_the_standardised_values_with_momentum(monkeypatch) -> None:
    tested = start(ShapleyNas, {"epochs": 4, "precision": "float64"})
    values = np.random.default_rng(0).standard_normal((3, 6, 5))
    given = iter(values)
    monkeypatch.setattr(tested.variant, "_values", lambda search: next(given))
    before = tested.architecture["alpha"].detach().numpy().copy()
    for epoch in (1, 2):
        tested.epoch = epoch
        tested.variant.end_of_epoch(tested)
    assert np.array_equal(tested.architecture["alpha"].detach().numpy(), before)  # half of the search is a warm-up
    mean = np.zeros((6, 5))
    for epoch, raw in ((3, values[0]), (4, values[1])):
        tested.epoch = epoch
        tested.variant.end_of_epoch(tested)
        mean = 0.8 * mean + 0.2 * (raw - raw.mean()) / raw.std()
        before = before + 0.1 * mean
        assert np.allclose(tested.architecture["alpha"].detach().numpy(), before)
    assert standardised(np.full((6, 5), 3.0)).tolist() == np.zeros((6, 5)).tolist()


def test_the_accuracy_is_that_of_the_shared_weights_and_its_images_are_counted() -> None:
    tested = tiny_search(ShapleyNas)
    tested.run_epoch()
    passes = tested.passes
    assert passes == tested.data.steps_per_epoch
    images, labels = tested.data.probe_batch("valid", 30)
    op_weights = tested.variant.op_weights(tested.architecture, tested.moment(Phase.DERIVE)).detach()
    with torch.no_grad():
        right = (tested.supernet(images, op_weights).argmax(dim=1) == labels).double().mean()
    found = tested.variant._accuracy(tested, op_weights, (images, labels))
    assert found == pytest.approx(100 * float(right))
    assert tested.passes - passes == pytest.approx(30 / 20 / 3)


def test_a_resumed_search_is_the_same_search() -> None:
    search = assert_resumes(ShapleyNas, orders=2, images=20, warm_up=0.0)
    assert float(search.architecture["alpha"].detach().abs().max()) > 0.05
