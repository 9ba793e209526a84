import math

import pytest
import torch

from harness.space.cell import ALL_CONV3, ALL_SKIP, CONV3, NONE, RESIDUAL, SKIP, Cell
from harness.theory.expressivity import (
    CUT_OFF,
    EMPTY,
    FILLED,
    batch_norm_epsilon,
    distances,
    drawn_cells,
    fits,
    kind,
    leak,
    one_hot,
    underflow,
)

EMPTY_NODE = Cell((NONE, SKIP, CONV3, SKIP, CONV3, SKIP))
"""Node 1 has no input, and two convolutions read it."""


def test_kinds_of_cells() -> None:
    assert [kind(cell) for cell in (ALL_SKIP, ALL_CONV3, RESIDUAL)] == [FILLED] * 3
    assert kind(EMPTY_NODE) == EMPTY
    # An empty node that only a skip connection reads passes its zero on.
    assert kind(Cell((NONE, SKIP, SKIP, SKIP, SKIP, SKIP))) == FILLED
    # Node 2 is empty because what it reads is.
    assert kind(Cell((NONE, NONE, SKIP, SKIP, SKIP, CONV3))) == EMPTY
    assert kind(Cell((CONV3, CONV3, CONV3, NONE, NONE, NONE))) == CUT_OFF
    assert kind(Cell((NONE, NONE, SKIP, NONE, CONV3, SKIP))) == CUT_OFF


@pytest.mark.parametrize("gap", [0.0, 1.5, 20.0])
def test_the_leak_is_what_the_softmax_leaves(gap: float) -> None:
    op_weights = torch.softmax(gap * one_hot(RESIDUAL), dim=-1)
    left = op_weights.masked_fill(one_hot(RESIDUAL).bool(), 0).sum(dim=-1)
    assert left.tolist() == pytest.approx([leak(gap)] * 6, rel=1e-12)
    assert leak(math.inf) == 0


def test_the_limit_is_reached_at_the_rate_of_the_leak_and_late_behind_an_empty_node() -> None:
    found = distances([RESIDUAL, EMPTY_NODE], [0.0, 6.0, 15.0, 18.0, 24.0])
    rates = fits(found).set_index("cell")
    assert rates["slope"].tolist() == pytest.approx([-1, -1], abs=0.01)
    assert rates.at[str(EMPTY_NODE), "factor"] > 20 * rates.at[str(RESIDUAL), "factor"]
    assert rates.at[str(EMPTY_NODE), "reached"] > rates.at[str(RESIDUAL), "reached"] + 2
    assert found.loc[found["logit_gap"] == math.inf, "distance"].max() < 1e-12
    # Batch norm blows the leak up: at this gap it is still as large as at no gap at all.
    late = found[(found["kind"] == EMPTY) & (found["logit_gap"] == 6)]["distance"].item()
    assert late > 0.05 > 3 * leak(6)


def test_fits_of_given_distances() -> None:
    found = distances([RESIDUAL], [0.0, 6.0, 14.0, 15.0, 20.0])
    # 8 exp(-2 t): slope -2, and 0.001 at t = log(8000) / 2.
    given = found.assign(distance=8 * (-2 * found["logit_gap"]).map(math.exp))
    (row,) = fits(given).to_dict("records")
    assert row["slope"] == pytest.approx(-2)
    assert row["reached"] == pytest.approx(math.log(8000) / 2)
    assert row["cell_index"] == RESIDUAL.index
    # Below rounding a distance says nothing: the slope is that of the first two.
    rounded = given.assign(distance=given["distance"].clip(lower=1e-14))
    assert fits(rounded)["slope"].item() == pytest.approx(-2)
    assert math.isnan(fits(given.assign(distance=1e-15))["slope"].item())


def test_a_limit_that_is_not_reached_is_no_number() -> None:
    found = distances([RESIDUAL], [15.0, 20.0]).assign(distance=1.0)
    assert math.isnan(fits(found)["reached"].item())


def test_the_softmax_underflows_to_one_hot() -> None:
    found = underflow().set_index("precision")["logit_gap"]
    assert found["float32"] == 104
    assert found["float64"] == 746


def test_draws_are_named_and_distinct() -> None:
    cells = drawn_cells(40)
    assert len(set(cells)) == 40
    assert cells == drawn_cells(40)
    assert cells != drawn_cells(40, seed=1)
    assert distances(cells[:1], [3.0]).equals(distances(cells[:1], [3.0]))


def test_epsilon_is_that_of_the_supernets_batch_norm() -> None:
    assert batch_norm_epsilon() == torch.nn.BatchNorm2d(1).eps
