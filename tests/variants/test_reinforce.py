import numpy as np
import pytest
import torch

from harness.base.streams import stream
from harness.space.cell import ALL_CONV3, ALL_SKIP, EDGES
from variants.reinforce import Reinforce


def search(**settings: float) -> Reinforce:
    return Reinforce(Reinforce.Settings(**settings), stream(0, "test"))


def test_it_follows_torchs_adam_on_the_policy_gradient() -> None:
    tested = search(lr=0.05)
    logits = torch.tensor(tested.logits, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.05)
    generator = np.random.default_rng(0)
    for score in generator.uniform(50, 90, 30):
        cell = tested.propose()
        tested.observe(cell, float(score))
        optimizer.zero_grad()
        chosen = torch.log_softmax(logits, dim=1)[range(6), cell.codes].sum()
        (-chosen * (score - tested.mean / tested.mean_weight)).backward()
        optimizer.step()
        assert tested.logits == pytest.approx(logits.detach().numpy(), abs=1e-9)
    assert np.abs(tested.logits).max() > 0.1


def test_the_mean_reward_is_corrected_for_its_start_and_updated_before_use() -> None:
    tested = search(baseline_momentum=0.9)
    before = tested.logits.copy()
    tested.observe(ALL_SKIP, 70.0)
    assert tested.mean / tested.mean_weight == pytest.approx(70)
    assert tested.logits == pytest.approx(before, abs=1e-7)  # the first reward is its own mean
    tested.observe(ALL_SKIP, 80.0)
    assert tested.mean / tested.mean_weight == pytest.approx((0.9 * 70 + 80) / 1.9)


def test_a_sample_follows_the_policy() -> None:
    tested = search()
    tested.logits = np.tile([0.0, 1.0, -1.0, 2.0, 0.5], (len(EDGES), 1)) * np.arange(1, 7)[:, None] / 3
    probabilities = tested.probabilities()
    codes = np.array([tested.propose().codes for _ in range(4000)])
    for edge in range(6):
        expected = 4000 * probabilities[edge]
        counts = np.bincount(codes[:, edge], minlength=5)
        kept = expected > 5
        assert ((counts - expected)[kept] ** 2 / expected[kept]).sum() < 18.5


def test_it_learns_what_is_rewarded() -> None:
    tested = search(lr=0.1)
    for _ in range(300):
        cell = tested.propose()
        tested.observe(cell, 100.0 * np.mean([a == b for a, b in zip(cell.codes, ALL_CONV3.codes, strict=True)]))
    assert (tested.probabilities()[:, ALL_CONV3.codes[0]] > 0.8).all()
