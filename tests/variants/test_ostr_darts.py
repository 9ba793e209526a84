import numpy as np
import pytest
from pydantic import ValidationError

from harness.search.operation_strength import operation_strength
from harness.space.cell import NONE, OPERATIONS
from harness.testing import tiny_search
from tests.harness.search.test_loop import assert_same
from tests.variants.searches import row
from variants.darts import Darts
from variants.ostr_darts import OStrDarts


@pytest.mark.parametrize("absolute", [False, True])
def test_the_answer_is_the_strongest_operation_of_each_edge(absolute) -> None:
    tested = tiny_search(OStrDarts, {"absolute_in_cells": absolute}, network__cells_per_stage=2)
    for _ in range(3):
        tested.run_epoch()
    answer, rules = tested.derive()
    strength = operation_strength(
        tested, tested.data.mixed_batches("valid", tested.data.batch_size), absolute_in_cells=absolute
    )
    assert answer.operations == tuple(OPERATIONS[column] for column in strength.argmax(axis=1))
    assert answer != rules["argmax"]


def test_none_is_never_selected_even_where_nothing_else_has_strength(monkeypatch) -> None:
    tested = tiny_search(OStrDarts)
    monkeypatch.setattr("variants.ostr_darts.operation_strength", lambda *args, **kwargs: np.zeros((6, 5)))
    assert NONE not in tested.variant.derive(tested).operations


def test_the_supernet_is_that_of_darts() -> None:
    tested, plain = tiny_search(OStrDarts), tiny_search(Darts)
    assert [row(tested) for _ in range(3)] == [row(plain) for _ in range(3)]
    tested.derive()
    assert_same(dict(tested.supernet.named_parameters()), dict(plain.supernet.named_parameters()))
    assert_same(tested.architecture, plain.architecture)


def test_the_number_of_batches_is_that_asked_for() -> None:
    tested = tiny_search(OStrDarts, {"batches": 20}, batch_size=2)
    tested.data.batch_size = 1
    passes = tested.passes
    tested.variant.derive(tested)
    assert tested.passes == passes + 20
    with pytest.raises(ValidationError):
        OStrDarts.Settings(batches=19)
