"""Most tests here let the compiler stop before it builds C++ code, which takes minutes; the last ones do not."""

import copy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.base.errors import UserError
from harness.networks import compiled
from harness.networks.compiled import CompiledCells, check_compiler, plain
from harness.networks.layers import window_sum
from harness.networks.mixed_cell import CellControls, MixedCell, OpWeights
from harness.networks.supernet import every_operation, twice_differentiable
from harness.search import registry
from harness.search.loop import Search
from harness.search.variant import Moment, Rebuild, Variant
from harness.settings.protocol import NetworkSettings
from harness.settings.validation import validate
from harness.space.cell import EDGES, NONE, OPERATIONS
from harness.testing import TINY_PROTOCOL, first_step, tiny_search
from tests.conftest import slow_but_for
from variants.darts import Darts
from variants.gdas import Gdas
from variants.p_darts import PDarts
from variants.pc_darts import PcDarts
from variants.rsps import RandomSearchWithSharing


@pytest.fixture(autouse=True)
def fresh_forms(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin without any compiled form, and trace them only."""
    monkeypatch.setattr(compiled, "BACKEND", "eager")
    monkeypatch.setattr(compiled, "_forms", set())
    _forget()
    yield
    _forget()


def _forget() -> None:
    compiled._compiled_form.cache_clear()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()


def graphs() -> int:
    """Graphs that PyTorch has compiled, in its own count."""
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


def search(method: type[Variant] = Darts, seed: int = 0, **changes) -> Search:
    settings = changes.pop("settings", None)
    changes = {"network__compile": True, "epochs": 3, "diagnostics__every": None, **changes}
    return tiny_search(method, settings, seed, **changes)


def assert_close(one: Search, other: Search, tolerance: float) -> None:
    weights = zip(one.supernet.state_dict().items(), other.supernet.state_dict().values(), strict=True)
    for (name, value), theirs in weights:
        assert torch.allclose(value.double(), theirs.double(), rtol=0, atol=tolerance), name
    for name, value in one.architecture.items():
        assert torch.allclose(value, other.architecture[name], rtol=0, atol=tolerance), name


# One cell


def random_numbers(*shape: int) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


CELLS: dict[str, dict[str, Any]] = {
    "all operations": {},
    "convolutions": {"active": ((False, False, True, True, False),) * 6},
    "partial channels": {"partial_channels": 2, "edge_weights": random_numbers(6).requires_grad_()},
    "edge shift": {"edge_shift": random_numbers(6).requires_grad_()},
    "random partial channels": {"partial_channels": 2, "channel_order": random_numbers(6, 8)},
    "masked": {"skip_mask": random_numbers(6, 5, 4, 6, 6).round()},
    "scaled for each sample": {"operation_scale": random_numbers(6, 5, 5)},
    "tracked statistics": {"track": True},
    "learned scales": {"affine": True},
}


class Problem:
    """A cell with its inputs; a loss that needs all of its output."""

    def __init__(self, partial_channels: int = 1, affine: bool = False, track: bool = False, **controls: Any):
        torch.manual_seed(0)
        self.cell = MixedCell(4, partial_channels, affine, track).double().to(memory_format=torch.channels_last)
        self.features = torch.randn(5, 4, 6, 6, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
        self.op_weights = random_numbers(6, 5)
        absent = dict.fromkeys(("edge_weights", "operation_scale", "skip_mask", "channel_order"))
        self.controls = CellControls(**{"operations": OPERATIONS, "active": every_operation(), **absent, **controls})

    def gradients(self, run: Callable[..., Tensor], of_weights: bool) -> list[Tensor | None]:
        """Return output and gradients: of features and weights, or of features, op weights and edge weights."""
        self.cell.requires_grad_(of_weights)
        features = self.features.clone().requires_grad_()
        op_weights = self.op_weights.clone().requires_grad_(not of_weights)
        matrix = OpWeights(op_weights, self.cell.selected)
        output = run(self.cell, features, matrix, self.controls)
        inputs = [features, *(self.cell.parameters() if of_weights else [op_weights])]
        if not of_weights:
            inputs += [one for one in (self.controls.edge_weights, self.controls.edge_shift) if one is not None]
        loss = (output * torch.linspace(-1, 1, output.numel(), dtype=torch.float64).view_as(output)).sum()
        return [output, *torch.autograd.grad(loss, inputs, allow_unused=True)]


def assert_runs_equal(problem: Problem, of_weights: bool) -> None:
    found = problem.gradients(CompiledCells(torch.device("cpu")), of_weights)
    assert len(compiled._forms) == graphs() == 1
    for one, other in zip(found, problem.gradients(plain, of_weights), strict=True):
        # A weight without a part has no gradient, not a zero one, which weight decay would act on.
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("of_weights", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_a_cell_computes_the_same(name: str, of_weights: bool) -> None:
    assert_runs_equal(Problem(**CELLS[name]), of_weights)


@pytest.mark.parametrize("of_weights", [True, False])
def test_forward_and_backward_graphs_compute_the_same(of_weights: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")
    assert_runs_equal(Problem(), of_weights)


def test_compiling_leaves_running_statistics_alone() -> None:
    ours, other = Problem(track=True), Problem(track=True)
    ours.gradients(CompiledCells(torch.device("cpu")), True)
    other.gradients(plain, True)
    for (name, buffer), expected in zip(ours.cell.named_buffers(), other.cell.buffers(), strict=True):
        assert torch.allclose(buffer.double(), expected.double(), rtol=0, atol=1e-12), name


# Whole searches


CASES: dict[str, tuple[type[Variant], dict[str, Any]]] = {
    "darts": (Darts, {}),
    "partial channels": (PcDarts, {"settings": {"warm_up": 0.0}}),
    "masked": (PDarts, {"settings": {"skip_dropout": [0.3, 0.3, 0.3], "warm_up": 0.0}}),
}


def test_the_search_is_the_same_in_float64() -> None:
    ours, other = search(precision="float64"), search(precision="float64", network__compile=False)
    for _ in range(2):
        row, expected = ours.run_epoch(), other.run_epoch()
        assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=0, abs=1e-10)
        assert row["valid_loss"] == pytest.approx(expected["valid_loss"], rel=0, abs=1e-10)
    assert_close(ours, other, 1e-10)
    assert compiled._forms


REACH = {
    "gaea": {},  # alpha's optimiser is SGD
    "lambda-darts": {"radius": 1e-2},  # the weights' gradient
    "oles": {"window": 2, "threshold": 0.1},  # frozen weights
    "darts-pt": {"tuning": 0.5},  # a restart
    "is-darts": {},  # single operations' outputs
    "zero-cost-pt": {"proposals": 1},  # ReLU inputs
}
"""Methods that reach deeper than alpha's gradient, by what they reach for."""


@pytest.mark.parametrize("way", ["compile", "gradient_checkpointing"])
@pytest.mark.parametrize("name", slow_but_for(["oles", "zero-cost-pt"], REACH))
def test_what_methods_reach_for_is_the_same_in_compiled_and_in_recomputed_cells(name: str, way: str) -> None:
    changes = {"precision": "float64", "settings": REACH[name], "network__compile": False}
    plain, other = (search(registry.variant(name), **{**changes, f"network__{way}": on}) for on in (False, True))
    for one in (plain, other):
        while one.epoch < 3 and one.stop_reason is None:
            one.run_epoch()
    assert bool(compiled._forms) == (way == "compile" and name != "zero-cost-pt")  # which makes no gradient
    assert_close(other, plain, 1e-9)
    assert (other.frozen, other.stop_reason) == (plain.frozen, plain.stop_reason)
    assert other.derive() == plain.derive()


@pytest.mark.parametrize("way", ["compile", "gradient_checkpointing"])
@pytest.mark.parametrize("operations", [OPERATIONS[1:], OPERATIONS[:3], ("skip_connect", "avg_pool_3x3")], ids=len)
def test_a_smaller_space_is_the_same_in_compiled_and_in_recomputed_cells(operations: tuple[str, ...], way: str) -> None:
    changes = {"precision": "float64", "operations": operations, "network__compile": False}
    plain, other = (search(**{**changes, f"network__{way}": on}) for on in (False, True))
    for one in (plain, other):
        one.run_epoch()
    assert_close(other, plain, 1e-10)


@pytest.mark.slow
def test_checkpoints_are_interchangeable() -> None:
    straight = search(precision="float64")
    straight.run_epoch()
    state = copy.deepcopy(straight.state())
    straight.run_epoch()
    for continues in (False, True):
        resumed = search(precision="float64", network__compile=continues)
        resumed.load_state(copy.deepcopy(state))
        assert resumed.supernet.compiled is (resumed._compiled if continues else None)
        resumed.run_epoch()
        assert_close(resumed, straight, 1e-10)


class Growing(Darts):
    """Has its supernet rebuilt with a cell more a stage after the first epoch."""

    name = "growing"

    def end_of_epoch(self, search: Search) -> Rebuild:
        from dataclasses import replace

        spec = search.supernet.spec
        deeper = replace(spec, shape=replace(spec.shape, cells_per_stage=spec.shape.cells_per_stage + 1))
        return Rebuild(deeper, epochs=None)


@pytest.mark.slow
def test_a_form_serves_all_cells_epochs_seeds_and_rebuilds() -> None:
    first = search(Growing, network__cells_per_stage=2)
    first.run_epoch()
    # Three shapes, with the gradient of the weights or of alpha; the first cell's alpha step has constant features.
    assert len(compiled._forms) == graphs() == 7
    assert first._compiled is not None
    assert first._compiled.seconds > 0
    spent = first._compiled.seconds
    first.run_epoch()
    assert len(first.supernet.cells) == 12
    second = search(seed=1, network__cells_per_stage=3)
    second.run_epoch()
    assert len(compiled._forms) == graphs() == 7
    assert first._compiled.seconds == spent
    assert second._compiled is not None
    assert second._compiled.seconds == 0


def test_operations_that_change_from_edge_to_edge_are_not_compiled() -> None:
    search(RandomSearchWithSharing, settings={"candidates": 2, "candidate_images": 10}).run_epoch()
    assert not compiled._forms
    assert graphs() == 0


def test_masked_cells_are_not_compiled_in_bfloat16() -> None:
    problem = Problem(**CELLS["masked"])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = problem.gradients(CompiledCells(torch.device("cpu")), of_weights=True)
        wanted = problem.gradients(plain, of_weights=True)
    assert graphs() == 0
    for one, other in zip(found, wanted, strict=True):
        assert one is other is None or torch.equal(one, other)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_cell_that_passes_nothing_on_is_a_constant(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "BACKEND", backend)
    shape = (2, 4, 6, 6)
    cell, features = MixedCell(4, 1, affine=False, track=False), torch.ones(shape, requires_grad=True)
    nothing = tuple(tuple(operation == NONE for operation in OPERATIONS) for _ in EDGES)
    controls = CellControls(OPERATIONS, nothing, None, None, None, None)
    weights = OpWeights(torch.eye(5)[torch.zeros(6, dtype=torch.long)], 4)
    found = CompiledCells(torch.device("cpu"))(cell, features, weights, controls)
    assert (found == plain(cell, features, weights, controls)).all()
    assert (found == torch.zeros(shape)).all()
    assert len(compiled._forms) == 1


class DrawsNone(Gdas):
    """Draws `none` on every edge, as GDAS does once in 15,625 passes at first."""

    name = "draws-none"

    def _noise(self, moment: Moment) -> np.ndarray:
        noise = np.zeros((len(EDGES), len(self.operations)))
        noise[:, self.operations.index(NONE)] = 100.0
        return noise


def test_a_search_goes_on_over_cells_that_pass_nothing_on() -> None:
    ours, other = (search(DrawsNone, precision="float64", network__compile=way) for way in (True, False))
    for tested in (ours, other):
        tested.run_epoch()
    assert compiled._forms
    assert_close(ours, other, 1e-10)


def test_beyond_the_limit_forms_run_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "LIMIT", 2)
    ours, other = search(precision="float64"), search(precision="float64", network__compile=False)
    ours.run_epoch()
    other.run_epoch()
    assert len(compiled._forms) == graphs() == 2
    assert_close(ours, other, 1e-10)


