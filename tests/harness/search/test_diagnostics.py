"""The diagnostics against closed forms, finite differences and hand-made cases."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch

from harness.base.streams import stream
from harness.records.record import DIAGNOSTIC_COLUMNS
from harness.search.diagnostics import (
    alpha_hessian,
    discretisation_gap,
    flips,
    is_due,
    layer_alignment,
    mean_pairwise_cosine,
    mixture_measures,
    spectrum,
)
from harness.search.loop import Search, diagnostics
from harness.space.cell import ALL_CONV3, OPERATIONS, Cell
from harness.space.one_shot_cells import ONE_SHOT_CELLS
from harness.truth.sources import import_analog_nasbench
from tests.variants.searches import start
from variants.darts import Darts
from variants.drnas import Drnas
from variants.ostr_darts import OStrDarts
from variants.rsps import RandomSearchWithSharing


def stirred(**changes: object) -> Search:
    """A search in float64 whose alpha is far from its start."""
    made = start(Darts, {"precision": "float64", **changes})
    with torch.no_grad():
        made.architecture["alpha"].copy_(torch.randn(6, 5, generator=torch.Generator().manual_seed(1)))
    return made


def slope_at(tested: Search, shift: np.ndarray, images: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    alpha = (tested.architecture["alpha"].detach() + torch.as_tensor(shift)).requires_grad_()
    loss = torch.nn.functional.cross_entropy(tested.supernet(images, torch.softmax(alpha, dim=-1)), labels)
    return torch.autograd.grad(loss, alpha)[0].flatten().numpy()


def test_hessian_is_that_of_central_differences() -> None:
    tested = stirred()
    images, labels = tested.data.probe_batch("valid", 8)
    found = alpha_hessian(tested, (images, labels))
    assert found is not None
    assert found.shape == (30, 30)
    assert np.array_equal(found, found.T)
    step = 1e-7  # small: the slope jumps where a ReLU meets zero
    for row in (0, 1, 12, 17, 29):
        shift = step * np.eye(30)[row].reshape(6, 5)
        above, below = (slope_at(tested, sign * shift, images, labels) for sign in (1, -1))
        np.testing.assert_allclose(found[row], (above - below) / (2 * step), atol=1e-6)


def test_hessian_of_stage_alphas_is_that_of_a_common_shift() -> None:
    shared = stirred()
    staged = stirred()
    staged.variant = OStrDarts(OStrDarts.Settings(), staged.protocol)
    shapes = staged.variant.architecture_shapes()["alpha"]
    same = shared.architecture["alpha"].detach().expand(shapes).clone().requires_grad_()
    staged.architecture = {"alpha": same}
    batch = shared.data.probe_batch("valid", 8)
    np.testing.assert_allclose(alpha_hessian(staged, batch), alpha_hessian(shared, batch), atol=1e-10)


def test_hessian_does_not_depend_on_checkpointing_nor_on_tracked_statistics() -> None:
    plain = stirred()
    batch = plain.data.probe_batch("valid", 8)
    others = [stirred(network__gradient_checkpointing=True), stirred(network__batch_statistics=False)]
    for other in others:
        np.testing.assert_allclose(alpha_hessian(other, batch), alpha_hessian(plain, batch), atol=1e-10)


class FormatAsked(torch.autograd.Function):
    """The identity, with a derivative that asks for a memory format, as cuDNN's batch norm does."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        return values.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient.contiguous(memory_format=torch.channels_last)


def test_hessian_row_by_row_asks_nothing_of_derivatives(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = stirred()
    batch = plain.data.probe_batch("valid", 8)
    expected = alpha_hessian(plain, batch)
    for reduction in plain.supernet.reductions:
        reduction.register_forward_hook(lambda module, inputs, output: FormatAsked.apply(output))
    with pytest.raises(RuntimeError, match="is_contiguous inside of vmap"):
        alpha_hessian(plain, batch)
    monkeypatch.setitem(diagnostics.ROWS_AT_ONCE, "cpu", diagnostics.ROWS_AT_ONCE["cuda"])
    np.testing.assert_allclose(alpha_hessian(plain, batch), expected, atol=1e-10)


def test_spectrum_of_a_known_matrix() -> None:
    basis, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(30, 30)))
    matrix = basis @ np.diag([-2.0, 7.0, *([0.5] * 28)]) @ basis.T
    found = spectrum(matrix)
    assert found["hessian_largest"] == pytest.approx(7)
    assert found["hessian_smallest"] == pytest.approx(-2)
    assert found["hessian_trace"] == pytest.approx(19)
    assert spectrum(None) == {}
    assert spectrum(np.full((30, 30), np.nan)) == {}


