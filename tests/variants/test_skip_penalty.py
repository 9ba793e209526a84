import math

import pytest
import torch

from harness.search.derivation import argmax_cell
from harness.search.variant import Phase
from harness.testing import tiny_search
from tests.variants.searches import assert_resumes
from variants.darts import Darts
from variants.skip_penalty import SkipPenalty

SKIP, CONV3 = 1, 3


def alpha_with(skip: float):
    alpha = torch.linspace(-1, 1, 30, dtype=torch.float64).view(6, 5)
    alpha[:, SKIP] = skip
    return alpha


def op_weights(search, alpha, phase=Phase.ALPHA):
    return search.variant.op_weights({"alpha": alpha}, search.moment(phase))


def odds(p):
    return p[:, SKIP] / (1 - p[:, SKIP])


@pytest.mark.parametrize("skip", [-3.0, -0.1, 0.0, 0.1, 3.0])
@pytest.mark.parametrize("gamma", [0.5, 0.1])
def test_the_odds_of_skip_fall_by_gamma_whatever_the_sign_of_its_logit(skip, gamma) -> None:
    search = tiny_search(SkipPenalty, {"gamma": gamma})
    alpha = alpha_with(skip)
    plain = torch.softmax(alpha, dim=-1)
    for phase in Phase:
        found = op_weights(search, alpha, phase)
        assert torch.allclose(odds(found), gamma * odds(plain))
        assert torch.allclose(found.sum(dim=-1), torch.ones(6, dtype=torch.float64))
        others = [0, 2, 3, 4]
        assert torch.allclose(found[:, others] / found[:, [0]], plain[:, others] / plain[:, [0]])


def test_half_the_logit_lowers_a_positive_skip_and_raises_a_negative_one() -> None:
    search = tiny_search(SkipPenalty, {"mode": "logit"})
    for skip, sign in ((1.0, -1), (-1.0, 1)):
        alpha = alpha_with(skip)
        change = op_weights(search, alpha)[:, SKIP] - torch.softmax(alpha, dim=-1)[:, SKIP]
        assert (sign * change > 0).all()
    alpha = alpha_with(1.0)
    halved = alpha.clone()
    halved[:, SKIP] *= 0.5
    assert torch.allclose(op_weights(search, alpha), torch.softmax(halved, dim=-1))


def test_cells_are_derived_from_the_penalised_op_weights() -> None:
    """Skip is ahead of conv3x3 by less than log 2: the raw argmax is skip, the penalised one is not."""
    search = tiny_search(SkipPenalty)
    with torch.no_grad():
        search.architecture["alpha"].zero_()
        search.architecture["alpha"][:, SKIP] = 0.5
        search.architecture["alpha"][:, CONV3] = 0.1
    raw = argmax_cell(search.architecture["alpha"].detach().numpy())
    answer, rules = search.derive()
    assert raw.counts["skip_connect"] == 6
    assert answer.counts["nor_conv_3x3"] == 6
    assert rules["argmax"] == answer
    with torch.no_grad():
        search.architecture["alpha"][:, SKIP] = 0.1 + math.log(2) + 0.01
    assert search.derive()[0] == raw


def test_the_handicap_is_released_linearly() -> None:
    search = tiny_search(SkipPenalty, {"release": True}, epochs=10)
    alpha = alpha_with(0.3)
    plain = odds(torch.softmax(alpha, dim=-1))
    for epoch, gamma in ((0, 0.5), (5, 0.75), (10, 1.0)):
        search.epoch = epoch
        assert torch.allclose(odds(op_weights(search, alpha)), gamma * plain)
    hinge = tiny_search(SkipPenalty, {"mode": "hinge", "release": True}, epochs=10)
    whole = float(hinge.variant.alpha_penalty({"alpha": alpha}, hinge.moment(Phase.ALPHA)))
    hinge.epoch = 5
    assert float(hinge.variant.alpha_penalty({"alpha": alpha}, hinge.moment(Phase.ALPHA))) == pytest.approx(whole / 2)


def test_the_hinge_is_the_excess_of_skip_over_its_share() -> None:
    search = tiny_search(SkipPenalty, {"mode": "hinge", "strength": 2.0})
    alpha = alpha_with(0.0)
    alpha[:3, SKIP] = 2.0
    alpha[3:, SKIP] = -2.0
    alpha.requires_grad_()
    p = torch.softmax(alpha.detach(), dim=-1)
    penalty = search.variant.alpha_penalty({"alpha": alpha}, search.moment(Phase.ALPHA))
    assert float(penalty.detach()) == pytest.approx(2 * sum(max(0, float(one) - 0.2) for one in p[:, SKIP]))
    (gradient,) = torch.autograd.grad(penalty, alpha)
    assert (gradient[:3, SKIP] > 0).all()
    assert (gradient[3:] == 0).all()
    assert torch.equal(op_weights(search, alpha.detach()), p)
    odds_mode = tiny_search(SkipPenalty)
    assert odds_mode.variant.alpha_penalty({"alpha": alpha}, odds_mode.moment(Phase.ALPHA)) is None


def test_without_a_handicap_it_is_darts() -> None:
    other = tiny_search(Darts)
    other.run_epoch()
    for settings in ({"gamma": 1.0}, {"mode": "logit", "gamma": 1.0}, {"mode": "hinge", "strength": 0.0}):
        one = tiny_search(SkipPenalty, settings)
        one.run_epoch()
        assert torch.allclose(one.architecture["alpha"], other.architecture["alpha"], atol=1e-6)


@pytest.mark.parametrize("mode", ["odds", "hinge", "logit"])
def test_a_resumed_search_is_the_same_search(mode) -> None:
    assert_resumes(SkipPenalty, mode=mode, release=True)
