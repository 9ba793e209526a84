"""CUDA graphs, without a card: searches and passes with a recorder of operators in their place."""

import gc
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from harness.base.determinism import deterministic_algorithms
from harness.base.errors import UserError
from harness.base.named_tensors import constant
from harness.board.runner import run_search
from harness.networks import cuda_graphs
from harness.networks.cuda_graphs import CudaGraphs, GraphedPasses, check_cuda
from harness.networks.supernet import Controls, Supernet, SupernetSpec, every_operation, statistics_untouched
from harness.search import registry
from harness.search.baseline import Baseline
from harness.search.loop import Search
from harness.search.variant import Rebuild, Variant
from harness.settings.protocol import NetworkSettings, load_board
from harness.settings.validation import validate
from harness.space.cell import OPERATIONS
from harness.testing import TINY_PROTOCOL, tiny_search
from tests.conftest import slow_but_for, tiny_params, write_params
from tests.harness.networks.recorded_graphs import Recorders
from variants.darts import Darts
from variants.pc_darts import PcDarts


@pytest.fixture(autouse=True)
def recorders(monkeypatch: pytest.MonkeyPatch) -> list[Recorders]:
    monkeypatch.setattr(GraphedPasses, "recorder", Recorders)
    monkeypatch.setattr(Recorders, "made", [])
    return Recorders.made


def state(search: Search) -> dict[str, Tensor]:
    optimizers = {
        f"{which}/{number}/{name}": value
        for which, optimizer in (("weights", search.weight_optimizer), ("alpha", search.alpha_optimizer))
        for number, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }
    return {**search.supernet.state_dict(), **search.architecture, **optimizers}


def assert_identical(one: Search, other: Search) -> None:
    theirs = state(other)
    assert state(one).keys() == theirs.keys()
    for name, value in state(one).items():
        assert torch.equal(value, theirs[name]), name


# Whole searches

VARIANTS = [name for name, method in registry.methods().items() if not issubclass(method, Baseline)]


@pytest.mark.parametrize("name", slow_but_for(["darts", "darts-2nd", "p-darts", "pc-darts", "oles", "rsps"], VARIANTS))
def test_a_search_of_graphs_is_the_search_of_kernels(name: str, recorders: list[Recorders]) -> None:
    method = registry.variant(name)
    changes = {"epochs": 3, "diagnostics__every": None}
    searches = [tiny_search(method, network__cuda_graphs=graphs, **changes) for graphs in (False, True)]
    rows = [[search.run_epoch() for _ in range(3)] for search in searches]
    assert_identical(*searches)
    for kernels, graphs in zip(*rows, strict=True):
        for key in ("train_loss", "valid_loss", "gradient_norm", "cell"):
            assert repr(kernels[key]) == repr(graphs[key])  # a loss that a method does not compute is NaN


@pytest.mark.parametrize(
    "changes",
    [
        {"network__drop_path": 0.3},
        {"network__batch_statistics": False},
        {"network__affine": True},
        {"precision": "bfloat16"},
        {"precision": "float64"},
        {"network__cells_per_stage": 2},
        {"operations": OPERATIONS[1:]},
        {"operations": ("skip_connect", "avg_pool_3x3")},
    ],
    ids=str,
)
def test_every_kind_of_network(changes: dict, recorders: list[Recorders]) -> None:
    searches = [tiny_search(Darts, network__cuda_graphs=graphs, epochs=2, **changes) for graphs in (False, True)]
    for search in searches:
        search.run_epoch()
        search.run_epoch()
    assert_identical(*searches)
    (recorder,) = recorders
    assert recorder.kinds == 2  # one for the weights, one for alpha
    unrecorded = 2 if "network__drop_path" in changes else 1  # in the first step of all nothing is dropped
    steps = 2 * searches[0].data.steps_per_epoch - unrecorded
    assert [graph.replays for graph in recorder.forward + recorder.backward] == [steps] * 4