def test_gap_is_zero_when_the_op_weights_are_one_hot() -> None:
    tested = stirred()
    with torch.no_grad():
        tested.architecture["alpha"].copy_(200 * tested.one_hot(ALL_CONV3))
    gap = discretisation_gap(tested, tested.data.probe_batch("valid", 30))
    assert gap["discretisation_gap"] == 0
    assert gap["mixture_accuracy"] == gap["one_hot_accuracy"]


def test_gap_is_mixture_minus_argmax_cell_on_the_same_images() -> None:
    tested = stirred()
    for _ in range(3):
        tested.run_epoch()
    images, labels = tested.data.probe_batch("valid", 30)
    measured = discretisation_gap(tested, (images, labels))
    weights = torch.softmax(tested.architecture["alpha"], dim=-1).detach()
    one_hot = torch.nn.functional.one_hot(weights.argmax(dim=-1), 5).double()
    shares = [
        100 * float((tested.supernet(images, p).argmax(dim=1) == labels).double().mean()) for p in (weights, one_hot)
    ]
    assert measured["mixture_accuracy"] == pytest.approx(shares[0])
    assert measured["one_hot_accuracy"] == pytest.approx(shares[1])
    assert measured["discretisation_gap"] == pytest.approx(shares[0] - shares[1])


def test_alignment_compares_the_gradient_of_each_cell() -> None:
    tested = stirred()
    images, labels = tested.data.probe_batch("valid", 8)
    weights = torch.softmax(tested.architecture["alpha"], dim=-1).detach()
    gradients = []
    for cell in range(3):  # one cell at a time, instead of all at once
        own = weights.clone().requires_grad_()
        stacked = torch.stack([own if place == cell else weights for place in range(3)])
        loss = torch.nn.functional.cross_entropy(tested.supernet(images, stacked), labels)
        gradients.append(torch.autograd.grad(loss, own)[0].flatten().numpy())
    pairs = [(0, 1), (0, 2), (1, 2)]
    cosines = [
        gradients[i] @ gradients[j] / np.linalg.norm(gradients[i]) / np.linalg.norm(gradients[j]) for i, j in pairs
    ]
    assert layer_alignment(tested, (images, labels)) == pytest.approx(np.mean(cosines))


def test_cosine_of_known_vectors() -> None:
    assert mean_pairwise_cosine(np.array([[1.0, 0], [2.0, 0], [0, 3.0]])) == pytest.approx(1 / 3)
    assert mean_pairwise_cosine(np.array([[1.0, 0], [-4.0, 0]])) == pytest.approx(-1)
    assert math.isnan(mean_pairwise_cosine(np.array([[1.0, 0], [0.0, 0.0]])))
    assert math.isnan(mean_pairwise_cosine(np.array([[1.0, 0]])))


def test_measures_of_a_hand_made_mixture() -> None:
    op_weights = np.tile([0.1, 0.5, 0.2, 0.1, 0.1], (6, 1))
    op_weights[0] = [0, 2, 0, 0, 0]  # not normalised, and with zeros
    op_weights[1] = [0.2, 0.2, 0.2, 0.2, 0.2]
    op_weights[2] = [0.1, 0.1, 0.2, 0.5, 0.1]
    assert OPERATIONS[1] == "skip_connect"
    measures = mixture_measures(op_weights)
    entropy = -(0.5 * np.log(0.5) + 0.2 * np.log(0.2) + 3 * 0.1 * np.log(0.1))
    assert measures["entropy"] == pytest.approx((4 * entropy + math.log(5)) / 6)
    assert measures["entropy_smallest"] == 0
    assert measures["entropy_largest"] == pytest.approx(math.log(5))
    assert measures["margin"] == pytest.approx((4 * 0.3 + 1) / 6)
    assert measures["skip_mass"] == pytest.approx((3 * 0.5 + 1 + 0.2 + 0.1) / 6)
    # It leads on four edges, shares ranks 1 to 5 on one, and ranks 3 to 5 behind two others on the last.
    assert measures["skip_rank"] == pytest.approx((4 * 1 + 3 + 4) / 6)


