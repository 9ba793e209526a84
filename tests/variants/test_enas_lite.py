import copy

import numpy as np
import pytest
import torch

from harness.base.streams import stream
from harness.search.loop import Search
from harness.space.cell import CONV3, OPERATIONS, Cell
from harness.testing import first_step, tiny_search
from variants.enas_lite import EnasLite


def search(**settings: float) -> Search:
    return tiny_search(EnasLite, settings)


def cells(tested: Search, count: int, seed: int = 0) -> list[Cell]:
    return tested.variant.draw_cells(tested.architecture, stream(seed, "test"), count)


def test_the_alpha_gradient_is_that_of_the_score_function(monkeypatch) -> None:
    tested = search(entropy_weight=0.3)
    tested.variant.load_state({"mean_reward": 0.5})
    values = np.random.default_rng(0).normal(size=(6, 5))
    with torch.no_grad():
        tested.architecture["alpha"].copy_(torch.tensor(values))
    drawn: list[Cell] = []

    def reward(step, cell):
        drawn.append(cell)
        return 0.9

    monkeypatch.setattr(tested.variant, "_reward", reward)
    found = tested.variant.alpha_gradient(first_step(tested))["alpha"].numpy()
    probabilities = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
    entropy = -(probabilities * np.log(probabilities)).sum(axis=1, keepdims=True)
    advantage = 0.9 - (0.99 * 0.5 + 0.01 * 0.9)
    chosen = np.eye(5)[list(drawn[0].codes)]
    expected = advantage * (probabilities - chosen) + 0.3 * probabilities * (np.log(probabilities) + entropy)
    assert found == pytest.approx(expected, abs=1e-6)


def test_the_reward_is_the_accuracy_of_the_shared_weights_on_the_steps_batch() -> None:
    tested = search()
    current = first_step(tested)
    images, labels = current.valid_batch
    cell = Cell((CONV3,) * 6)
    with torch.no_grad():
        right = (tested.supernet(images, tested.one_hot(cell)).argmax(1) == labels).double().mean()
    assert tested.variant._reward(current, cell) == pytest.approx(float(right))


def test_the_reward_can_be_that_of_the_evaluation_mode() -> None:
    tested = tiny_search(EnasLite, {"running_statistics": True}, network__batch_statistics=False)
    tested.run_epoch()
    current = first_step(tested)
    images, labels = current.valid_batch
    cell = Cell((CONV3,) * 6)
    with torch.no_grad():
        logits = copy.deepcopy(tested.supernet).eval()(images, tested.one_hot(cell))
    assert tested.variant._reward(current, cell) == pytest.approx(float((logits.argmax(1) == labels).double().mean()))
    assert tested.supernet.training


def test_the_mean_reward_starts_at_the_first_and_moves_before_use() -> None:
    method = search().variant
    assert method._advantage(0.4) == 0
    assert method._advantage(0.6) == pytest.approx(0.6 - (0.99 * 0.4 + 0.01 * 0.6))


def test_cells_follow_the_policy() -> None:
    tested = search()
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0, 0.5]).repeat(6, 1)
    with torch.no_grad():
        tested.architecture["alpha"].copy_(logits)
    expected = 4000 * torch.softmax(logits[0], dim=0).numpy()
    codes = np.array([cell.codes for cell in cells(tested, 4000)])
    for edge in range(6):
        counts = np.bincount(codes[:, edge], minlength=5)
        assert ((counts - expected) ** 2 / expected).sum() < 18.5


def test_it_learns_what_is_rewarded(monkeypatch) -> None:
    tested = search(baseline_momentum=0.9)
    monkeypatch.setattr(tested.variant, "_reward", lambda step, cell: cell.counts[CONV3] / 6)
    current = first_step(tested)
    for _ in range(300):
        tested._alpha_step(current)
    policy = torch.softmax(tested.architecture["alpha"], dim=1)
    assert (policy[:, OPERATIONS.index(CONV3)] > 0.8).all()
    assert all(cell.counts[CONV3] >= 3 for cell in cells(tested, 20))


def test_the_answer_comes_from_the_policy() -> None:
    tested = search(candidates=20)
    with torch.no_grad():
        tested.architecture["alpha"][:, OPERATIONS.index(CONV3)] += 50
    assert tested.derive()[0] == Cell((CONV3,) * 6)
