import pytest
import torch
from torch.distributions import Dirichlet

from harness.search.variant import Phase
from harness.testing import first_step
from tests.variants.searches import assert_resumes, moment, start
from variants.drnas import Drnas, sample_dirichlet

DRAWS = 100_000


def concentration() -> torch.Tensor:
    return torch.tensor([0.3, 1.0, 2.5, 0.8, 4.0], dtype=torch.float64)


def test_concentration_is_one_where_alpha_is_zero_and_always_positive() -> None:
    tested = start(Drnas).variant
    alpha = torch.tensor([[0.0, 2.0, -1.0, -50.0, 0.5]]).expand(6, 5)
    expected = torch.tensor([1.0, 3.0, torch.tensor(-1.0).exp(), 1e-6, 1.5])
    assert torch.allclose(tested.concentration({"alpha": alpha})[0], expected)


def test_the_mean_of_the_draws_is_that_of_the_distribution_and_of_the_derivation() -> None:
    b = concentration()
    drawn = sample_dirichlet(b.expand(DRAWS, 5), seed=1)
    assert torch.allclose(drawn.sum(dim=1), torch.ones(DRAWS, dtype=torch.float64))
    deviation = drawn.std(dim=0) / DRAWS**0.5
    assert ((drawn.mean(dim=0) - b / b.sum()).abs() < 4 * deviation).all()

    tested = start(Drnas, protocol={"precision": "float64"})
    alpha = torch.tensor([-1.0, 0.0, 1.5, -0.2, 3.0], dtype=torch.float64).expand(6, 5)
    b = tested.variant.concentration({"alpha": alpha})
    found = tested.variant.op_weights({"alpha": alpha}, moment(tested, Phase.DERIVE))
    assert torch.allclose(found, b / b.sum(dim=1, keepdim=True))


def test_pathwise_gradient_agrees_with_the_score_function_and_the_closed_form() -> None:
    b = concentration()
    value = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0], dtype=torch.float64)

    leaf = b.expand(DRAWS, 5).clone().requires_grad_()
    drawn = sample_dirichlet(leaf, seed=2)
    pathwise = torch.autograd.grad((drawn @ value).sum(), leaf)[0]
    drawn = drawn.detach()
    # d log p / d b = log theta - psi(b) + psi(sum b), with a baseline that lowers the variance.
    score = drawn.log() - torch.digamma(b) + torch.digamma(b.sum())
    score_function = ((drawn @ value) - (b @ value) / b.sum()).unsqueeze(1) * score
    exact = value / b.sum() - (b @ value) / b.sum() ** 2

    for estimate in (pathwise, score_function):
        deviation = estimate.std(dim=0) / DRAWS**0.5
        assert ((estimate.mean(dim=0) - exact).abs() < 4 * deviation).all()
    assert (pathwise.std(dim=0) < score_function.std(dim=0)).all()


def test_draws_are_reproducible_and_leave_the_global_stream_alone() -> None:
    tested = start(Drnas)
    torch.manual_seed(0)
    before = torch.random.get_rng_state()

    def draw(phase: Phase, epoch: int = 0) -> torch.Tensor:
        return tested.variant.op_weights(tested.architecture, moment(tested, phase, epoch))

    first = draw(Phase.WEIGHTS)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(draw(Phase.WEIGHTS), first)
    assert not torch.equal(draw(Phase.WEIGHTS, epoch=1), first)
    assert not torch.equal(draw(Phase.ALPHA), first)
    now = moment(tested, Phase.WEIGHTS)
    one, other = (tested.variant.op_weights(tested.architecture, now) for _ in range(2))
    assert torch.equal(one, first)
    assert not torch.equal(one, other)
    assert first.shape == (6, 5)


def test_the_divergence_in_closed_form() -> None:
    tested = start(Drnas, protocol={"precision": "float64"}, anchor="kl", kl_scale=0.5)
    alpha = torch.randn(6, 5, dtype=torch.float64)
    b = tested.variant.concentration({"alpha": alpha})
    total = b.sum(dim=1)
    closed = torch.lgamma(total) - torch.lgamma(b).sum(dim=1) - torch.lgamma(torch.tensor(5.0, dtype=torch.float64))
    closed = closed + ((b - 1) * (torch.digamma(b) - torch.digamma(total).unsqueeze(1))).sum(dim=1)
    found = tested.variant.alpha_penalty({"alpha": alpha}, moment(tested, Phase.ALPHA))
    assert torch.isclose(found, 0.5 * closed.sum())
    # And by sampling, which fixes the direction of the divergence.
    p, q = Dirichlet(b[0]), Dirichlet(torch.ones(5, dtype=torch.float64))
    drawn = sample_dirichlet(b[0].expand(DRAWS, 5), seed=3)
    assert float((p.log_prob(drawn) - q.log_prob(drawn)).mean()) == pytest.approx(float(closed[0]), abs=0.05)
    zero = tested.variant.alpha_penalty({"alpha": torch.zeros(6, 5)}, moment(tested, Phase.ALPHA))
    assert float(zero) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("anchor", "decay"), [("weight-decay", 0.001), ("kl", 0.0)])
def test_one_anchor_at_a_time(anchor: str, decay: float) -> None:
    tested = start(Drnas, anchor=anchor)
    assert tested.alpha_optimizer.settings["weight_decay"] == decay
    penalty = tested.variant.alpha_penalty(tested.architecture, moment(tested, Phase.ALPHA))
    assert (penalty is None) == (anchor == "weight-decay")


def test_gradients_stay_finite_at_extreme_concentrations() -> None:
    for anchor in ("weight-decay", "kl"):
        tested = start(Drnas, anchor=anchor)
        with torch.no_grad():
            tested.architecture["alpha"].copy_(torch.tensor([-30.0, -8.0, 0.0, 8.0, 100.0]).repeat(6, 1))
            tested.architecture["alpha"][0] = -30.0
        for _ in range(10):
            found = tested.variant.alpha_gradient(first_step(tested))["alpha"]
            assert found.isfinite().all()


def test_a_diverged_search_is_seen_as_one() -> None:
    tested = start(Drnas)
    with torch.no_grad():
        tested.architecture["alpha"][0, 0] = torch.nan
    tested.run_epoch()
    assert not tested.finite


@pytest.mark.parametrize("anchor", ["weight-decay", "kl"])
def test_it_resumes_bit_equal(anchor: str) -> None:
    tested = assert_resumes(Drnas, anchor=anchor)
    assert tested.passes == 2 * 3 * tested.data.steps_per_epoch
