import copy
import time

import numpy as np
import pytest
import torch

from harness.board.runner import start_search
from harness.records.record import TIMING_COLUMNS
from harness.search.loop import Search
from harness.search.variant import Moment, Phase, Rebuild, Variant
from harness.settings.protocol import load_board
from harness.space.cell import Cell
from tests.conftest import tiny_params, write_params
from variants.darts import Darts
from variants.darts_2nd import DartsSecondOrder

pytestmark = pytest.mark.usefixtures("project")


def protocol(**changes):
    content = tiny_params()
    for key, value in changes.items():
        section = content["protocols"]["tiny"]
        *path, last = key.split("__")
        for part in path:
            section = section[part]
        section[last] = value
    write_params_here(content)
    return load_board().chosen


def write_params_here(content):
    from pathlib import Path

    write_params(Path(), content)


def search(method=Darts, seed=0, **changes) -> Search:
    chosen = protocol(**changes)
    return start_search(method(method.Settings(), chosen), chosen, seed)


def content(state):
    """All tensors and numbers of a state, flat, for exact comparison."""
    if isinstance(state, dict):
        return [leaf for key in sorted(state, key=str) for leaf in content(state[key])]
    if isinstance(state, list | tuple):
        return [leaf for part in state for leaf in content(part)]
    return [state]


def assert_same(one, other):
    for left, right in zip(content(one), content(other), strict=True):
        if isinstance(left, torch.Tensor):
            assert torch.equal(left, right)
        else:
            assert left == right


def without_timing(row):
    return {key: value for key, value in row.items() if key not in TIMING_COLUMNS}


@pytest.mark.parametrize("method", [Darts, DartsSecondOrder])
def test_same_seed_same_search_and_alpha_moves(method) -> None:
    one, other = search(method), search(method)
    start = one.architecture["alpha"].detach().clone()
    assert without_timing(one.run_epoch()) == without_timing(other.run_epoch())
    assert_same(one.state(), other.state())
    assert not torch.equal(start, one.architecture["alpha"])
    assert without_timing(search(method, seed=1).run_epoch()) != without_timing(search(method).run_epoch())


@pytest.mark.parametrize("changes", [{}, {"network__drop_path": 0.3, "network__batch_statistics": False}])
def test_a_resumed_search_is_the_same_search(changes) -> None:
    straight = search(**changes)
    rows = [without_timing(straight.run_epoch()) for _ in range(3)]
    for stop in (1, 2):
        first = search(**changes)
        for _ in range(stop):
            first.run_epoch()
        saved = copy.deepcopy(first.state())
        resumed = search(**changes)
        resumed.load_state(saved)
        assert [without_timing(resumed.run_epoch()) for _ in range(stop, 3)] == rows[stop:]
        assert_same(resumed.state(), straight.state())


def test_variants_of_a_seed_start_alike_and_see_the_same_images() -> None:
    one, other = search(Darts), search(DartsSecondOrder)
    assert_same(one.supernet.state_dict(), other.supernet.state_dict())
    assert torch.equal(one.architecture["alpha"], other.architecture["alpha"])
    for half in ("train", "valid"):
        for (images, labels), (images2, labels2) in zip(
            one.data.epoch(half, 0), other.data.epoch(half, 0), strict=True
        ):
            assert torch.equal(images, images2)
            assert torch.equal(labels, labels2)


def test_global_random_streams_decide_nothing() -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    first = without_timing(search().run_epoch())
    torch.manual_seed(2)
    np.random.seed(2)
    assert without_timing(search().run_epoch()) == first


@pytest.mark.parametrize("method", [Darts, DartsSecondOrder])
@pytest.mark.parametrize("tracked", [True, False])
def test_the_alpha_step_leaves_weights_and_statistics_bit_identical(method, tracked, monkeypatch) -> None:
    tested = search(method, network__batch_statistics=not tracked)
    monkeypatch.setattr(Search, "_weight_step", lambda self, step: None)
    weights = {name: value.clone() for name, value in tested.supernet.state_dict().items() if "num_batches" not in name}
    start = tested.architecture["alpha"].detach().clone()
    tested.run_epoch()
    assert all(torch.equal(tested.supernet.state_dict()[name], value) for name, value in weights.items())
    assert not torch.equal(start, tested.architecture["alpha"])


def test_one_step_by_hand() -> None:
    """Alpha by Adam on the validation batch, then the weights by clipped Nesterov SGD with weight decay."""
    tested = search(precision="float64", weights__clip=0.5)
    alpha = tested.architecture["alpha"].detach().clone().requires_grad_()
    net = copy.deepcopy(tested.supernet)
    (train_images, train_labels), (valid_images, valid_labels) = (
        next(iter(tested.data.epoch(half, 0))) for half in ("train", "valid")
    )
    tested.data.steps_per_epoch = 1
    tested.run_epoch()

    logits = net(valid_images, torch.softmax(alpha, dim=-1))
    (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, valid_labels), alpha)
    gradient = gradient + 0.001 * alpha.detach()
    # Adam's first step: both moments, bias-corrected, are the gradient and its square.
    moved = alpha.detach() - 0.05 * gradient / (gradient.abs() + 1e-8)
    assert torch.allclose(tested.architecture["alpha"].detach(), moved, atol=1e-12)

    net.zero_grad()
    loss = torch.nn.functional.cross_entropy(net(train_images, torch.softmax(moved, dim=-1)), train_labels)
    loss.backward()
    norm = torch.sqrt(sum(weight.grad.square().sum() for weight in net.parameters() if weight.grad is not None))
    assert norm > 0.5
    for (name, weight), found in zip(net.named_parameters(), tested.supernet.parameters(), strict=True):
        expected = weight.detach()
        if weight.grad is not None:  # a bias before a batch norm has none, and stays
            direction = weight.grad * 0.5 / (norm + 1e-6) + 0.0005 * weight.detach()
            expected = expected - 0.025 * (direction + 0.9 * direction)
        assert torch.allclose(found, expected, atol=1e-12), name


