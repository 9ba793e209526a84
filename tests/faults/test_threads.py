"""The same search twice, on one thread or on two."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tests.variants.searches import start
from variants.darts import Darts


@pytest.fixture(autouse=True)
def one_thread_again() -> Iterator[None]:
    yield
    torch.set_num_threads(1)


def alpha_after(threads: int, precision: str) -> Tensor:
    search = start(Darts, {"precision": precision})
    torch.set_num_threads(threads)
    search.run_epoch()
    search.run_epoch()
    return search.architecture["alpha"].detach()


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_on_as_many_threads_it_is_the_same_to_the_last_bit(threads: int) -> None:
    assert torch.equal(alpha_after(threads, "float32"), alpha_after(threads, "float32"))


@pytest.mark.slow
def test_on_more_threads_sums_round_differently() -> None:
    """So the number of threads is a part of the protocol, and of every fingerprint."""
    one, two = alpha_after(1, "float64"), alpha_after(2, "float64")
    assert torch.allclose(one, two, rtol=0, atol=1e-12)
