import pytest
import torch

from harness.search.variant import Phase
from harness.testing import first_step, tiny_search
from tests.variants.searches import moment, start
from variants.beta_darts import BetaDarts
from variants.darts import Darts


def spread_alpha() -> torch.Tensor:
    return torch.linspace(-2, 3, 30, dtype=torch.float64).view(6, 5)


@pytest.mark.parametrize(("epoch", "factor"), [(0, 0.0), (5, 25.0), (9, 45.0), (10, 50.0)])
def test_the_gradient_of_the_term_is_a_sixth_of_each_op_weight(epoch, factor) -> None:
    tested = start(BetaDarts, {"epochs": 10})
    alpha = spread_alpha().requires_grad_()
    penalty = tested.variant.alpha_penalty({"alpha": alpha}, moment(tested, Phase.ALPHA, epoch))
    (found,) = torch.autograd.grad(penalty, alpha)
    powers = spread_alpha().exp()
    op_weights = powers / powers.sum(dim=1, keepdim=True)
    assert torch.allclose(found, factor * op_weights / 6, atol=1e-12)
    assert float(penalty.detach()) == pytest.approx(factor * float(powers.sum(dim=1).log().mean()))


def test_lambda_rises_within_an_epoch_too() -> None:
    tested = start(BetaDarts, {"epochs": 10, "batch_size": 20})
    alpha = {"alpha": spread_alpha()}
    assert tested.data.steps_per_epoch == 2
    first, second, next_epoch = (
        float(tested.variant.alpha_penalty(alpha, moment(tested, Phase.ALPHA, epoch, step)))
        for epoch, step in ((4, 0), (4, 1), (5, 0))
    )
    assert second == pytest.approx((first + next_epoch) / 2)


def test_alpha_is_given_the_gradient_of_both_terms() -> None:
    tested, plain = (tiny_search(method, precision="float64", alpha__init_scale=1.0) for method in (BetaDarts, Darts))
    tested.epoch = plain.epoch = 2  # of 3
    found, of_darts = (search.variant.alpha_gradient(first_step(search))["alpha"] for search in (tested, plain))
    op_weights = torch.softmax(tested.architecture["alpha"].detach(), dim=-1)
    assert torch.allclose(found - of_darts, 50 * 2 / 3 * op_weights / 6, atol=1e-12)


def test_without_the_term_it_is_darts_and_with_it_all_logits_fall() -> None:
    searches = [tiny_search(BetaDarts, {"strength": 0.0}), tiny_search(Darts), tiny_search(BetaDarts)]
    for search in searches:
        for _ in range(3):
            search.run_epoch()
    without, plain, tested = (search.architecture["alpha"].detach() for search in searches)
    assert torch.equal(without, plain)
    assert float(tested.mean()) < float(plain.mean())