def test_order_of_the_steps(monkeypatch) -> None:
    for order, expected in (("alpha-then-weights", "aw"), ("weights-then-alpha", "wa")):
        calls: list[str] = []
        monkeypatch.setattr(Search, "_alpha_step", lambda self, step, calls=calls: calls.append("a"))
        monkeypatch.setattr(Search, "_weight_step", lambda self, step, calls=calls: calls.append("w"))
        monkeypatch.setattr(Search, "_row", lambda self: {})
        tested = search(order=order)
        tested.run_epoch()
        assert "".join(calls) == expected * tested.data.steps_per_epoch


def test_alpha_is_no_weight() -> None:
    tested = search()
    ids = {id(value) for value in tested.architecture.values()}
    assert not ids & {id(weight) for weight in tested.weight_optimizer.parameters}


def test_learning_rate_follows_the_cosine() -> None:
    tested = search()
    seen = []
    for _ in range(3):
        tested.run_epoch()
        seen.append(tested.weight_optimizer.settings["lr"])
    steps = tested.data.steps_per_epoch
    expected = [0.001 + 0.5 * 0.024 * (1 + np.cos(np.pi * (epoch + (steps - 1) / steps) / 3)) for epoch in range(3)]
    assert seen == pytest.approx(expected)


def test_passes_are_counted_honestly() -> None:
    for method in (Darts, DartsSecondOrder):
        tested = search(method)
        tested.run_epoch()
        assert tested.passes == method.passes_per_step * tested.data.steps_per_epoch


@pytest.mark.parametrize("changes", [{"precision": "bfloat16"}, {"network__gradient_checkpointing": True}])
def test_declared_options_run_and_stay_near_the_plain_search(changes) -> None:
    plain, other = search().run_epoch(), search(**changes).run_epoch()
    assert other["train_loss"] == pytest.approx(plain["train_loss"], rel=0.02)


def test_a_rebuild_starts_a_new_stage_and_survives_a_resume() -> None:
    class Growing(Variant):
        name = "growing"

        def end_of_epoch(self, search):
            from dataclasses import replace

            if search.epoch != 1:
                return super().end_of_epoch(search)
            spec = search.supernet.spec
            return Rebuild(replace(spec, shape=replace(spec.shape, cells_per_stage=2)), epochs=2)

    straight = search(Growing)
    straight.run_epoch()
    assert len(straight.supernet.cells) == 6
    assert straight.architecture["alpha"].abs().max() < 0.01
    saved = copy.deepcopy(straight.state())
    row = without_timing(straight.run_epoch())
    resumed = search(Growing)
    resumed.load_state(saved)
    assert without_timing(resumed.run_epoch()) == row


def test_an_epoch_takes_what_its_method_does_after_the_steps_too() -> None:
    class Pausing(Variant):
        name = "pausing"

        def end_of_epoch(self, search):
            time.sleep(0.3)
            return super().end_of_epoch(search)

    tested = search(Pausing)
    started = time.perf_counter()
    taken = tested.run_epoch()["seconds"]
    assert 0.3 < taken < time.perf_counter() - started


def test_progress_runs_from_zero_to_one() -> None:
    tested = search()
    seen: list[Moment] = []

    class Watching(Darts):
        def op_weights(self, architecture, moment):
            seen.append(moment)
            return super().op_weights(architecture, moment)

    tested.variant = Watching(Darts.Settings(), tested.protocol)
    for _ in range(3):
        tested.run_epoch()
    progress = [moment.progress for moment in seen if moment.phase is Phase.WEIGHTS]
    assert progress[0] == 0
    assert progress == sorted(progress)
    assert progress[-1] == pytest.approx(1 - 1 / len(progress))


def test_one_shot_accuracy_counts_right_answers_and_changes_nothing() -> None:
    tested = search(network__batch_statistics=False)
    tested.run_epoch()
    before = copy.deepcopy(tested.supernet.state_dict())
    passes = tested.passes
    op_weights = tested.one_hot(Cell.from_index(9930))
    batches = list(tested.data.mixed_batches("valid", 20))
    found = tested.one_shot_accuracy(op_weights, batches)
    right = sum(int((tested.supernet(x, op_weights).argmax(1) == y).sum()) for x, y in batches)
    assert found == pytest.approx(100 * right / sum(len(y) for _, y in batches))
    assert tested.passes == pytest.approx(passes + len(batches) / 3)
    tested.supernet.load_state_dict(before)
    tested.one_shot_accuracy(op_weights, batches)
    running = {name: value for name, value in tested.supernet.state_dict().items() if "running" in name}
    assert all(torch.equal(value, before[name]) for name, value in running.items())
