import pytest
import torch

from harness.search.variant import Phase
from harness.testing import tiny_search
from tests.variants.searches import moment, start
from variants.darts import Darts
from variants.sdarts_rs import SmoothDartsRandom, on_simplex


def spread_alpha() -> torch.Tensor:
    return torch.linspace(-2, 3, 30, dtype=torch.float64).view(6, 5)[:, torch.tensor([2, 0, 4, 1, 3])]


@pytest.mark.parametrize(("epoch", "step", "radius"), [(0, 0, 0.03), (5, 0, 0.165), (9, 1, 0.2865)])
def test_the_radius_grows_linearly(epoch, step, radius) -> None:
    tested = start(SmoothDartsRandom, {"epochs": 10})
    assert tested.variant.radius(moment(tested, Phase.WEIGHTS, epoch, step)) == pytest.approx(radius)


def test_changed_op_weights_are_cut_off_and_normalised() -> None:
    p = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.0], [0.2] * 5, [0.9, 0.1, 0.0, 0.0, 0.0]], dtype=torch.float64)
    change = torch.tensor(
        [[-0.2, 0.1, 0.0, 0.1, 0.1], [-0.3] * 5, [0.3, -0.1, -0.1, 0.0, 0.1]], dtype=torch.float64
    ).requires_grad_()
    found = on_simplex(p, change)
    expected = [[0, 0.3 / 1.2, 0.3 / 1.2, 0.5 / 1.2, 0.1 / 1.2], [0.2] * 5, [1 / 1.1, 0, 0, 0, 0.1 / 1.1]]
    assert torch.allclose(found, torch.tensor(expected, dtype=torch.float64))
    (slope,) = torch.autograd.grad(found[:, 0].sum(), change)
    assert slope.isfinite().all()
    assert (slope[1] == 0).all()  # unchanged where nothing is left


def test_noise_is_uniform_in_its_ball_and_for_weight_steps_alone() -> None:
    tested = start(SmoothDartsRandom, {"precision": "float64"}, radius=0.04, last_radius=0.04)
    alpha = 0.1 * spread_alpha()  # so that no op weight reaches 0
    p = torch.softmax(alpha, dim=-1)
    now = moment(tested, Phase.WEIGHTS)
    found = torch.stack([tested.variant.op_weights({"alpha": alpha}, now) for _ in range(3000)])
    assert torch.allclose(found.sum(dim=-1), torch.ones(1, dtype=torch.float64))
    # A row is (p + d) / (1 + sum d): up to one number for each row, d can be had back, and is centred and bounded.
    assert torch.allclose(found.mean(dim=0), p, atol=0.002)
    assert float((found / found.sum(dim=-1, keepdim=True) - p).abs().max()) < 0.08
    spread = (found - p).std(dim=0)
    exact = 0.04 / 3**0.5
    assert (spread > 0.7 * exact).all()
    assert (spread < 1.1 * exact).all()
    for phase in (Phase.ALPHA, Phase.DERIVE):
        assert torch.equal(tested.variant.op_weights({"alpha": alpha}, moment(tested, phase)), p)


def test_noise_has_the_radius_of_its_step() -> None:
    tested = start(SmoothDartsRandom, {"epochs": 10, "precision": "float64"}, radius=0.0, last_radius=0.1)
    p = torch.full((6, 5), 0.2, dtype=torch.float64)
    first, later = (
        tested.variant.op_weights({"alpha": torch.zeros_like(p)}, moment(tested, Phase.WEIGHTS, epoch))
        for epoch in (0, 8)
    )
    assert torch.allclose(first, p)
    # No noise beyond the radius of 0.08: numbers from 0.12 to 0.28, divided by their sum.
    ratio = later.amax(dim=-1) / later.amin(dim=-1)
    assert (ratio > 1.05).all()
    assert (ratio < 0.28 / 0.12).all()


def test_without_a_radius_it_is_darts() -> None:
    one, other = (
        tiny_search(tested, settings, precision="float64")
        for tested, settings in ((SmoothDartsRandom, {"radius": 0.0, "last_radius": 0.0}), (Darts, {}))
    )
    for search in (one, other):
        search.run_epoch()
    assert torch.allclose(one.architecture["alpha"], other.architecture["alpha"], rtol=0, atol=1e-9)
