"""A space of fewer operations: the same network without the others, and a space of its own for all that judges."""

import numpy as np
import pytest
import torch

from harness.networks.probe import probe
from harness.networks.supernet import Controls, Supernet, SupernetSpec
from harness.search.baseline import Signal, run_baseline
from harness.search.derivation import CHEAP_RULES, argmax_cell, gumbel_cells
from harness.search.diagnostics import mixture_measures
from harness.space.cell import (
    CELL_COUNT,
    CONV1,
    CONV3,
    NONE,
    OPERATIONS,
    POOL,
    SKIP,
    Cell,
    Shape,
    all_cells,
    random_cell,
)
from harness.space.one_shot_cells import ONE_SHOT_CELLS
from harness.testing import tiny_search
from variants.darts import Darts
from variants.drop_branch import DropBranch
from variants.edge_dropout import EdgeDropout
from variants.fair_darts import FairDarts
from variants.is_darts import IsDarts
from variants.random_search import RandomSearch
from variants.skip_penalty import SkipPenalty

WITHOUT_NONE = OPERATIONS[1:]
SPACES = [WITHOUT_NONE, (SKIP, CONV3), (NONE, CONV1), (SKIP, POOL), (CONV1, CONV3)]
SHAPE = Shape(channels=4, cells_per_stage=1, image_channels=1, image_size=8)


def test_spaces_hold_the_cells_of_their_operations() -> None:
    assert [len(all_cells(operations)) for operations in (OPERATIONS, *SPACES)] == [15625, 4096, 64, 64, 64, 64]
    assert all(NONE not in cell.operations for cell in all_cells(WITHOUT_NONE))


def test_random_cells_are_uniform_on_the_space() -> None:
    generator = np.random.default_rng(0)
    drawn = [random_cell(generator, (SKIP, CONV3)).columns((SKIP, CONV3)) for _ in range(4000)]
    counts = np.bincount(np.array(drawn) @ (2 ** np.arange(6)), minlength=64)
    assert ((counts - 4000 / 64) ** 2 / (4000 / 64)).sum() < 104  # chi-squared of 63 degrees, 99.9 %


@pytest.mark.parametrize("operations", SPACES, ids="+".join)
@pytest.mark.parametrize("tracked", [False, True])
def test_the_network_is_the_whole_one_without_the_other_operations(operations: tuple[str, ...], tracked: bool) -> None:
    torch.manual_seed(0)
    whole = Supernet(SupernetSpec(SHAPE, batch_statistics=not tracked)).double()
    part = Supernet(SupernetSpec(SHAPE, batch_statistics=not tracked, operations=operations)).double()
    part.load_state_dict({name: whole.state_dict()[name] for name in part.state_dict()})
    images = torch.rand(3, 1, 8, 8, dtype=torch.float64)
    few = torch.rand(6, len(operations), dtype=torch.float64, requires_grad=True)
    columns = [OPERATIONS.index(operation) for operation in operations]
    every = torch.zeros(6, 5, dtype=torch.float64).index_copy(1, torch.tensor(columns), few.detach()).requires_grad_()
    expected, found = whole(images, every), part(images, few)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    slopes = [
        torch.autograd.grad(logits.square().sum(), op_weights)[0]
        for logits, op_weights in ((found, few), (expected, every))
    ]
    torch.testing.assert_close(slopes[0], slopes[1][:, columns], rtol=1e-9, atol=1e-10)


def test_masks_scales_and_the_probe_have_a_column_for_each_operation() -> None:
    torch.manual_seed(1)
    whole = Supernet(SupernetSpec(SHAPE)).double()
    part = Supernet(SupernetSpec(SHAPE, operations=WITHOUT_NONE)).double()
    part.load_state_dict(whole.state_dict())
    images, scale = torch.rand(2, 1, 8, 8).double(), torch.rand(3, 6, 5, 2).double()
    every = torch.rand(6, 5).double()
    every[:, 0] = 0
    active = tuple((False, *(edge % 2 == 0, True, edge != 3, True)) for edge in range(6))
    expected = whole(images, every, Controls(active=active, operation_scale=scale))
    fewer = Controls(active=tuple(row[1:] for row in active), operation_scale=scale[:, :, 1:])
    torch.testing.assert_close(part(images, every[:, 1:], fewer), expected, rtol=1e-10, atol=1e-12)
    seen = [
        {(edge, operations[column]): output for one in parts for (edge, column), output in one.outputs.items()}
        for operations, parts in (
            (OPERATIONS, list(probe(whole, images, every))),
            (WITHOUT_NONE, list(probe(part, images, every[:, 1:]))),
        )
    ]
    assert {key for key in seen[0] if key[1] != NONE} == set(seen[1])
    assert all(torch.allclose(seen[0][key], seen[1][key]) for key in seen[1])


def test_rules_read_cells_of_the_space() -> None:
    random = np.random.default_rng(3)
    op_weights = random.random((6, 2))
    for operations in ((NONE, SKIP), (SKIP, CONV3)):
        largest = Cell(tuple(operations[column] for column in op_weights.argmax(axis=1)))
        assert argmax_cell(op_weights, operations) == largest
        for name, rule in CHEAP_RULES.items():
            cell = rule(op_weights, operations)
            assert set(cell.operations) <= set(operations), name
        assert all(set(cell.operations) <= set(operations) for cell in gumbel_cells(op_weights, 9, random, operations))
    assert CHEAP_RULES["skip-cap-2"](op_weights, (SKIP, CONV3)).counts[SKIP] <= 2
    assert CHEAP_RULES["argmax-without-none"](op_weights, (NONE, SKIP)) == Cell((SKIP,) * 6)


def test_how_decided_a_mixture_is_without_skip() -> None:
    measures = mixture_measures(np.full((6, 2), 0.5), (CONV1, CONV3))
    assert measures["entropy"] == pytest.approx(np.log(2))
    assert measures["skip_mass"] == 0 and np.isnan(measures["skip_rank"])


def test_a_search_has_an_alpha_of_the_space_and_one_shot_cells_of_it() -> None:
    search = tiny_search(Darts, operations=WITHOUT_NONE, diagnostics__one_shot_every=1)
    assert search.architecture["alpha"].shape == (6, 4)
    row = search.run_epoch()
    assert NONE not in row["cell"]
    cells = [index for index in ONE_SHOT_CELLS if NONE not in Cell.from_index(index).operations]
    assert [one["cell_index"] for one in search.one_shot_rows] == cells and len(cells) > 10
    assert {one["operation"] for one in search.alpha_rows} == set(WITHOUT_NONE)


@pytest.mark.parametrize("operations", [(CONV1, CONV3), (NONE, CONV3), (SKIP, POOL)], ids="+".join)
@pytest.mark.parametrize("method", [Darts, DropBranch, EdgeDropout, FairDarts, IsDarts, SkipPenalty])
def test_two_operations_are_enough(method: type, operations: tuple[str, ...]) -> None:
    search = tiny_search(method, operations=operations, epochs=1, data__limit=4)
    search.run_epoch()
    assert search.finite
    assert set(search.derive()[0].operations) <= set(operations)


def test_a_baseline_draws_from_the_space_alone() -> None:
    signal = Signal(np.linspace(0, 100, CELL_COUNT)[None], np.ones((1, CELL_COUNT)), notes=())
    rows = run_baseline(RandomSearch, RandomSearch.Settings(evaluations=50), 0, signal, (SKIP, CONV3))
    allowed = {signal.scores[0, cell.index] for cell in all_cells((SKIP, CONV3))}
    assert set(rows["signal"]) <= allowed and len(set(rows["signal"])) > 10
