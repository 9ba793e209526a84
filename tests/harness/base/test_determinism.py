"""Which operations have no deterministic algorithm is found out while they run."""

import warnings

import pytest
import torch

from harness.base.determinism import deterministic_algorithms
from harness.board.runner import run_search
from harness.settings.protocol import load_board
from tests.conftest import tiny_params


def unpool() -> None:
    """An operation that has none, on CPUs either."""
    values = torch.zeros(1, 1, 2, 2)
    torch.nn.functional.max_unpool2d(values, torch.zeros(1, 1, 2, 2, dtype=torch.int64), 2)


def test_an_operation_without_one_runs_and_is_named_once() -> None:
    with deterministic_algorithms(True) as without:
        unpool()
        unpool()
        assert torch.are_deterministic_algorithms_enabled()
    assert without == ["max_unpooling2d_forward_out"]
    assert not torch.are_deterministic_algorithms_enabled()


def test_other_warnings_are_shown_as_before() -> None:
    with pytest.warns(UserWarning, match="something else"), deterministic_algorithms(True) as without:
        warnings.warn("something else", stacklevel=1)
    assert without == []


def test_nothing_changes_where_it_is_not_asked_for() -> None:
    with deterministic_algorithms(False) as without:
        unpool()
        assert not torch.are_deterministic_algorithms_enabled()
    assert without == []


def test_a_record_on_a_cpu_says_that_it_repeats(project) -> None:
    environment = run_search(load_board(), "darts", 0).environment
    assert (environment.threads, environment.deterministic) == (tiny_params()["protocols"]["tiny"]["threads"], True)