def test_diagnostics_and_readings_compile_nothing() -> None:
    tested = search(diagnostics__every=1, diagnostics__hessian_every=1, diagnostics__one_shot_every=1)
    tested.run_epoch()
    assert len(compiled._forms) == graphs() == 6


def test_a_pass_can_be_differentiated_twice_where_it_says_so() -> None:
    tested = search()
    step = first_step(tested)
    alpha = tested.architecture
    with twice_differentiable(tested.supernet):
        loss = step.valid_loss(step.weights, alpha)
    (slope,) = torch.autograd.grad(loss, alpha["alpha"], create_graph=True)
    (second,) = torch.autograd.grad(slope.square().sum(), alpha["alpha"])
    assert second.abs().max() > 0
    assert tested.supernet.compiled is tested._compiled


def test_compiling_counts_in_no_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    def pausing(self: CompiledCells, *arguments: object) -> None:
        self.seconds += 1000.0

    monkeypatch.setattr(CompiledCells, "_compile", pausing)
    tested = search()
    row = tested.run_epoch()
    assert row["seconds"] < 0  # nothing took the 6,000 seconds that the clock was told of
    assert tested.run_epoch()["seconds"] > 0


def test_a_missing_compiler_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match=r"'no-such-compiler' is missing on this machine: install it.*compile: false"):
        search()
    search(network__compile=False)


