import numpy as np
import pytest
import torch

from harness.networks.supernet import Controls
from harness.search.variant import Phase
from harness.space.cell import CONV1, CONV3, EDGES, OPERATIONS
from harness.testing import first_step, tiny_search
from tests.variants.searches import assert_resumes, moment, start
from variants.gdas import Gdas


def spread_alpha() -> torch.Tensor:
    return torch.linspace(-2, 3, 30, dtype=torch.float64).view(6, 5)[:, torch.tensor([2, 0, 4, 1, 3])]


def fixed_draw(tested, noise) -> None:
    """Let every pass of the search's first step see this Gumbel noise."""
    tested.variant._drawn = dict.fromkeys((Phase.WEIGHTS, Phase.ALPHA), (0, 0, noise))


def definition(tested, step, noise, as_published: bool) -> torch.Tensor:
    """The alpha gradient by its definition: slopes of the loss by op weights and shifts, times the slopes of y."""
    temperature = 10.0  # of the first step
    alpha = tested.architecture["alpha"].detach()
    y = torch.softmax((torch.log_softmax(alpha, dim=-1) + torch.from_numpy(noise)) / temperature, dim=-1)
    drawn = torch.nn.functional.one_hot(y.argmax(dim=-1), 5).double()
    weights = drawn.clone().requires_grad_()
    shift = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    images, labels = step.valid_batch
    loss = torch.nn.functional.cross_entropy(tested.supernet(images, weights, Controls(edge_shift=shift)), labels)
    by_weight, by_shift = torch.autograd.grad(loss, [weights, shift])
    by_h = drawn * by_weight
    if as_published:
        by_h = by_h + (1 - drawn) * by_shift[:, None]
    # dy_i/dA_j = y_i (1[i = j] - y_j) / tau
    return y * (by_h - (by_h * y).sum(dim=1, keepdim=True)) / temperature


@pytest.mark.parametrize("as_published", [False, True])
def test_the_alpha_gradient_is_the_straight_through_one_of_its_definition(as_published) -> None:
    tested = tiny_search(Gdas, {"as_published": as_published}, precision="float64", alpha__init_scale=1.0)
    noise = np.random.default_rng(1).gumbel(size=(6, 5))
    fixed_draw(tested, noise)
    step = first_step(tested)
    found = tested.variant.alpha_gradient(step)["alpha"]
    expected = definition(tested, step, noise, as_published)
    assert float(expected.abs().max()) > 1e-5
    assert torch.allclose(found, expected, rtol=1e-8, atol=1e-12)
    other = definition(tested, step, noise, not as_published)
    assert not torch.allclose(found, other, rtol=1e-3)


@pytest.mark.parametrize("temperature", [10.0, 0.1])
def test_draws_have_the_frequencies_of_softmax_at_every_temperature(temperature) -> None:
    tested = start(Gdas, {"precision": "float64"}, temperature=temperature, last_temperature=temperature)
    found = torch.stack(
        [
            tested.variant.op_weights({"alpha": spread_alpha()}, tested.moment(Phase.WEIGHTS, step))
            for step in range(4000)
        ]
    )
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert (found.sum(dim=-1) == 1).all()
    p = torch.softmax(spread_alpha(), dim=-1)
    counts = found.sum(dim=0)
    chi_square = ((counts - 4000 * p).square() / (4000 * p)).sum(dim=-1)
    assert (chi_square < 22).all()  # 4 degrees of freedom, p = 0.0002 for each of six edges


@pytest.mark.parametrize(("epoch", "temperature"), [(0, 10.0), (5, 5.05), (9, 1.09)])
def test_the_temperature_of_the_gradient_falls_linearly(epoch, temperature) -> None:
    tested = start(Gdas, {"precision": "float64", "epochs": 10})
    now = moment(tested, Phase.ALPHA, epoch)
    noise = np.zeros((6, 5))
    tested.variant._drawn = {Phase.ALPHA: (epoch, 0, noise)}
    alpha = spread_alpha().requires_grad_()
    found = tested.variant.op_weights({"alpha": alpha}, now)
    (slope,) = torch.autograd.grad(found.sum(), alpha)
    y = torch.softmax(torch.log_softmax(spread_alpha(), dim=-1) / temperature, dim=-1)
    of_drawn = y.max(dim=-1, keepdim=True).values
    corner = (y == of_drawn).double()
    assert torch.allclose(slope, of_drawn * (corner - y) / temperature, atol=1e-12)


def test_passes_of_a_step_agree_and_compute_the_drawn_operations_alone() -> None:
    tested = tiny_search(Gdas)
    for step in range(20):
        for phase in (Phase.WEIGHTS, Phase.ALPHA):
            now = tested.moment(phase, step)
            op_weights = tested.variant.op_weights(tested.architecture, now)
            active = torch.tensor(tested.variant.controls(tested.architecture, now).active)
            assert torch.equal(op_weights.detach().bool(), active)
            assert torch.equal(tested.variant.op_weights(tested.architecture, now), op_weights)
    first, second = (
        tested.variant.op_weights(tested.architecture, tested.moment(phase, 0))
        for phase in (Phase.WEIGHTS, Phase.ALPHA)
    )
    assert not torch.equal(first, second)  # each pass of a step has its own cell


def test_weights_of_other_operations_rest() -> None:
    tested = tiny_search(Gdas)
    noise = np.zeros((6, 5))
    noise[range(6), [3, 2, 0, 1, 3, 2]] = 100.0
    step = first_step(tested)
    fixed_draw(tested, noise)
    before = {name: value.clone() for name, value in tested.supernet.named_parameters()}
    tested.run_step(0, step.train_batch, step.valid_batch)
    moved = {name for name, value in tested.supernet.named_parameters() if not torch.equal(value, before[name])}
    for (source, target), column in zip(EDGES, [3, 2, 0, 1, 3, 2], strict=True):
        for operation in (CONV1, CONV3):
            touched = any(f".{source}_{target}.{operation}." in name for name in moved)
            assert touched == (operation == OPERATIONS[column])


def test_a_cell_without_a_path_teaches_alpha_nothing() -> None:
    tested = tiny_search(Gdas, precision="float64")
    noise = np.zeros((6, 5))
    noise[:, 0] = 100.0
    fixed_draw(tested, noise)
    assert torch.equal(tested.variant.alpha_gradient(first_step(tested))["alpha"], torch.zeros(6, 5).double())


def test_cells_are_derived_from_the_probabilities() -> None:
    tested = start(Gdas)
    now = moment(tested, Phase.DERIVE)
    assert torch.equal(tested.variant.op_weights({"alpha": spread_alpha()}, now), torch.softmax(spread_alpha(), dim=-1))
    assert tested.variant.controls({"alpha": spread_alpha()}, now) == Controls()


@pytest.mark.parametrize("as_published", [False, True])
def test_a_resumed_search_is_the_same_search(as_published) -> None:
    assert_resumes(Gdas, as_published=as_published)