class Rebuilding(Darts):
    """Builds a new network after the first epoch."""

    def end_of_epoch(self, search: Search):
        return Rebuild(search.supernet.spec, epochs=None) if search.epoch == 1 else super().end_of_epoch(search)


def test_a_new_network_is_recorded_anew(recorders: list[Recorders]) -> None:
    searches = [tiny_search(Rebuilding, network__cuda_graphs=graphs, epochs=2) for graphs in (False, True)]
    for search in searches:
        search.run_epoch()
        search.run_epoch()
    assert_identical(*searches)
    assert [recorder.kinds for recorder in recorders] == [2, 2]


def test_what_a_new_network_replaces_is_gone_at_once(recorders: list[Recorders]) -> None:
    """Its memory is the card's, and a graph that is collected while another is recorded ends the recording."""
    search = tiny_search(Rebuilding, network__cuda_graphs=True, epochs=2)
    gc.disable()
    try:
        passes = weakref.ref(search.supernet.graphs)
        search.run_epoch()
        assert recorders[0].kinds == 2
        assert passes() is None
    finally:
        gc.enable()


def test_goes_on_from_a_checkpoint(recorders: list[Recorders]) -> None:
    whole, first, second = (tiny_search(Darts, network__cuda_graphs=True, epochs=2) for _ in range(3))
    whole.run_epoch()
    whole.run_epoch()
    first.run_epoch()
    second.load_state(first.state())
    second.run_epoch()
    assert_identical(whole, second)


class Sampling(Variant):
    """Computes other operations on each edge."""

    name = "sampling"

    def controls(self, architecture, moment) -> Controls:
        rows = [list(row) for row in every_operation()]
        rows[moment.step % 6][3] = False
        return Controls(active=tuple(tuple(row) for row in rows))


def test_cells_that_differ_from_edge_to_edge_run_kernel_by_kernel(recorders: list[Recorders]) -> None:
    searches = [tiny_search(Sampling, network__cuda_graphs=graphs, epochs=1) for graphs in (False, True)]
    for search in searches:
        search.run_epoch()
    assert_identical(*searches)
    assert not recorders


# Single passes

UNUSED = {"allow_unused": True, "materialize_grads": True}


@pytest.fixture
def supernet(monkeypatch: pytest.MonkeyPatch) -> Supernet:
    monkeypatch.setattr(cuda_graphs, "RECORDED_AT", 1)
    torch.manual_seed(0)
    protocol = tiny_search(Darts).supernet.spec
    built = Supernet(replace(protocol, batch_statistics=False)).double().train()
    built.graphs = GraphedPasses(built)
    return built


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def logits(supernet: Supernet, weights: dict[str, Tensor], seed: int = 0, graphs: bool = True, **controls) -> Tensor:
    arguments = (weights, draw(3, 1, 8, 8, seed=seed), draw(6, 5).requires_grad_(), Controls(**controls))
    if graphs:
        return supernet.graphs(*arguments)
    return cuda_graphs.with_weights(supernet, *arguments)


def own(supernet: Supernet) -> dict[str, Tensor]:
    return dict(supernet.named_parameters())


def test_recording_leaves_the_running_statistics_alone(supernet: Supernet) -> None:
    expected = Supernet(supernet.spec).double()
    expected.load_state_dict(supernet.state_dict())
    for seed in range(3):
        logits(supernet, own(supernet), seed)
        logits(expected, own(expected), seed, graphs=False)
        for (name, value), theirs in zip(expected.named_buffers(), supernet.buffers(), strict=True):
            assert torch.equal(value, theirs), name


def test_a_pass_that_keeps_its_statistics_has_a_graph_of_its_own(supernet: Supernet, recorders) -> None:
    logits(supernet, own(supernet))
    kept = {name: value.clone() for name, value in supernet.named_buffers() if "num_batches" not in name}
    with statistics_untouched(supernet):
        logits(supernet, own(supernet), seed=1)
    for name, value in supernet.named_buffers():
        assert name not in kept or torch.equal(value, kept[name]), name
    assert recorders[0].kinds == 2


