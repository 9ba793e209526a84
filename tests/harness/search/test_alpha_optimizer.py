"""Alpha's optimiser, by the protocol or by the method."""

import pytest
import torch

from harness.search.loop import Search
from harness.search.optimizers import Adam
from harness.settings.protocol import AlphaSettings
from harness.testing import tiny_search
from harness.testing.searches import first_step
from tests.harness.search.test_loop import assert_same
from tests.variants.searches import assert_resumes
from variants.darts import Darts


class Descending(Darts):
    """Asks for SGD itself."""

    def alpha_settings(self, settings: AlphaSettings) -> AlphaSettings:
        return settings.model_copy(update={"optimizer": "sgd", "lr": 0.3, "weight_decay": 0.0})


def moved(search: Search) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Alpha before and after two steps on one batch, and the gradient of the second."""
    step = first_step(search)
    search._alpha_step(step)
    before = search.architecture["alpha"].detach().clone()
    gradient = search.variant.alpha_gradient(step)["alpha"]
    search._alpha_step(step)
    return before, search.architecture["alpha"].detach(), gradient


def test_sgd_goes_down_the_gradient_and_remembers_nothing() -> None:
    before, after, gradient = moved(tiny_search(Darts, precision="float64", alpha__optimizer="sgd", alpha__lr=0.2))
    assert torch.allclose(after, before - 0.2 * (gradient + 0.001 * before), rtol=0, atol=1e-14)


def test_a_method_may_choose_it() -> None:
    before, after, gradient = moved(tiny_search(Descending, precision="float64"))
    assert torch.allclose(after, before - 0.3 * gradient, rtol=0, atol=1e-14)


def test_the_default_is_adam() -> None:
    one, other = tiny_search(Darts), tiny_search(Darts, alpha__optimizer="adam")
    for search in (one, other):
        search.run_epoch()
    assert isinstance(one.alpha_optimizer, Adam)
    assert_same(one.architecture, other.architecture)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_resumed_search_is_the_same_search(optimizer: str) -> None:
    assert_resumes(Darts, {"alpha__optimizer": optimizer})
