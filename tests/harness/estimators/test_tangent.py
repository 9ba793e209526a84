import pytest
import torch

from harness.base.named_tensors import gradient
from harness.estimators.hypergradient import along_direction, moving_gradient
from harness.estimators.tangent import SgdTangent
from harness.theory.supernet import SmoothActivations
from tests.harness.estimators.test_hypergradient import TinySearch

STEPS = 6
DEFAULT = {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01, "clip": None}
LARGE, SMALL = 0.5, 0.01
"""A clip that leaves some gradients alone, and one that shortens all."""


@pytest.fixture
def tiny() -> TinySearch:
    return TinySearch()


def drawn_direction() -> dict[str, torch.Tensor]:
    z = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(11))
    return {"alpha": z / z.norm()}


def trained(tiny: TinySearch, alpha: torch.Tensor, settings: dict) -> dict[str, torch.Tensor]:
    """The weights that PyTorch's own optimiser and clipping make at an alpha."""
    weights = {name: weight.detach().clone().requires_grad_() for name, weight in tiny.weights.items()}
    own = {key: value for key, value in settings.items() if key != "clip"}
    optimizer = torch.optim.SGD(weights.values(), **own)
    for _ in range(STEPS):
        optimizer.zero_grad()
        tiny.train_loss(weights, {"alpha": alpha}).backward()
        if settings["clip"] is not None:
            torch.nn.utils.clip_grad_norm_(weights.values(), settings["clip"])
        optimizer.step()
    return {name: weight.detach() for name, weight in weights.items()}


def carried(tiny: TinySearch, z: dict[str, torch.Tensor], settings: dict) -> dict[str, torch.Tensor]:
    """The tangent of the same training."""
    motion = SgdTangent(tiny.weights)
    weights = {name: weight.detach().clone().requires_grad_() for name, weight in tiny.weights.items()}
    own = {key: value for key, value in settings.items() if key != "clip"}
    optimizer = torch.optim.SGD(weights.values(), **own)
    for _ in range(STEPS):
        slope, turning = moving_gradient(
            tiny.train_loss, weights, tiny.architecture, tangent=motion.weights, direction=z
        )
        motion.step(slope, turning, **settings)
        for name, weight in weights.items():
            weight.grad = slope[name].clone() if name in slope else None
        if settings["clip"] is not None:
            torch.nn.utils.clip_grad_norm_(weights.values(), settings["clip"])
        optimizer.step()
    return motion.weights


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"nesterov": False},
        {"momentum": 0.0, "nesterov": False},
        {"clip": SMALL},
        {"clip": LARGE},
        {"weight_decay": 0.0},
    ],
)
def test_the_tangent_is_the_derivative_of_sgds_weights(tiny: TinySearch, changes: dict) -> None:
    """On a smooth network, against central differences of whole trainings by PyTorch's own optimiser."""
    settings, z, step = {**DEFAULT, **changes}, drawn_direction(), 1e-6
    alpha = tiny.architecture["alpha"].detach()
    with SmoothActivations():
        found = carried(tiny, z, settings)
        there, here = (trained(tiny, alpha + sign * step * z["alpha"], settings) for sign in (1, -1))
    for name, part in found.items():
        assert torch.allclose(part, (there[name] - here[name]) / (2 * step), rtol=1e-5, atol=1e-7), name
    assert max(float(part.abs().max()) for part in found.values()) > 1e-3


def test_clips_act_on_all_and_on_some_steps(tiny: TinySearch) -> None:
    slope = gradient(tiny.train_loss(tiny.weights, tiny.architecture), tiny.weights)
    assert float(torch.nn.utils.get_total_norm(list(slope.values()))) > LARGE > SMALL


def test_the_gradient_moves_with_weights_and_alpha(tiny: TinySearch) -> None:
    z, step = drawn_direction(), 1e-7
    generator = torch.Generator().manual_seed(12)
    motion = {
        name: torch.randn(weight.shape, dtype=torch.float64, generator=generator)
        for name, weight in tiny.weights.items()
    }

    def slope_at(sign: float) -> dict[str, torch.Tensor]:
        weights = {
            name: (weight + sign * step * motion[name]).detach().requires_grad_()
            for name, weight in tiny.weights.items()
        }
        alpha = (tiny.architecture["alpha"] + sign * step * z["alpha"]).detach()
        return gradient(tiny.train_loss(weights, {"alpha": alpha}), weights)

    with SmoothActivations():
        slope, turning = moving_gradient(tiny.train_loss, tiny.weights, tiny.architecture, tangent=motion, direction=z)
        at, there, here = (slope_at(sign) for sign in (0, 1, -1))
    for name in slope:
        assert torch.allclose(slope[name], at[name], atol=1e-12)
        assert torch.allclose(turning[name], (there[name] - here[name]) / (2 * step), rtol=1e-5, atol=1e-5), name
    assert set(tiny.weights) - set(slope) == {name for name in tiny.weights if name.endswith("convolution.bias")}


def test_the_slope_along_a_direction_is_that_of_the_validation_loss(tiny: TinySearch) -> None:
    settings, z, step = DEFAULT, drawn_direction(), 1e-6
    alpha = tiny.architecture["alpha"].detach()
    with SmoothActivations():
        motion = carried(tiny, z, settings)
        end = {name: weight.requires_grad_() for name, weight in trained(tiny, alpha, settings).items()}
        found = along_direction(tiny.valid_loss, end, motion, tiny.architecture, direction=z)["alpha"]
        there, here = (
            float(tiny.valid_loss(trained(tiny, moved, settings), {"alpha": moved}))
            for moved in (alpha + step * z["alpha"], alpha - step * z["alpha"])
        )
    slope = float((found * z["alpha"]).sum())
    assert slope == pytest.approx((there - here) / (2 * step), rel=1e-5)
    assert torch.allclose(found, slope * z["alpha"])
