import numpy as np
import pytest

from harness.base.streams import stream
from harness.space.cell import CELL_COUNT
from variants.random_search import RandomSearch


@pytest.fixture(scope="module")
def draws() -> list:
    search = RandomSearch(RandomSearch.Settings(), stream(0, "test"))
    return [search.propose() for _ in range(5000)]


def test_every_operation_of_every_edge_is_equally_likely(draws: list) -> None:
    codes = np.array([cell.codes for cell in draws])
    for edge in range(6):
        counts = np.bincount(codes[:, edge], minlength=5)
        assert ((counts - 1000) ** 2 / 1000).sum() < 18.5  # chi-square, 4 degrees of freedom, p = 0.001


def test_no_part_of_the_space_is_left_out(draws: list) -> None:
    indices = np.array([cell.index for cell in draws])
    for groups in (indices * 25 // CELL_COUNT, indices % 25):
        counts = np.bincount(groups, minlength=25)
        assert ((counts - 200) ** 2 / 200).sum() < 51.2  # 24 degrees of freedom, p = 0.001
