"""What a method may change of the step of the weights."""

import copy
import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from harness.base.named_tensors import constant
from harness.networks.cuda_graphs import GraphedPasses
from harness.search.loop import Search
from harness.search.variant import Continue, Rebuild, Restart, SearchView, StepView, Variant
from harness.testing import tiny_search
from harness.testing.searches import first_step
from tests.harness.networks.recorded_graphs import Recorders
from tests.harness.search.test_loop import assert_same
from tests.variants.searches import assert_resumes
from variants.darts import Darts


class Doubling(Darts):
    """Gives the optimiser twice the gradient, and none for the classifier."""

    def weight_gradients(self, step: StepView) -> Mapping[str, Tensor | None]:
        found = step.weight_gradients()
        return {name: None if one is None else 2 * one for name, one in found.items() if "classifier" not in name}


def one_weight_step(method: type[Variant], **changes: object) -> tuple[Search, dict[str, Tensor]]:
    """A search after one step of its weights, and the weights before."""
    search = tiny_search(method, precision="float64", weights__clip=None, weights__weight_decay=0.1, **changes)
    before = copy.deepcopy(constant(search.supernet.weights))
    search._weight_step(first_step(search))
    return search, before


def test_the_optimiser_is_given_what_the_method_returns() -> None:
    plain, before = one_weight_step(Darts, weights__momentum=0.0, weights__nesterov=False)
    own, _ = one_weight_step(Doubling, weights__momentum=0.0, weights__nesterov=False)
    for name, start in before.items():
        moved, doubled = plain.supernet.weights[name], own.supernet.weights[name]
        if "classifier" in name:
            assert torch.equal(doubled, start)
        elif not torch.equal(moved, start):
            # SGD subtracts lr (gradient + decay * w): twice the gradient is one more lr * gradient.
            gradient = (start - moved) / 0.025 - 0.1 * start
            assert torch.allclose(doubled, start - 0.025 * (2 * gradient + 0.1 * start), atol=1e-12), name


def test_the_gradient_norm_is_that_of_what_is_given() -> None:
    norms = [one_weight_step(method)[0].meter.ratio("gradient norm", "weight steps") for method in (Darts, Doubling)]
    assert norms[1] != norms[0]


def test_both_gradients_of_one_pass_are_those_of_autograd() -> None:
    search = tiny_search(Darts, precision="float64")
    step = first_step(search)
    alpha = step.architecture["alpha"].detach().requires_grad_()
    unused = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    passes = search.passes
    weights, along = step.training_gradients({"alpha": alpha, "unused": unused, "constant": torch.ones(1)})
    assert search.passes == passes + 1
    assert along.keys() == {"alpha", "unused"}
    assert not along["unused"].any()
    loss = step.train_loss(step.weights, {"alpha": alpha})
    expected = torch.autograd.grad(loss, [*step.weights.values(), alpha], allow_unused=True)
    for found, one in zip([*weights.values(), along["alpha"]], expected, strict=True):
        assert (found is None and one is None) or torch.allclose(found, one, atol=1e-12)
    assert search.meter.ratio("train/loss", "train/batches") == pytest.approx(float(loss.detach()))


class Freezing(Darts):
    """Leaves the 3x3 convolution of the first edge alone after the first step, and all weights after four."""

    def after_weight_step(self, step: StepView) -> None:
        search = step.search
        if search.epoch == 0:
            search.freeze([FROZEN])
        elif search.epoch == 2:
            search.freeze(search.supernet.weights)


FROZEN = "cells.0.edges.0_1.nor_conv_3x3.convolution.weight"


def test_a_frozen_weight_stays_and_the_others_move_by_their_own_gradients() -> None:
    search = tiny_search(Freezing, precision="float64", weights__weight_decay=0.1)
    search._weight_step(first_step(search))
    weight = search.supernet.weights[FROZEN]
    assert weight.grad is not None
    start, others = copy.deepcopy(constant(search.supernet.weights)), search.supernet.weights.keys() - {FROZEN}
    free = first_step(search)
    search.frozen, expected = set(), free.weight_gradients()
    search.freeze([FROZEN])
    search._weight_step(first_step(search))
    assert torch.equal(weight, start[FROZEN])
    assert weight.grad is None
    assert weight not in search.weight_optimizer.state
    clipped = min(
        1.0, 5 / float(torch.nn.utils.get_total_norm([expected[name] for name in others if expected[name] is not None]))
    )
    for name in others:
        found = search.supernet.weights[name].grad
        assert (found is None) == (expected[name] is None)
        if found is not None:
            assert torch.allclose(found, clipped * expected[name], rtol=1e-5, atol=1e-12)
            assert not torch.equal(search.supernet.weights[name], start[name])


