import copy

import pytest
import torch

from harness.board.runner import run_search
from harness.records.record import read_table, run_folder
from harness.search.derivation import argmax_cell
from harness.search.loop import Search
from harness.search.moved_weights import Tangent, Twin
from harness.search.relaxations import sparsemax
from harness.search.variant import Phase
from harness.settings.protocol import load_board
from harness.space.cell import CONV1, CONV3, NONE, SKIP, Cell, Shape
from harness.testing import first_step, tiny_search
from tests.conftest import tiny_params, write_params
from tests.harness.search.test_loop import assert_same
from tests.variants.searches import assert_resumes
from variants.darts import Darts
from variants.zo_darts import ZoDarts, unit_direction
from variants.zo_darts_plus import ZoDartsPlus
from variants.zo_darts_pp import ZoDartsPlusPlus

METHODS = [ZoDarts, ZoDartsPlus, ZoDartsPlusPlus]
STRICT = {"network__drop_path": 0.3, "network__batch_statistics": False}


class Still(Darts):
    """The weights alone, at an alpha that stays."""

    name = "still"

    def alpha_gradient(self, step):
        return None


@pytest.mark.parametrize("changes", [{}, STRICT, {"weights__clip": 0.05}, {"weights__clip": None}])
def test_the_twin_is_the_search_that_would_have_been_at_the_moved_alpha(changes) -> None:
    tested = tiny_search(ZoDarts, {"steps": 2}, **changes)
    tested.run_epoch()  # two steps, so that the momentum is warm and the next epoch begins with a new twin
    state = copy.deepcopy(tested.state())
    tested.run_epoch()
    twin = tested.variant._beside
    assert twin.steps == tested.data.steps_per_epoch == 2

    other = tiny_search(Still, **changes)
    state["architecture"] = twin.architecture
    other.load_state({**state, "variant": {}})
    other.run_epoch()
    assert_same(dict(other.supernet.named_parameters()), twin.weights)
    assert_same(
        [entry["momentum_buffer"] for entry in other.weight_optimizer.state.values()],
        [entry["momentum_buffer"] for entry in twin.optimizer.state.values()],
    )
    assert not torch.equal(twin.weights["stem.0.weight"], tested.supernet.state_dict()["stem.0.weight"])


def test_a_twin_at_the_same_alpha_has_the_same_weights(monkeypatch) -> None:
    monkeypatch.setattr(
        "variants.zo_darts.unit_direction", lambda step: {"alpha": torch.zeros_like(step.architecture["alpha"])}
    )
    tested = tiny_search(ZoDarts, **STRICT)
    tested.run_epoch()
    tested.run_epoch()
    assert_same(dict(tested.supernet.named_parameters()), tested.variant._beside.weights)


@pytest.mark.parametrize("method", METHODS)
def test_the_estimate_is_the_slope_of_the_validation_loss_along_the_direction(method) -> None:
    """h is the derivative of L_valid(w_T(A + mu z), A + mu z) by mu, here against its difference quotient."""
    slopes = []

    class Watched(method):
        name = "watched"

        def alpha_gradient(self, step):
            twin = self._beside
            gradient = super().alpha_gradient(step)
            if gradient is not None:
                here, there = (
                    float(step.valid_loss(weights, architecture).detach())
                    for weights, architecture in ((step.weights, step.architecture), (twin.weights, twin.architecture))
                )
                h = float((gradient["alpha"] * twin.direction["alpha"]).sum())
                slopes.append((h, (there - here) / float(twin.mu)))
            return gradient

    settings = {"steps": 2, "mu_scale": 1e-9, "mu_floor": 1e-6}
    if method is ZoDartsPlusPlus:
        settings |= {"budget": 0.0, "penalty_start": 0.0}
    tested = tiny_search(Watched, settings, precision="float64", weights__lr=0.1)
    for _ in range(3):
        tested.run_epoch()
    assert len(slopes) == 2
    for estimate, quotient in slopes:
        assert estimate == pytest.approx(quotient, rel=2e-3, abs=1e-5)
        assert abs(estimate) > 1e-4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "changes",
    [
        STRICT,
        {"weights__clip": 0.05},
        {"weights__clip": None, "weights__nesterov": False},
        {"weights__momentum": 0.0, "weights__nesterov": False, "network__affine": True},
        {"network__gradient_checkpointing": True},
    ],
)
def test_the_tangent_is_what_the_twins_difference_tends_to(method, changes) -> None:
    pairs = []

    class Watched(method):
        name = "watched"
        _other: Twin | None = None

        def before_weight_step(self, step):
            super().before_weight_step(step)
            if self._beside.steps == 1:
                self._other = Twin(step, self._beside.direction, torch.tensor(1e-7, dtype=torch.float64))
            self._other.follow(step)

        def alpha_gradient(self, step):
            tangent = self._beside
            gradient = super().alpha_gradient(step)
            if gradient is not None:
                motion = {
                    name: (self._other.weights[name] - weight).detach() / 1e-7 for name, weight in step.weights.items()
                }
                pairs.append((tangent.motion.weights, motion, gradient, self._other.gradient(step)))
            return gradient

    settings = {"steps": 3, "estimate": "tangent"}
    tested = tiny_search(Watched, settings, precision="float64", batch_size=10, **changes)
    for _ in range(2):
        tested.run_epoch()
    assert len(pairs) >= 2
    for exact, difference, gradient, other in pairs:
        largest = max(float(part.abs().max()) for part in exact.values())
        assert largest > 1e-4
        for name, part in exact.items():
            assert torch.allclose(part, difference[name], rtol=1e-4, atol=1e-5 * largest), name
        assert torch.allclose(gradient["alpha"], other["alpha"], rtol=1e-4, atol=1e-7)


