"""Most tests here let the compiler stop before it builds C++ code, which takes minutes; the last ones do not."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from harness import compiled
from harness.compiled import CompiledCells, check_compiler
from harness.errors import UserError
from harness.layers import window_sum
from harness.protocol import NetworkSettings, validate
from harness.search import Search
from harness.supernet import twice_differentiable
from harness.variant import Rebuild, Variant
from tests.conftest import TINY_PROTOCOL
from tests.variants.searches import first_step, tiny_search
from variants.darts import Darts
from variants.darts_2nd import DartsSecondOrder
from variants.p_darts import PDarts
from variants.pc_darts import PcDarts
from variants.rsps import RandomSearchWithSharing


@pytest.fixture(autouse=True)
def fresh_forms(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin without any compiled form, and trace them only."""
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")
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


CASES = {
    "darts": (Darts, {}),
    "second order": (DartsSecondOrder, {}),
    "partial channels with edge weights": (PcDarts, {"settings": {"warm_up": 0.0}}),
    "random partial channels": (PcDarts, {"settings": {"warm_up": 0.0, "random_channels": True}}),
    "masked": (PDarts, {"settings": {"skip_dropout": [0.3, 0.3, 0.3], "warm_up": 0.0}}),
    "drop-path": (Darts, {"network__drop_path": 0.3}),
    "tracked statistics": (Darts, {"network__batch_statistics": False}),
    "learned scales": (Darts, {"network__affine": True}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_search_is_the_same_in_float64(name: str) -> None:
    method, changes = CASES[name]
    changes = {"precision": "float64", **changes}
    ours, plain = search(method, **changes), search(method, network__compile=False, **changes)
    for _ in range(2):
        row, expected = ours.run_epoch(), plain.run_epoch()
        assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=0, abs=1e-10)
        assert row["valid_loss"] == pytest.approx(expected["valid_loss"], rel=0, abs=1e-10)
    assert_close(ours, plain, 1e-10)
    assert compiled._forms


def test_checkpoints_are_interchangeable() -> None:
    straight = search(precision="float64")
    straight.run_epoch()
    state = straight.state()
    straight.run_epoch()
    for continues in (False, True):
        resumed = search(precision="float64", network__compile=continues)
        resumed.load_state(state)
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


def test_beyond_the_limit_forms_run_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "LIMIT", 2)
    ours, plain = search(precision="float64"), search(precision="float64", network__compile=False)
    ours.run_epoch()
    plain.run_epoch()
    assert len(compiled._forms) == graphs() == 2
    assert_close(ours, plain, 1e-10)


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


def test_compiling_leaves_running_statistics_alone() -> None:
    """A form is tried on copies: every batch counts once in the running statistics."""
    tested = search(network__batch_statistics=False)
    tested.run_epoch()
    counts = {name: int(value) for name, value in tested.supernet.named_buffers() if "num_batches" in name}
    assert set(counts.values()) == {tested.data.steps_per_epoch} or set(counts.values()) == {
        2 * tested.data.steps_per_epoch
    }


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
@pytest.mark.parametrize("name", ["darts", "partial channels with edge weights", "masked"])
def test_compiled_code_gives_the_same_record(
    name: str, precision: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr(compiled, "BACKEND", "inductor")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "compiled"))
    method, changes = CASES[name]
    changes = {"precision": precision, **changes}
    ours, plain = search(method, **changes), search(method, network__compile=False, **changes)
    tolerance = 1e-10 if precision == "float64" else 1e-3
    for _ in range(2):
        row, expected = ours.run_epoch(), plain.run_epoch()
        assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=0, abs=tolerance)
        assert row["valid_loss"] == pytest.approx(expected["valid_loss"], rel=0, abs=tolerance)
        assert row["cell"] == expected["cell"]
    assert_close(ours, plain, tolerance)