def test_a_method_cannot_move_a_frozen_weight_by_a_gradient_of_its_own() -> None:
    class Pushing(Darts):
        def weight_gradients(self, step: StepView) -> Mapping[str, Tensor | None]:
            return {name: torch.ones_like(weight) for name, weight in step.weights.items()}

    search = tiny_search(Pushing)
    search.freeze([FROZEN])
    before = search.supernet.weights[FROZEN].detach().clone()
    search._weight_step(first_step(search))
    assert torch.equal(search.supernet.weights[FROZEN], before)


def test_frozen_weights_survive_a_resume_and_all_may_be_frozen() -> None:
    search = assert_resumes(Freezing)
    assert search.frozen == set(search.supernet.weights)
    before = copy.deepcopy(constant(search.supernet.weights))
    search.run_epoch()
    assert_same(constant(search.supernet.weights), before)
    assert search.finite


def test_a_weight_of_no_such_name_is_named() -> None:
    with pytest.raises(ValueError, match="there is no weight 'stem'"):
        tiny_search(Darts).freeze(["stem"])


def test_a_new_network_learns_all_its_weights() -> None:
    class Rebuilding(Darts):
        def end_of_epoch(self, search: SearchView) -> Rebuild:
            search.freeze([FROZEN])
            return Rebuild(search.supernet.spec, epochs=None)

    search = tiny_search(Rebuilding)
    search.run_epoch()
    assert not search.frozen


@pytest.mark.parametrize("method", [Doubling, Freezing])
@pytest.mark.parametrize(
    "changes", [{"network__cuda_graphs": True}, {"network__gradient_checkpointing": True}], ids=lambda one: str(one)
)
def test_every_way_to_run_a_network_gives_the_same_steps(
    method: type[Variant], changes: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GraphedPasses, "recorder", Recorders)
    plain, other = (tiny_search(method, diagnostics__every=None, **more) for more in ({}, changes))
    for search in (plain, other):
        for _ in range(3):
            search.run_epoch()
    assert_same(dict(other.supernet.weights), dict(plain.supernet.weights))


class Restarting(Darts):
    """Searches for one epoch, then goes on at a tenth of the rate for two."""

    def first_stage_epochs(self) -> int:
        return 1

    def end_of_epoch(self, search: SearchView) -> Continue | Restart:
        return Restart(lr_scale=0.1, epochs=2) if search.epoch == 1 else Continue()


def test_a_restart_keeps_the_network_and_begins_its_optimiser_anew() -> None:
    search, plain = tiny_search(Restarting), tiny_search(Darts)
    search.freeze([FROZEN])
    network, alpha = search.supernet, search.alpha_optimizer
    search.run_epoch()
    assert (search.supernet, search.alpha_optimizer) == (network, alpha)
    assert search.frozen == {FROZEN}
    assert not search.weight_optimizer.state
    rates = []
    for _ in range(2):
        search.run_epoch()
        rates.append(search.weight_optimizer.settings["lr"])
    steps = plain.data.steps_per_epoch
    shares = [(epoch + (steps - 1) / steps) / 2 for epoch in range(2)]
    assert rates == pytest.approx([0.1 * (0.001 + 0.024 * (1 + math.cos(math.pi * share)) / 2) for share in shares])


def test_a_restart_survives_a_resume() -> None:
    assert_resumes(Restarting)


def test_a_rebuild_after_a_restart_learns_at_the_whole_rate() -> None:
    class Both(Restarting):
        def end_of_epoch(self, search: SearchView) -> Rebuild | Restart:
            return Restart(0.1, None) if search.epoch == 1 else Rebuild(search.supernet.spec, epochs=1)

    search = tiny_search(Both, weights__lr_min=0.025)
    rates = [search.run_epoch()["learning_rate"] for _ in range(3)]
    assert rates == pytest.approx([0.025, 0.0025, 0.025])