def test_the_tangent_costs_one_pass_more_a_step() -> None:
    tested = tiny_search(ZoDarts, {"estimate": "tangent"}, batch_size=2, order="weights-then-alpha")
    tested.run_epoch()
    assert isinstance(tested.variant._started(first_step(tested), {}), Tangent)
    assert tested.passes / tested.data.steps_per_epoch == pytest.approx(ZoDarts.passes_per_step + 1)


def test_alpha_moves_every_t_steps_by_the_methods_own_rate() -> None:
    tested = tiny_search(ZoDarts, {"steps": 3, "alpha_lr": 0.07})
    seen = []
    for _ in range(3):
        before = tested.architecture["alpha"].detach().clone()
        tested.run_epoch()
        seen.append(float((tested.architecture["alpha"].detach() - before).abs().max()))
    assert seen[0] == 0  # steps 0, 1: the first estimate comes before step 3, in the second epoch
    assert seen[1] == pytest.approx(0.07, rel=1e-3)
    assert seen[2] == 0
    assert tested.passes == 2 * 6 + 1


def test_passes_are_as_declared_with_the_papers_settings() -> None:
    tested = tiny_search(ZoDarts, batch_size=2, order="weights-then-alpha")
    tested.run_epoch()
    assert tested.passes / tested.data.steps_per_epoch == pytest.approx(ZoDarts.passes_per_step)


def test_the_direction_has_length_one_and_the_twin_its_distance() -> None:
    tested = tiny_search(ZoDartsPlusPlus)
    tested.run_epoch()
    twin = tested.variant._beside
    assert float(twin.direction["alpha"].norm()) == pytest.approx(1)
    assert float(twin.mu) == 0.01  # the floor, at an alpha of norm 0.01
    moved = twin.architecture["alpha"] - tested.architecture["alpha"].detach()
    assert torch.allclose(moved, 0.01 * twin.direction["alpha"], atol=1e-7)
    with torch.no_grad():
        tested.architecture["alpha"].fill_(2.0)
    tested.variant._beside = None
    tested.run_epoch()
    assert float(tested.variant._beside.mu) == pytest.approx(0.005 * 2 * 90**0.5)


def test_directions_are_uniform_on_the_sphere() -> None:
    from harness.search.steps import Step

    tested = tiny_search(ZoDarts)
    batch = next(iter(tested.data.epoch("train", 0)))
    step = Step(tested, 0, batch, batch)
    drawn = torch.stack([unit_direction(step)["alpha"].flatten() for _ in range(3000)]).double()
    assert torch.allclose(drawn.mean(dim=0), torch.zeros(30, dtype=torch.float64), atol=0.015)
    second = 30 * drawn.T @ drawn / len(drawn)
    assert torch.allclose(second, torch.eye(30, dtype=torch.float64), atol=0.15)


@pytest.mark.parametrize(
    ("method", "order"), [(ZoDarts, "weights-then-alpha"), (ZoDartsPlusPlus, "alpha-then-weights")]
)
def test_a_resumed_search_is_the_same_search(method, order) -> None:
    assert_resumes(method, {"order": order, "network__drop_path": 0.2}, steps=3)


def test_a_resumed_search_by_tangents_is_the_same_search() -> None:
    assert_resumes(ZoDarts, {"network__drop_path": 0.2}, steps=3, estimate="tangent")


def test_temperature_falls_every_tenth_of_the_search() -> None:
    tested = tiny_search(ZoDartsPlus, epochs=50)

    def temperature(epoch: int) -> float:
        tested.epoch = epoch
        return tested.variant.temperature(tested.moment(Phase.WEIGHTS))

    assert [temperature(epoch) for epoch in (0, 4, 5, 9, 10, 49, 50)] == pytest.approx(
        [1.5, 1.5, 1.5 * 0.9, 1.5 * 0.9, 1.5 * 0.9**2, 1.5 * 0.9**9, 1.5 * 0.9**9]
    )


