import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.base.streams import stream, torch_seed

names = st.tuples(st.integers(0, 2**31), st.text(min_size=1, max_size=20), st.integers(0, 10**6))


@given(names)
def test_a_stream_is_its_name(name) -> None:
    assert np.array_equal(stream(*name).random(4), stream(*name).random(4))
    assert torch_seed(*name) == torch_seed(*name) < 2**63


@given(names, names)
def test_other_names_are_other_streams(one, other) -> None:
    if one != other:
        assert not np.array_equal(stream(*one).random(4), stream(*other).random(4))
        assert torch_seed(*one) != torch_seed(*other)


def test_draws_are_the_same_on_every_machine() -> None:
    assert stream(0, "order/train", 3).integers(0, 1000, 4).tolist() == [749, 385, 775, 732]
    assert torch_seed(1, "weights") == 5816408450016593719
