"""What a method may change of the step of the weights."""

import copy
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from harness.base.named_tensors import constant
from harness.networks.cuda_graphs import GraphedPasses
from harness.search.loop import Search
from harness.search.variant import StepView, Variant
from harness.testing import tiny_search
from harness.testing.searches import first_step
from tests.harness.networks.recorded_graphs import Recorders
from tests.harness.search.test_loop import assert_same
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


@pytest.mark.parametrize(
    "changes", [{"network__cuda_graphs": True}, {"network__gradient_checkpointing": True}], ids=lambda one: str(one)
)
def test_every_way_to_run_a_network_gives_the_same_steps(
    changes: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GraphedPasses, "recorder", Recorders)
    plain, other = (tiny_search(Doubling, diagnostics__every=None, **more) for more in ({}, changes))
    for search in (plain, other):
        search.run_epoch()
        search.run_epoch()
    assert_same(dict(other.supernet.weights), dict(plain.supernet.weights))