def test_op_weights_are_the_sparsemax_at_the_temperature() -> None:
    tested = tiny_search(ZoDartsPlus)
    alpha = torch.linspace(-2, 2, 30).view(6, 5)[:, torch.tensor([2, 0, 4, 1, 3])]
    found = tested.variant.op_weights({"alpha": 3 * alpha}, tested.moment(Phase.ALPHA))
    assert torch.allclose(found, sparsemax(2 * alpha))
    assert (found == 0).any()


@pytest.mark.parametrize("resource", ["parameters", "flops"])
def test_expected_size_is_that_of_the_cells(resource) -> None:
    tested = tiny_search(ZoDartsPlusPlus, {"resource": resource})
    shape = Shape(channels=4, cells_per_stage=1, image_channels=1, image_size=8)

    def size(cell: Cell) -> int:
        return getattr(cell, resource)(shape) - getattr(Cell((NONE,) * 6), resource)(shape)

    largest = size(Cell((CONV3,) * 6))
    for cell in (Cell((CONV3,) * 6), Cell((CONV1, SKIP, CONV3, NONE, CONV1, CONV3)), Cell((SKIP,) * 6)):
        stages = tested.one_hot(cell).double().expand(3, 6, 5)
        assert float(tested.variant.expected_size(stages)) == pytest.approx(size(cell) / largest)


def test_expected_size_of_cells_that_differ() -> None:
    last = torch.zeros(3, 6, 5, dtype=torch.float64)
    last[:, :, 0] = 1
    last[2] = torch.tensor([0, 0, 0, 1, 0])
    parameters, flops = (
        tiny_search(ZoDartsPlusPlus, {"resource": resource}).variant.expected_size(last)
        for resource in ("parameters", "flops")
    )
    # 4, 8 and 16 channels: 9 C^2 + 2 C weights; the multiply-adds of all stages are the same.
    assert float(parameters) == pytest.approx((9 * 256 + 32) / (9 * (16 + 64 + 256) + 2 * (4 + 8 + 16)))
    assert float(flops) == pytest.approx(1 / 3)


def test_the_penalty_acts_from_its_start_on_what_exceeds_the_budget() -> None:
    tested = tiny_search(ZoDartsPlusPlus, {"budget": 0.1}, epochs=50)
    architecture = {"alpha": torch.zeros(3, 6, 5, requires_grad=True)}
    variant = tested.variant
    tested.epoch = 19
    assert variant.alpha_penalty(architecture, tested.moment(Phase.ALPHA)) is None
    tested.epoch = 20
    penalty = variant.alpha_penalty(architecture, tested.moment(Phase.ALPHA))
    uniform = float(variant.expected_size(torch.full((3, 6, 5), 0.2)))
    assert float(penalty.detach()) == pytest.approx(15 / (1.5 * 0.9**4) * (uniform - 0.1))
    (slope,) = torch.autograd.grad(penalty, architecture["alpha"])
    assert (slope[:, :, 3] > 0).all()  # against 3x3 convolutions
    assert (slope[:, :, [0, 1, 4]] < 0).all()
    small = tiny_search(ZoDartsPlusPlus, {"budget": 0.5, "penalty_start": 0.0})
    assert float(small.variant.alpha_penalty(architecture, small.moment(Phase.ALPHA)).detach()) == 0


def test_every_stage_has_its_cell_and_the_answer_is_that_of_the_mean() -> None:
    tested: Search = tiny_search(ZoDartsPlusPlus, network__cells_per_stage=2)
    with torch.no_grad():
        tested.architecture["alpha"].copy_(torch.randn(3, 6, 5, generator=torch.Generator().manual_seed(1)))
    answer, rules = tested.derive()
    stages = sparsemax(tested.architecture["alpha"].detach() / 1.5)
    op_weights = tested.variant.op_weights(tested.architecture, tested.moment(Phase.WEIGHTS))
    assert torch.allclose(op_weights[[0, 1, 2, 3, 4, 5]], stages[[0, 0, 1, 1, 2, 2]])
    for stage in range(3):
        assert rules[f"stage {stage + 1}"] == argmax_cell(stages[stage].numpy())
    assert answer == argmax_cell(stages.mean(dim=0).numpy())
    assert len({rules[f"stage {stage}"] for stage in (1, 2, 3)}) == 3


def test_a_run_records_the_cells_and_the_alpha_of_the_stages(project) -> None:
    write_params(project, tiny_params(variants={"zo-darts-pp": {"steps": 2}}))
    record = run_search(load_board(), "zo-darts-pp", 0)
    assert record.status == "done"
    assert {"variant", "argmax", "stage 1", "stage 2", "stage 3"} <= set(record.derived)
    assert record.cell == record.derived["variant"] == record.derived["argmax"]
    alpha = read_table(run_folder("zo-darts-pp", 0), "alpha")
    assert set(alpha["cells"]) == {"stage 1", "stage 2", "stage 3"}