def test_a_failing_compiler_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (None, str(broken)))  # what it read of CXX at its import
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(compiled, "BACKEND", "inductor")
    with pytest.raises(UserError, match=r"^protocol network.compile: compiling a search cell failed") as caught:
        search().run_epoch()
    assert "\n" not in str(caught.value)


def test_cuda_needs_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="the package triton is missing"):
        check_compiler(torch.device("cuda"))


def test_compiling_and_checkpointing_exclude_each_other() -> None:
    network = {**TINY_PROTOCOL["network"], "compile": True, "gradient_checkpointing": True}
    with pytest.raises(UserError, match="exclude each other"):
        validate(NetworkSettings, network, where="params.yaml")


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 3)])
def test_window_sums_and_their_gradient(size: tuple[int, int]) -> None:
    features = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    expected = torch.nn.functional.avg_pool2d(features, 3, 1, 1, divisor_override=1)
    assert torch.allclose(window_sum(features), expected, rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(window_sum, features)


# With C++ code


needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_compiled_code_gives_the_same_record(
    name: str, precision: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr(compiled, "BACKEND", "inductor")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "compiled"))
    method, changes = CASES[name]
    changes = {"precision": precision, **changes}
    ours, other = search(method, **changes), search(method, network__compile=False, **changes)
    tolerance = 1e-10 if precision == "float64" else 1e-3
    for _ in range(2):
        row, expected = ours.run_epoch(), other.run_epoch()
        assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=0, abs=tolerance)
        assert row["valid_loss"] == pytest.approx(expected["valid_loss"], rel=0, abs=tolerance)
        assert row["cell"] == expected["cell"]
    assert_close(ours, other, tolerance)