def test_flips_count_edges() -> None:
    before = Cell(("none",) * 6)
    after = Cell(("none", "skip_connect", "none", "none", "nor_conv_3x3", "none"))
    assert flips(str(before), str(after)) == 2
    assert flips(str(after), str(after)) == 0


@pytest.mark.parametrize(
    ("epoch", "every", "due"), [(1, 1, True), (3, 2, False), (4, 2, True), (10, 7, True), (10, None, False)]
)
def test_due_every_so_many_epochs_and_after_the_last(epoch: int, every: int | None, due: bool) -> None:
    assert is_due(epoch, every, epochs=10) is due


def test_diagnostics_change_nothing() -> None:
    rows, states, passes = [], [], []
    for every in (None, 1):
        protocol = {f"diagnostics__{key}": every for key in ("every", "hessian_every", "one_shot_every")}
        tested = start(Darts, protocol)
        rows.append([tested.run_epoch() for _ in range(2)])
        states.append(copy.deepcopy(tested.supernet.state_dict()))
        passes.append(tested.passes)
    assert passes[0] == passes[1]
    # How many batches a norm has seen means nothing where its momentum is a number.
    kept = [name for name in states[0] if "num_batches" not in name]
    assert all(torch.equal(states[0][name], states[1][name]) for name in kept)
    assert [row["train_loss"] for row in rows[0]] == [row["train_loss"] for row in rows[1]]
    assert all(math.isnan(row["hessian_largest"]) for row in rows[0])
    assert all(math.isfinite(row[name]) for row in rows[1] for name in DIAGNOSTIC_COLUMNS if name != "flips")


def test_tracked_statistics_stay_and_are_not_used() -> None:
    tested = start(Darts, {"network__batch_statistics": False, "diagnostics__one_shot_every": 1})
    tested.run_epoch()
    before = copy.deepcopy(tested.supernet.state_dict())
    batch = tested.data.probe_batch("valid", 8)
    alpha_hessian(tested, batch)
    layer_alignment(tested, batch)
    discretisation_gap(tested, batch)
    running = {name: value for name, value in tested.supernet.state_dict().items() if "running" in name}
    assert running
    assert all(torch.equal(value, before[name]) for name, value in running.items())


def test_a_method_without_alpha_has_one_shot_accuracies_only() -> None:
    tested = start(Darts, {"diagnostics__one_shot_every": 1})
    bare = Search(RandomSearchWithSharing(RandomSearchWithSharing.Settings(), tested.protocol), tested.protocol,
                  tested.data, 0)  # fmt: skip
    row = bare.run_epoch()
    assert row["cell"] is None
    assert all(math.isnan(row[name]) for name in DIAGNOSTIC_COLUMNS)
    assert [found["cell_index"] for found in bare.one_shot_rows] == list(ONE_SHOT_CELLS)


def test_the_mean_of_a_relaxation_has_a_hessian() -> None:
    tested = stirred()
    tested.variant = Drnas(Drnas.Settings(), tested.protocol)
    found = alpha_hessian(tested, tested.data.probe_batch("valid", 8))
    assert found is not None
    assert np.abs(found).max() > 0


def test_op_weights_that_ignore_alpha_have_no_hessian() -> None:
    class Fixed(Darts):
        def op_weights(self, architecture, moment):  # type: ignore[no-untyped-def]
            return torch.full((6, 5), 0.2, dtype=moment.dtype)

    tested = stirred()
    tested.variant = Fixed(Darts.Settings(), tested.protocol)
    assert alpha_hessian(tested, tested.data.probe_batch("valid", 8)) is None


def test_the_list_of_cells_is_stratified_by_the_embedded_truth() -> None:
    truth = import_analog_nasbench()
    everything = np.arange(15625)
    accuracy = truth.accuracy(everything, data_set="cifar10", split="test", epochs=None)
    order = np.lexsort((everything, accuracy))
    generator = stream(0, "one-shot cells")
    assert tuple(int(generator.choice(part)) for part in np.array_split(order, 100)) == ONE_SHOT_CELLS
