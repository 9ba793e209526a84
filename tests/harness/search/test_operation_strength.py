import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr

from harness.search.operation_strength import best_of_k, operation_strength, removal_effect
from harness.search.variant import Phase
from harness.space.cell import NONE, OPERATIONS, RESIDUAL, Cell
from harness.testing import tiny_search
from tests.harness.search.test_loop import assert_same
from variants.darts import Darts
from variants.zo_darts_pp import ZoDartsPlusPlus

EXACT = {"precision": "float64", "network__cells_per_stage": 2, "alpha__init_scale": 0.7}


def batches(search, size: int = 20):
    return list(search.data.mixed_batches("valid", size))


def slope(search, op_weights, batch):
    leaf = op_weights.clone().requires_grad_()
    images, labels = batch
    return torch.autograd.grad(F.cross_entropy(search.supernet(images, leaf), labels), leaf)[0]


def test_strength_is_the_mean_magnitude_of_weight_times_slope() -> None:
    search = tiny_search(Darts, **EXACT)
    p = torch.softmax(search.architecture["alpha"].detach(), dim=-1)
    # The slope by one matrix for all cells is the sum over cells.
    summed = torch.stack([(p * slope(search, p, batch)).abs() for batch in batches(search)]).mean(dim=0)
    assert operation_strength(search, batches(search)) == pytest.approx(summed.numpy(), abs=1e-12)
    cells = p.expand(6, 6, 5)
    apart = torch.stack([(cells * slope(search, cells, batch)).abs().sum(dim=0) for batch in batches(search)])
    found = operation_strength(search, batches(search), absolute_in_cells=True)
    assert found == pytest.approx(apart.mean(dim=0).numpy(), abs=1e-12)
    assert (found > summed.numpy())[:, 1:].any()


def test_removal_effect_is_the_rise_of_the_loss() -> None:
    search = tiny_search(Darts, **EXACT)
    p = torch.softmax(search.architecture["alpha"].detach(), dim=-1)
    rises = []
    with torch.no_grad():
        for images, labels in batches(search):
            without = p.clone()
            without[4, 3] = 0
            losses = [F.cross_entropy(search.supernet(images, matrix), labels) for matrix in (p, without)]
            rises.append(float(losses[1] - losses[0]))
    found = removal_effect(search, batches(search))
    assert found[4, 3] == pytest.approx(np.mean(rises), abs=1e-12)
    assert (found[:, OPERATIONS.index(NONE)] == 0).all()
    assert (found[:, 1:] != 0).all()


def test_for_a_small_op_weight_the_strength_is_the_removal_effect() -> None:
    search = tiny_search(Darts, **EXACT)
    edges, columns = np.arange(6), np.array([1, 2, 3, 4, 1, 3])
    with torch.no_grad():
        search.architecture["alpha"][edges, columns] -= 12.0
    one = batches(search, 40)[:1]
    strength, removal = operation_strength(search, one), removal_effect(search, one)
    assert np.abs(removal[edges, columns]) == pytest.approx(strength[edges, columns], rel=0.02)


def test_strength_ranks_the_operations_of_a_trained_net_as_their_removal_does() -> None:
    search = tiny_search(Darts, seed=1, data__limit=60, batch_size=60, epochs=8, weights__lr=0.1)
    for _ in range(8):
        search.run_epoch()
    every = batches(search, 60)
    removal = np.abs(removal_effect(search, every))[:, 1:]
    for absolute in (False, True):
        strength = operation_strength(search, every, absolute_in_cells=absolute)[:, 1:]
        assert spearmanr(strength.ravel(), removal.ravel()).statistic > 0.6


@pytest.mark.parametrize("method", [Darts, ZoDartsPlusPlus])
def test_asking_changes_nothing_and_is_counted(method) -> None:
    search = tiny_search(method, network__batch_statistics=False)
    before, passes = copy.deepcopy(search.supernet.state_dict()), search.passes
    alpha = search.architecture["alpha"].detach().clone()
    few = batches(search, 10)
    assert operation_strength(search, few).shape == (6, 5)
    assert search.passes == passes + len(few)
    assert removal_effect(search, few).shape == (6, 5)
    assert search.passes == pytest.approx(passes + len(few) + 25 / 3 * len(few))
    running = {name: value for name, value in search.supernet.state_dict().items() if "num_batches" not in name}
    assert_same(running, {name: before[name] for name in running})
    assert torch.equal(search.architecture["alpha"], alpha)
    assert search.architecture["alpha"].grad is None


def test_best_of_k_is_the_cell_with_the_best_one_shot_accuracy() -> None:
    search = tiny_search(Darts, data__limit=30, batch_size=50, weights__lr=0.1)
    for _ in range(3):
        search.run_epoch()
    cells = [Cell((NONE,) * 6), *(Cell.from_index(index) for index in (1459, 77, 9000, 15000)), RESIDUAL]
    some = batches(search, 100)
    scores = [search.one_shot_accuracy(search.one_hot(cell), some) for cell in cells]
    assert len(set(scores)) > 2
    assert best_of_k(search, cells, some) == cells[int(np.argmax(scores))]
    worst = cells[int(np.argmin(scores))]
    passes = search.passes
    assert best_of_k(search, [worst, worst], some) == worst
    assert search.passes == pytest.approx(passes + sum(len(labels) for _, labels in some) / 50 / 3)


def test_the_derivation_moment_is_what_is_judged() -> None:
    """A relaxation that is random in the search is judged by what cells are derived from."""

    class Random(Darts):
        name = "random"

        def op_weights(self, architecture, moment):
            assert moment.phase is Phase.DERIVE
            return super().op_weights(architecture, moment)

    search = tiny_search(Random)
    assert operation_strength(search, batches(search)).any()
