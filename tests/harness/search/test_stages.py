import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.errors import UserError
from harness.search.stages import Stages, keep_largest


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(0, 300))
def test_stages_fill_the_search_and_none_is_empty(proportions: list[int], more: int) -> None:
    epochs = len(proportions) + more
    lengths = Stages.divide(epochs, tuple(proportions)).lengths
    assert sum(lengths) == epochs
    assert min(lengths) >= 1
    if min(epochs * part / sum(proportions) for part in proportions) >= 2:
        shares = [epochs * part / sum(proportions) for part in proportions]
        assert all(abs(length - share) <= 1 for length, share in zip(lengths, shares, strict=True))


def test_where_stages_start_and_end() -> None:
    stages = Stages.divide(10, (1, 1, 3))
    assert stages.lengths == (2, 2, 6)
    assert [stages.start(stage) for stage in range(3)] == [0, 2, 4]
    ends = [(stage, epoch) for stage in range(3) for epoch in range(11) if stages.ends_with(stage, epoch)]
    assert ends == [(0, 2), (1, 4)]


def test_too_few_epochs() -> None:
    with pytest.raises(UserError, match="needs at least 3 epochs, not 2"):
        Stages.divide(2, (1, 1, 1))


def test_keep_largest() -> None:
    values = np.array([[0.1, 0.3, 0.2, 0.3, 0.0], [0.2, 0.2, 0.2, 0.2, 0.2]])
    assert keep_largest(values, 2) == ((False, True, False, True, False), (True, True, False, False, False))
    assert keep_largest(values, 3)[0] == (False, True, True, True, False)
