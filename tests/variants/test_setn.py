import itertools

import numpy as np
import pytest
import torch

from harness.search.variant import Phase
from harness.space.cell import CELL_COUNT, OPERATIONS, Cell
from harness.testing import first_step, tiny_search
from tests.variants.searches import assert_resumes, moment, start
from variants.darts import Darts
from variants.setn import Setn, most_probable


def random_op_weights(seed: int = 0) -> np.ndarray:
    powers = np.exp(np.random.default_rng(seed).standard_normal((6, 5)))
    return powers / powers.sum(axis=1, keepdims=True)


def test_candidates_are_the_most_probable_of_all_cells() -> None:
    p = random_op_weights()
    probability = {
        codes: np.prod([p[edge, code] for edge, code in enumerate(codes)])
        for codes in itertools.product(range(5), repeat=6)
    }
    expected = sorted(probability, key=lambda codes: -probability[codes])[:100]
    assert [cell.codes for cell in most_probable(p, 100)] == expected


def test_equal_probabilities_and_zeros_are_in_order() -> None:
    uniform = np.full((6, 5), 0.2)
    assert [cell.codes for cell in most_probable(uniform, 3)] == [(0,) * 6, (0,) * 5 + (1,), (0,) * 5 + (2,)]
    assert len(set(most_probable(uniform, CELL_COUNT + 1))) == CELL_COUNT
    certain = np.eye(5)[[3, 1, 2, 0, 4, 3]]
    assert most_probable(certain, 1) == [Cell(tuple(OPERATIONS[code] for code in (3, 1, 2, 0, 4, 3)))]


def test_the_weights_see_one_uniform_cell_whatever_alpha_says() -> None:
    tested = start(Setn, {"alpha__init_scale": 3.0})
    now = [tested.moment(Phase.WEIGHTS, step) for step in range(3000)]
    found = torch.stack([tested.variant.op_weights(tested.architecture, at) for at in now])
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert (found.sum(dim=-1) == 1).all()
    counts = found.sum(dim=0)
    assert (((counts - 600).square() / 600).sum(dim=-1) < 22).all()  # 4 degrees of freedom, p = 0.0002 an edge
    active = tested.variant.controls(tested.architecture, now[-1]).active
    assert torch.equal(torch.tensor(active), found[-1].bool())


def test_alpha_sees_the_mixture_of_darts() -> None:
    tested, plain = (tiny_search(method, precision="float64", alpha__init_scale=1.0) for method in (Setn, Darts))
    found, expected = (search.variant.alpha_gradient(first_step(search))["alpha"] for search in (tested, plain))
    assert torch.equal(found, expected)
    for phase in (Phase.ALPHA, Phase.DERIVE):
        p = tested.variant.op_weights(tested.architecture, moment(tested, phase))
        assert torch.equal(p, torch.softmax(tested.architecture["alpha"], dim=-1))


@pytest.mark.parametrize("candidates", [1, 12])
def test_the_answer_is_the_best_candidate_by_one_shot_accuracy(candidates) -> None:
    tested = tiny_search(Setn, {"candidates": candidates, "candidate_images": 40}, alpha__init_scale=1.0)
    tested.run_epoch()
    answer, rules = tested.derive()
    cells = most_probable(tested.derived_op_weights(), candidates)
    assert cells[0] == rules["argmax"]
    images, labels = tested.data.probe_batch("valid", 40)
    with torch.no_grad():
        right = [int((tested.supernet(images, tested.one_hot(cell)).argmax(1) == labels).sum()) for cell in cells]
    assert answer == cells[int(np.argmax(right))]


def test_a_resumed_search_is_the_same_search() -> None:
    assert_resumes(Setn, candidates=5)
