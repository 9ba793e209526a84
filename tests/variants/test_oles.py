import copy

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from harness.base.named_tensors import constant
from harness.search.loop import Search
from harness.testing import tiny_search
from harness.testing.searches import first_step
from tests.harness.search.test_loop import assert_same
from tests.variants.searches import assert_resumes, row
from variants.darts import Darts
from variants.oles import Oles, operation_cosines, operation_of

SOME = {"window": 2, "threshold": 0.1}
"""Freezes some operations of the tiny search, and not all."""


def cosine_by_hand(one: np.ndarray, other: np.ndarray) -> float:
    columns_one, columns_other = one.reshape(len(one), -1).T, other.reshape(len(other), -1).T
    return float(
        np.mean(
            [a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for a, b in zip(columns_one, columns_other, strict=True)]
        )
    )


def test_the_score_is_the_mean_cosine_along_the_first_dimension() -> None:
    names = [f"cells.0.edges.0_1.{operation}.convolution.weight" for operation in ("nor_conv_1x1", "nor_conv_3x3")]
    generator = torch.Generator().manual_seed(0)
    one, other = (
        {
            name: torch.randn(4, 3, size, size, generator=generator).double()
            for name, size in zip(names, (1, 3), strict=True)
        }
        for _ in range(2)
    )
    extra = "cells.0.edges.0_1.nor_conv_3x3.norm.weight"
    one[extra], other[extra] = torch.tensor([1.0, 2.0]).double(), torch.tensor([-1.0, -2.0]).double()
    found = operation_cosines(one, other)
    assert list(found) == [operation_of(name) for name in names]
    by_hand = [cosine_by_hand(one[name].numpy(), other[name].numpy()) for name in names]
    assert float(found[operation_of(names[0])]) == pytest.approx(by_hand[0])
    assert float(found[operation_of(names[1])]) == pytest.approx((by_hand[1] - 1) / 2)


def test_weights_outside_of_cells_belong_to_no_operation() -> None:
    search = tiny_search(Oles)
    assert {operation_of(name) for name in search.supernet.weights if "cells" not in name} == {""}
    operations = {operation_of(name) for name in search.supernet.weights} - {""}
    assert len(operations) == 3 * 6 * 2


def trained(search: Search, epochs: int = 2) -> Search:
    for _ in range(epochs):
        search.run_epoch()
    return search


def test_whole_operations_are_frozen_and_stay_as_they_are() -> None:
    search = trained(tiny_search(Oles, SOME))
    frozen = set(search.frozen)
    operations = {operation_of(name) for name in frozen}
    assert 0 < len(operations) < 36
    assert frozen == {name for name in search.supernet.weights if operation_of(name) in operations}
    before = copy.deepcopy(constant(search.supernet.weights))
    trained(search, 1)
    assert search.frozen >= frozen
    for name in frozen:
        assert torch.equal(search.supernet.weights[name], before[name])
    free = [name for name in before if name not in search.frozen and name.endswith("convolution.weight")]
    assert all(not torch.equal(search.supernet.weights[name], before[name]) for name in free)


def test_what_is_frozen_is_what_the_two_gradients_say() -> None:
    search = tiny_search(Oles, {"window": 1, "threshold": 0.2}, precision="float64")
    step = first_step(search)
    search._weight_step(step)
    kept = dict(search.variant._trained)
    loss = step.valid_loss(step.weights, step.architecture)
    names = [name for name in kept if name.endswith("convolution.weight")]
    slopes = torch.autograd.grad(loss, [step.weights[name] for name in names])
    expected = {
        operation_of(name)
        for name, slope in zip(names, slopes, strict=True)
        if cosine_by_hand(kept[name].numpy(), slope.numpy()) < 0.2
    }
    assert 0 < len(expected) < 36
    search._alpha_step(step)
    assert {operation_of(name) for name in search.frozen} == expected


def test_with_a_threshold_that_nothing_falls_below_it_is_darts() -> None:
    own, plain = tiny_search(Oles, {"window": 1, "threshold": -1.0}), tiny_search(Darts)
    assert [row(own) for _ in range(3)] == [row(plain) for _ in range(3)]
    assert_same(own.architecture, plain.architecture)
    assert not own.frozen


def test_frozen_operations_stay_frozen_through_a_resume() -> None:
    assert assert_resumes(Oles, **SOME).frozen
    assert len(assert_resumes(Oles, window=1, threshold=1.0).frozen) == 36 * 2  # weight and bias of all of them


@pytest.mark.parametrize("settings", [{"window": 0}, {"threshold": 1.5}])
def test_settings_without_a_meaning_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Oles.Settings(**settings)