def test_other_weights_are_not_written_into_the_network(supernet: Supernet) -> None:
    before = {name: value.detach().clone() for name, value in own(supernet).items()}
    other = {name: (2 * value).detach() for name, value in own(supernet).items()}
    logits(supernet, constant(own(supernet)))
    found = logits(supernet, other)
    assert torch.equal(found, logits(supernet, other, graphs=False))
    assert all(torch.equal(value, before[name]) for name, value in own(supernet).items())


def test_gradients_stay_what_they_are_when_the_pass_runs_again(supernet: Supernet) -> None:
    weights = own(supernet)

    def gradients(seed: int, graphs: bool) -> list[Tensor]:
        found = torch.autograd.grad(
            logits(supernet, weights, seed, graphs).square().sum(), list(weights.values()), allow_unused=True
        )
        return [gradient for gradient in found if gradient is not None]

    expected = gradients(0, graphs=False)
    first = gradients(0, graphs=True)
    gradients(1, graphs=True)
    assert all(torch.equal(one, other) for one, other in zip(first, expected, strict=True))


def test_a_pass_that_was_overwritten_is_not_differentiated(supernet: Supernet) -> None:
    weights = own(supernet)
    first = logits(supernet, weights)
    logits(supernet, weights, seed=1)
    with pytest.raises(RuntimeError, match="differentiated twice, or after another one"):
        torch.autograd.grad(first.sum(), list(weights.values()), allow_unused=True)


def test_a_pass_is_differentiated_once(supernet: Supernet) -> None:
    weights = list(own(supernet).values())
    found = logits(supernet, own(supernet)).sum()
    torch.autograd.grad(found, weights, allow_unused=True, retain_graph=True)
    with pytest.raises(RuntimeError, match="differentiated twice, or after another one"):
        torch.autograd.grad(found, weights, allow_unused=True)


def test_a_pass_is_not_differentiated_after_one_of_another_kind(supernet: Supernet) -> None:
    for _ in range(2):  # once when the second is recorded, once when it is replayed
        found = logits(supernet, own(supernet)).sum()
        logits(supernet, constant(own(supernet)))
        with pytest.raises(RuntimeError, match="differentiated twice, or after another one"):
            torch.autograd.grad(found, list(own(supernet).values()), allow_unused=True)


def test_what_is_met_once_is_not_recorded(supernet: Supernet, recorders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graphs, "RECORDED_AT", 2)
    logits(supernet, own(supernet))
    assert not recorders
    logits(supernet, own(supernet))
    assert recorders[0].kinds == 1


def test_each_kind_of_gradient_has_a_graph_of_its_own(supernet: Supernet, recorders: list[Recorders]) -> None:
    weights, op_weights = own(supernet), draw(6, 5).requires_grad_()
    for held, given, wanted in (
        (constant(weights), op_weights, [op_weights]),
        (weights, op_weights.detach(), list(weights.values())),
        (weights, op_weights, [op_weights, *weights.values()]),
    ):
        found, expected = (
            torch.autograd.grad(run(held, draw(3, 1, 8, 8), given, Controls()).square().sum(), wanted, **UNUSED)
            for run in (supernet.graphs, partial(cuda_graphs.with_weights, supernet))
        )
        assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    assert recorders[0].kinds == 3


def test_each_set_of_operations_has_a_graph_of_its_own(supernet: Supernet, recorders: list[Recorders]) -> None:
    for left_out in (0, 3, 4):
        active = (tuple(column != left_out for column in range(5)),) * 6
        found, expected = (logits(supernet, own(supernet), graphs=graphs, active=active) for graphs in (True, False))
        assert torch.equal(found, expected)
    assert recorders[0].kinds == 3


def test_the_weights_of_the_network_are_read_where_they_are(supernet: Supernet) -> None:
    logits(supernet, own(supernet))
    (recorded,) = supernet.graphs._known.values()
    for name, weight in own(supernet).items():
        assert recorded._inputs[f"{cuda_graphs.WEIGHT}{name}"].data_ptr() == weight.data_ptr()


