from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import stats
from torch import Tensor

from harness.base.streams import stream
from harness.search.derivation import CHEAP_RULES, argmax_cell, argmax_without_none, gumbel_cells, skip_cap
from harness.search.derivation_study import draw_cells, studied_cells
from harness.space.cell import OPERATIONS, SKIP
from harness.testing import tiny_search
from variants.darts import Darts


def mixture(seed: int = 0, spread: float = 1.0) -> np.ndarray:
    logits = np.exp(spread * stream(seed, "test").standard_normal((6, 5)))
    return logits / logits.sum(axis=1, keepdims=True)


def test_the_cheap_rules() -> None:
    op_weights = np.tile([0.4, 0.3, 0.2, 0.1, 0.0], (6, 1))
    found = {name: rule(op_weights).codes for name, rule in CHEAP_RULES.items()}
    assert found == {"argmax": (0,) * 6, "argmax-without-none": (1,) * 6, "skip-cap-2": (0,) * 6}


def test_skip_cap_by_hand() -> None:
    # The skips of edges 1, 4 and 2, from the weakest, give way to conv3x3, pooling and none.
    op_weights = np.array(
        [
            [0.0, 0.9, 0.0, 0.1, 0.0],
            [0.1, 0.4, 0.2, 0.3, 0.0],
            [0.4, 0.6, 0.0, 0.0, 0.0],
            [0.0, 0.1, 0.9, 0.0, 0.0],
            [0.0, 0.5, 0.2, 0.0, 0.3],
            [0.0, 0.8, 0.1, 0.1, 0.0],
        ]
    )
    before = op_weights.copy()
    assert skip_cap(op_weights, 6).codes == (1, 1, 1, 2, 1, 1)
    assert skip_cap(op_weights, 4).codes == (1, 3, 1, 2, 1, 1)
    assert skip_cap(op_weights, 3).codes == (1, 3, 1, 2, 4, 1)
    assert (
        skip_cap(op_weights, 2).codes == CHEAP_RULES["skip-cap-2"](op_weights, OPERATIONS).codes == (1, 3, 0, 2, 4, 1)
    )
    assert skip_cap(op_weights, 0).counts[SKIP] == 0
    assert np.array_equal(op_weights, before)


@pytest.mark.parametrize("seed", range(20))
def test_skip_cap_is_the_best_cell_under_the_cap(seed: int) -> None:
    """Against brute force: P-DARTS's rule keeps the skips with the largest weights."""
    op_weights = mixture(seed)
    op_weights[:, 1] += 0.5
    found = skip_cap(op_weights, 2)
    skipped = set(np.flatnonzero(op_weights.argmax(axis=1) == 1))
    kept = {edge for edge, operation in enumerate(found.operations) if operation == SKIP}
    assert len(kept) == min(2, len(skipped))
    assert all(op_weights[one, 1] >= op_weights[other, 1] for one, other in product(kept, skipped - kept))
    without = np.delete(op_weights, 1, axis=1).argmax(axis=1)
    others = [operation for operation in OPERATIONS if operation != SKIP]
    for edge in set(range(6)) - kept:
        assert found.operations[edge] == others[without[edge]]


def test_gumbel_draws_follow_the_op_weights() -> None:
    op_weights = mixture()
    drawn = np.array([cell.codes for cell in gumbel_cells(op_weights, 4000, stream(0, "draws"))])
    for edge in range(6):
        observed = np.bincount(drawn[:, edge], minlength=5)
        assert stats.chisquare(observed, 4000 * op_weights[edge]).pvalue > 0.001
    # Edges are drawn independently: each pair's joint counts fit the product.
    joint = np.histogram2d(drawn[:, 0], drawn[:, 5], bins=[np.arange(6) - 0.5] * 2)[0]
    assert stats.chi2_contingency(joint).pvalue > 0.001


@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0, 10.0])
def test_gumbel_softmax_of_any_temperature_gives_the_same_cells(temperature: float) -> None:
    op_weights = mixture()
    noise = stream(0, "draws").gumbel(size=(50, 6, 5))
    soft = (np.log(op_weights) + noise) / temperature
    assert gumbel_cells(op_weights, 50, stream(0, "draws")) == [argmax_cell(matrix) for matrix in soft]


def test_gumbel_never_draws_an_operation_without_weight() -> None:
    op_weights = np.tile([0.0, 0.5, 0.0, 0.5, 0.0], (6, 1))
    codes = {code for cell in gumbel_cells(op_weights, 100, stream(0, "draws")) for code in cell.codes}
    assert codes == {1, 3}
    assert gumbel_cells(op_weights, 0, stream(0, "draws")) == []


def test_argmax_without_none_leaves_its_input_alone() -> None:
    op_weights = mixture()
    before = op_weights.copy()
    argmax_without_none(op_weights)
    assert np.array_equal(op_weights, before)


@pytest.mark.parametrize("images", [None, 30, 10_000])
def test_the_supernet_is_asked_about_as_many_images_as_the_protocol_says(
    images: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = tiny_search(Darts, derivation__images=images)
    sizes = [len(labels) for _, labels in search.data.mixed_batches("valid", 20)]
    if images == 30:
        sizes = [20, 10]
    asked: Counter[int] = Counter()
    forward = search.supernet.forward

    def counted(inputs: Tensor, *arguments: Any) -> Tensor:
        asked[len(inputs)] += 1
        return forward(inputs, *arguments)

    monkeypatch.setattr(search.supernet, "forward", counted)
    studied_cells(search, draw_cells(search))
    questions = sum(asked.values()) / len(sizes)
    assert asked == Counter({size: questions * count for size, count in Counter(sizes).items()})
    assert questions > 1
