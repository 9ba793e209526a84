import pytest
import torch

from harness.search.steps import Step
from harness.search.variant import Phase
from harness.testing import first_step, tiny_search
from variants.darts import Darts
from variants.sdarts_adv import SmoothDartsAdversarial
from variants.sdarts_rs import on_simplex


def attacked(method=SmoothDartsAdversarial, epoch=2, **settings) -> tuple[Step, torch.Tensor, torch.Tensor]:
    """A step of the last epoch with its change found, the plain op weights and the changed ones."""
    search = tiny_search(method, settings, precision="float64", alpha__init_scale=1.0)
    search.epoch = epoch
    step = first_step(search)
    search.variant.before_weight_step(step)
    changed = search.variant.op_weights(step.architecture, step.moment(Phase.WEIGHTS)).detach()
    return step, torch.softmax(step.architecture["alpha"].detach(), dim=-1), changed


def train_loss(step: Step, op_weights: torch.Tensor) -> float:
    images, labels = step.train_batch
    with torch.no_grad():
        return float(torch.nn.functional.cross_entropy(step.search.supernet(images, op_weights), labels))


def test_the_change_raises_the_loss_and_stays_in_its_ball_and_on_the_simplex() -> None:
    step, p, changed = attacked()
    change = step.search.variant._change
    radius = 0.03 + 0.27 * 2 / 3
    assert float(change.abs().max()) <= radius + 1e-12
    assert float(change.abs().max()) > 0.9 * radius
    assert torch.equal(changed, on_simplex(p, change))
    assert (changed >= 0).all()
    assert torch.allclose(changed.sum(dim=1), torch.ones(6, dtype=torch.float64))
    assert train_loss(step, changed) > train_loss(step, p)
    # More than noise of the same size does.
    random = torch.Generator().manual_seed(0)
    others = [
        train_loss(step, on_simplex(p, radius * (2 * torch.rand(6, 5, generator=random, dtype=torch.float64) - 1)))
        for _ in range(20)
    ]
    assert train_loss(step, changed) > max(others)


def test_the_ascent_is_that_of_the_formula(monkeypatch) -> None:
    """One step of 2 epsilon along the sign of the gradient, from a start at the plain op weights."""
    monkeypatch.setattr("variants.sdarts_adv.uniform_noise", lambda like, moment, radius: torch.zeros_like(like))
    step, p, _ = attacked(ascent_steps=4, radius=0.001, last_radius=0.001)
    leaf = torch.zeros(6, 5, dtype=torch.float64)
    images, labels = step.train_batch
    for _ in range(4):
        leaf.requires_grad_()
        loss = torch.nn.functional.cross_entropy(step.search.supernet(images, on_simplex(p, leaf)), labels)
        (slope,) = torch.autograd.grad(loss, leaf)
        leaf = (leaf.detach() + 2 * 0.001 / 4 * slope.sign()).clamp(-0.001, 0.001)
    assert torch.equal(step.search.variant._change, leaf)


def test_a_change_that_does_not_raise_the_loss_is_given_up(monkeypatch) -> None:
    search = tiny_search(SmoothDartsAdversarial, precision="float64")
    step = first_step(search)
    losses = iter([torch.tensor(2.0), torch.tensor(2.0)])
    monkeypatch.setattr(search.variant, "_loss_at", lambda *arguments: next(losses))
    search.variant.before_weight_step(step)
    assert torch.equal(search.variant._change, torch.zeros(6, 5, dtype=torch.float64))


def test_alpha_and_its_passes_are_untouched() -> None:
    search = tiny_search(SmoothDartsAdversarial)
    before = search.architecture["alpha"].detach().clone()
    step = first_step(search)
    search.variant.before_weight_step(step)
    assert torch.equal(search.architecture["alpha"].detach(), before)
    p = torch.softmax(before, dim=-1)
    for phase in (Phase.ALPHA, Phase.DERIVE):
        assert torch.equal(search.variant.op_weights({"alpha": before}, step.moment(phase)), p)
    search.variant.after_weight_step(step)
    assert torch.equal(search.variant.op_weights({"alpha": before}, step.moment(Phase.WEIGHTS)), p)


def test_its_passes_are_the_ascent_and_two_comparisons() -> None:
    search = tiny_search(SmoothDartsAdversarial, {"ascent_steps": 3})
    search.variant.before_weight_step(first_step(search))
    assert search.passes == pytest.approx(3 + 2 / 3)


def test_without_a_radius_it_is_darts() -> None:
    one, other = (
        tiny_search(tested, settings, precision="float64")
        for tested, settings in ((SmoothDartsAdversarial, {"radius": 0.0, "last_radius": 0.0}), (Darts, {}))
    )
    for search in (one, other):
        search.run_epoch()
    assert torch.allclose(one.architecture["alpha"], other.architecture["alpha"], rtol=0, atol=1e-9)