def test_all_controls_are_inputs(supernet: Supernet, recorders: list[Recorders]) -> None:
    cells, shapes = supernet.spec.shape.cells, supernet.spec.feature_shapes(3)
    for seed in range(3):
        controls = {
            "edge_weights": draw(6, seed=seed).requires_grad_(),
            "operation_scale": draw(cells, 6, 5, 3, seed=seed),
            "skip_masks": tuple(draw(6, *shape, seed=seed) for shape in shapes),
            "edge_shift": draw(6, seed=seed + 3).requires_grad_(),
        }
        found, expected = (logits(supernet, own(supernet), seed, graphs, **controls) for graphs in (True, False))
        assert torch.equal(found, expected)
        differentiated = [controls["edge_weights"], controls["edge_shift"]]
        slopes = [torch.autograd.grad(each.square().sum(), differentiated) for each in (found, expected)]
        assert all(map(torch.equal, *slopes))
    assert recorders[0].kinds == 1


def test_random_channels_are_an_input(recorders: list[Recorders], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graphs, "RECORDED_AT", 1)
    spec: SupernetSpec = replace(tiny_search(Darts).supernet.spec, partial_channels=2)
    supernet = Supernet(spec).double().train()
    supernet.graphs = GraphedPasses(supernet)
    for seed in range(3):
        order = draw(spec.shape.cells, 6, spec.shape.stage_channels[-1], seed=seed)
        found, expected = (
            logits(supernet, own(supernet), graphs=graphs, channel_order=order) for graphs in (True, False)
        )
        assert torch.equal(found, expected)
    assert recorders[0].kinds == 1


def test_without_a_gradient_nothing_is_recorded(supernet: Supernet, recorders: list[Recorders]) -> None:
    with torch.no_grad():
        logits(supernet, own(supernet))
    supernet.graphs(constant(own(supernet)), draw(3, 1, 8, 8), draw(6, 5), Controls())
    assert not recorders


def test_no_more_kinds_than_the_limit(supernet: Supernet, recorders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graphs, "LIMIT", 1)
    found = [logits(supernet, weights) for weights in (own(supernet), constant(own(supernet)))]
    assert torch.allclose(*found)
    assert recorders[0].kinds == 1


# Settings


def test_a_search_on_a_cpu_ends_with_a_sentence_before_its_first_step(project: Path) -> None:
    content = tiny_params()
    content["protocols"]["tiny"]["network"]["cuda_graphs"] = True
    write_params(project, content)
    with pytest.raises(UserError, match=r"network\.cuda_graphs: expected false on the device 'cpu'"):
        run_search(load_board(), "darts", 0)
    assert not Path("runs").exists()


def test_needs_cuda() -> None:
    with pytest.raises(UserError, match=r"network\.cuda_graphs: expected false on the device 'cpu', or device: cuda"):
        check_cuda(torch.device("cpu"))


def test_excludes_recomputation() -> None:
    settings = {**TINY_PROTOCOL["network"], "cuda_graphs": True, "gradient_checkpointing": True}
    with pytest.raises(UserError, match="cuda_graphs and gradient_checkpointing exclude each other"):
        validate(NetworkSettings, settings, where="network")


# On a card


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"precision": "bfloat16"},
        {"network__batch_statistics": False},
        {"network__drop_path": 0.3},
        {"method": PcDarts},
        {"method": Rebuilding},
    ],
    ids=str,
)
def test_on_cuda(changes: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GraphedPasses, "recorder", CudaGraphs)
    method, changes = changes.get("method", Darts), {key: value for key, value in changes.items() if key != "method"}
    changes = {"device": "cuda", "epochs": 2, "diagnostics__every": None, **changes}
    with deterministic_algorithms(True):
        searches = [tiny_search(method, network__cuda_graphs=graphs, **changes) for graphs in (False, True)]
        for search in searches:
            search.run_epoch()
            search.run_epoch()
    for name, value in state(searches[0]).items():
        assert torch.allclose(value, state(searches[1])[name], atol=1e-5), name
