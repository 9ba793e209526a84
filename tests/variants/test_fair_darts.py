import pytest
import torch

from harness.search.variant import Phase
from harness.testing import first_step, tiny_search
from tests.variants.searches import moment, start
from variants.fair_darts import FairDarts


def spread_alpha() -> torch.Tensor:
    return torch.linspace(-2, 3, 30, dtype=torch.float64).view(6, 5)


@pytest.mark.parametrize(("rescale", "factor"), [(True, 0.4), (False, 1.0)])
@pytest.mark.parametrize("phase", list(Phase))
def test_op_weights_are_sigmoids_that_do_not_compete(rescale, factor, phase) -> None:
    tested = start(FairDarts, rescale=rescale)
    found = tested.variant.op_weights({"alpha": spread_alpha()}, moment(tested, phase))
    assert torch.allclose(found, factor / (1 + (-spread_alpha()).exp()))
    moved = spread_alpha()
    moved[2, 3] += 1
    change = tested.variant.op_weights({"alpha": moved}, moment(tested, phase)) - found
    assert change.nonzero().tolist() == [[2, 3]]


def test_at_the_start_they_sum_to_one_as_in_darts() -> None:
    tested = start(FairDarts)
    found = tested.variant.op_weights({"alpha": torch.zeros(6, 5)}, moment(tested, Phase.WEIGHTS))
    assert torch.allclose(found, torch.full((6, 5), 0.2))


@pytest.mark.parametrize("zero_one", ["square", "absolute"])
def test_descent_on_the_zero_one_loss_drives_each_sigmoid_away_from_a_half(zero_one) -> None:
    tested = start(FairDarts, zero_one=zero_one)
    alpha = spread_alpha().requires_grad_()
    loss = tested.variant.alpha_penalty({"alpha": alpha}, moment(tested, Phase.ALPHA))
    (found,) = torch.autograd.grad(loss, alpha)
    sigmoid = 1 / (1 + (-spread_alpha()).exp())
    by_sigmoid = 2 * (sigmoid - 0.5) if zero_one == "square" else torch.sign(spread_alpha())
    assert torch.allclose(found, -10 / 30 * by_sigmoid * sigmoid * (1 - sigmoid), atol=1e-12)
    assert torch.equal((-found).sign(), spread_alpha().sign())


def test_alpha_is_given_the_gradient_of_both_losses() -> None:
    """The images' part is that of the mixture, differentiated op weight by op weight."""
    tested, without = (
        tiny_search(FairDarts, {"zero_one_weight": weight}, precision="float64", alpha__init_scale=1.0)
        for weight in (10.0, 0.0)
    )
    found, images = (search.variant.alpha_gradient(first_step(search))["alpha"] for search in (tested, without))
    sigmoid = torch.sigmoid(tested.architecture["alpha"].detach())
    expected = -10 / 30 * 2 * (sigmoid - 0.5) * sigmoid * (1 - sigmoid)
    assert torch.allclose(found - images, expected, atol=1e-12)
    assert (images != 0).sum() == 24  # all but `none`, which no op weight can make heard


@pytest.mark.parametrize("rescale", [True, False])
def test_an_edge_below_the_threshold_is_none(rescale) -> None:
    alpha = torch.full((6, 5), -3.0)
    alpha[:, 3] = torch.tensor([1.7, 1.8, -1.0, 3.0, 0.0, 1.74])  # sigmoid 0.85 is a logit of 1.7346
    tested, without = (start(FairDarts, rescale=rescale, threshold=threshold) for threshold in (0.85, None))
    for search in (tested, without):
        with torch.no_grad():
            search.architecture["alpha"].copy_(alpha)
    answer, rules = tested.derive()
    assert answer.codes == (0, 3, 0, 3, 0, 3)
    assert without.derive()[0].codes == rules["argmax"].codes == (3,) * 6
