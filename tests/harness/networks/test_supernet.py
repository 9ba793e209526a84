from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from benchmarks.plain_supernet import PlainSupernet
from harness.networks.mixed_cell import OpWeights
from harness.networks.supernet import Controls, Supernet, SupernetSpec, statistics_untouched
from harness.space.cell import EDGES, OPERATIONS, Cell, Shape
from harness.theory.expressivity import discrete_network, one_hot
from tests.harness.networks import plain_supernet

SHAPE = Shape(channels=4, cells_per_stage=2, classes=5, image_channels=2, image_size=8)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(6, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def build(network: type[Supernet] = Supernet, **changes) -> Supernet:
    torch.manual_seed(0)
    return network(SupernetSpec(**{"shape": SHAPE, **changes})).double()


def mixture(*leading: int) -> Tensor:
    logits = torch.randn(*leading, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return torch.softmax(logits, dim=-1).requires_grad_()


LABELS = torch.tensor([0, 1, 2, 3, 4, 0])


def loss_gradients(logits: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradient of a loss; zero for a tensor without a part in it, such as a bias before a batch norm."""
    loss = torch.nn.functional.cross_entropy(logits, LABELS)
    found = torch.autograd.grad(loss, inputs, allow_unused=True)
    return [torch.zeros_like(one) if given is None else given for one, given in zip(inputs, found, strict=True)]


def assert_equal(found: Sequence[Tensor], expected: Sequence[Tensor], tolerance: float = 1e-10) -> None:
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=tolerance)


def assert_equals_plain(net: Supernet, images: Tensor, p: Tensor, controls: Controls | None = None) -> None:
    """Compare logits and gradients of p and of the weights, together and each alone, with the definition in loops."""
    weights = dict(net.named_parameters())
    given = [] if controls is None else [controls.edge_weights, controls.edge_shift]
    further = [one for one in given if one is not None]
    plain = plain_supernet.supernet(
        weights, images, p, net.spec.shape.cells_per_stage, controls, net.spec.partial_channels
    )
    assert torch.allclose(net(images, p, controls), plain, rtol=0, atol=1e-10)
    inputs = [p, *further, *weights.values()]
    expected = loss_gradients(plain, inputs)
    assert expected[0].abs().max() > 1e-4
    assert_equal(loss_gradients(net(images, p, controls), inputs), expected)
    assert_equal(loss_gradients(net(images, p, controls), inputs[:1]), expected[:1])
    assert_equal(loss_gradients(net(images, p.detach(), controls), inputs[1:]), expected[1:])


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("leading", [(), (6,)])
def test_equals_the_plain_implementation(images: Tensor, affine: bool, leading: tuple[int, ...]) -> None:
    net = build(affine=affine)
    if affine:
        randomise_norms(net)
    assert_equals_plain(net, images, mixture(*leading))


def randomise_norms(net: Supernet) -> None:
    """Move scales and shifts away from 1 and 0."""
    with torch.no_grad():
        for weight in net.parameters():
            if weight.dim() == 1:
                weight.add_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(len(weight))))


def random_numbers(*shape: int) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def some_active(of: int, remainder: int) -> tuple[tuple[bool, ...], ...]:
    return tuple(tuple((2 * edge + op) % of == remainder for op in range(5)) for edge in range(6))


def one_active_each() -> tuple[tuple[bool, ...], ...]:
    """Every operation but the 3x3 convolution on one edge; that one on two."""
    return tuple(tuple(op == chosen for op in range(5)) for chosen in (2, 3, 1, 4, 0, 3))


def skip_masks(spec: SupernetSpec) -> tuple[Tensor, ...]:
    return tuple(random_numbers(6, *shape).round() for shape in spec.feature_shapes(batch=6))


CONTROLS = {
    "half of the operations": lambda spec: Controls(active=some_active(2, 0)),
    "the other half": lambda spec: Controls(active=some_active(2, 1)),
    "a third of the operations": lambda spec: Controls(active=some_active(3, 2)),
    "one operation an edge": lambda spec: Controls(active=one_active_each()),
    "edge weights": lambda spec: Controls(edge_weights=random_numbers(6).requires_grad_()),
    "operation scale": lambda spec: Controls(operation_scale=random_numbers(6, 6, 5, 6)),
    "skip masks": lambda spec: Controls(skip_masks=skip_masks(spec)),
    "channel order": lambda spec: Controls(channel_order=random_numbers(6, 6, 16)),
    "edge shift": lambda spec: Controls(edge_shift=random_numbers(6).requires_grad_()),
    "edge shift beside one operation an edge": lambda spec: Controls(
        active=one_active_each(), edge_shift=random_numbers(6).requires_grad_()
    ),
    "all": lambda spec: Controls(
        active=some_active(3, 1),
        edge_weights=random_numbers(6).requires_grad_(),
        operation_scale=random_numbers(6, 6, 5, 6),
        skip_masks=skip_masks(spec),
        channel_order=random_numbers(6, 6, 16),
        edge_shift=random_numbers(6).requires_grad_(),
    ),
}


@pytest.mark.parametrize("partial_channels", [1, 2])
@pytest.mark.parametrize("name", CONTROLS)
def test_controls_equal_the_plain_implementation(images: Tensor, name: str, partial_channels: int) -> None:
    net = build(partial_channels=partial_channels, gradient_checkpointing=name == "all", affine=name == "all")
    controls = CONTROLS[name](net.spec)
    assert_equals_plain(net, images, mixture(*(6,) if name == "all" else ()), controls)


def test_partial_channels_of_four_equal_the_plain_implementation(images: Tensor) -> None:
    assert_equals_plain(build(partial_channels=4), images, mixture())


def test_gradients_in_float32_are_those_of_float64_within_rounding(images: Tensor) -> None:
    net, p = build(), mixture()
    exact = loss_gradients(net(images, p), [p, *net.parameters()])
    single, p32 = net.float(), p.detach().float().requires_grad_()
    found = loss_gradients(single(images.float(), p32), [p32, *single.parameters()])
    for one, other in zip(found, exact, strict=True):
        assert (one - other).norm() <= 1e-4 * other.norm()


def running_statistics(net: Supernet) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in net.named_buffers()}


@pytest.mark.parametrize("affine", [False, True])
def test_running_statistics_are_those_of_separate_batch_norms(images: Tensor, affine: bool) -> None:
    changes = {"batch_statistics": False, "affine": affine}
    net, plain = build(**changes), build(PlainSupernet, **changes)
    active = some_active(3, 0)
    for controls in (None, Controls(active=active)):
        assert_equal([net(images, mixture(), controls)], [plain(images, mixture(), controls)])
    ours, theirs = running_statistics(net), running_statistics(plain)
    assert ours.keys() == theirs.keys()
    assert_equal(list(ours.values()), list(theirs.values()))
    assert {int(count) for name, count in ours.items() if "num_batches" in name and "cells" in name} == {1, 2}
    # Evaluation normalises by the running statistics, and there a bias counts.
    net.eval(), plain.eval()
    p = mixture()
    inputs = [p, *net.parameters()]
    assert_equal([net(images, p)], [plain(images, p)])
    assert_equal(loss_gradients(net(images, p), inputs), loss_gradients(plain(images, p), [p, *plain.parameters()]))
    assert_equal(list(running_statistics(net).values()), list(ours.values()), tolerance=0)


def test_a_bias_before_batch_statistics_has_no_gradient(images: Tensor) -> None:
    net = build()
    biases = [weight for name, weight in net.named_parameters() if name.endswith("convolution.bias")]
    loss = net(images, mixture()).square().sum()
    assert len(biases) == 72
    assert set(torch.autograd.grad(loss, biases, allow_unused=True)) == {None}


def test_inactive_op_weights_and_operations_take_no_part(images: Tensor) -> None:
    net, p = build(), mixture()
    active = some_active(2, 0)
    poisoned = torch.where(torch.tensor(active), p.detach(), torch.nan).requires_grad_()
    with torch.no_grad():
        for edge, (source, target) in enumerate(EDGES):
            for column, operation in enumerate(OPERATIONS):
                if operation.startswith("nor_conv") and not active[edge][column]:
                    for cell in net.cells:
                        cell.edges[f"{source}_{target}"][operation].convolution.weight.fill_(torch.nan)
    logits = net(images, poisoned, Controls(active=active))
    assert logits.isfinite().all()
    (gradient,) = torch.autograd.grad(logits.square().sum(), poisoned)
    assert gradient.isfinite().all()
    assert not gradient[~torch.tensor(active)].any()


@pytest.mark.parametrize("index", [0, 11, 284, 9930, 1651, 2299])
def test_one_hot_op_weights_give_the_discrete_network(images: Tensor, index: int) -> None:
    cell, net = Cell.from_index(index), build()
    network = discrete_network(net, cell)
    assert torch.allclose(net(images, one_hot(cell)), network(images), rtol=0, atol=1e-10)


def test_wrong_shape_is_refused(images: Tensor) -> None:
    with pytest.raises(ValueError, match=r"\[6, 5\] or \[6, 6, 5\]"):
        build()(images, torch.ones(5, 6))


def test_checkpointing_changes_neither_result_nor_statistics(images: Tensor) -> None:
    states = []
    for checkpointing in (False, True):
        net, p = build(gradient_checkpointing=checkpointing, batch_statistics=False), mixture()
        logits = net(images, p)
        gradients = torch.autograd.grad(logits.square().sum(), [p, *net.parameters()])
        buffers = [value for name, value in net.named_buffers() if "running" in name]
        states.append([logits, *gradients, *buffers])
    for plain, checkpointed in zip(*states, strict=True):
        assert torch.equal(plain, checkpointed)


def test_statistics_stay_untouched_on_request(images: Tensor) -> None:
    net = build(batch_statistics=False)
    before = {name: value.clone() for name, value in net.named_buffers() if "running" in name}
    with statistics_untouched(net):
        net(images, mixture())
    assert all(torch.equal(value, before[name]) for name, value in net.named_buffers() if name in before)
    net(images, mixture())
    assert not all(torch.equal(value, before[name]) for name, value in net.named_buffers() if name in before)


def test_inactive_operations_count_as_zero(images: Tensor) -> None:
    net, p = build(), mixture()
    active = tuple(tuple((edge + op) % 2 == 0 for op in range(5)) for edge in range(6))
    mask = torch.tensor(active, dtype=torch.float64)
    assert torch.allclose(net(images, p, Controls(active=active)), net(images, p * mask), rtol=0, atol=1e-12)


def test_operation_scale_acts_per_sample(images: Tensor) -> None:
    net, p = build(), mixture()
    scale = torch.rand(6, 6, 5, 1, dtype=torch.float64)
    uniform = net(images, p, Controls(operation_scale=scale.expand(6, 6, 5, len(images))))
    assert torch.allclose(uniform, net(images, p * scale[..., 0]), rtol=0, atol=1e-10)


def test_edge_weights_and_skip_masks(images: Tensor) -> None:
    net, p = build(), mixture()
    factors = torch.rand(6, dtype=torch.float64)
    assert torch.allclose(
        net(images, p, Controls(edge_weights=factors)), net(images, p * factors[:, None]), rtol=0, atol=1e-10
    )
    masks = tuple(torch.full((6, *shape), 0.5, dtype=torch.float64) for shape in net.spec.feature_shapes(len(images)))
    halved = p.detach().clone()
    halved[:, OPERATIONS.index("skip_connect")] /= 2
    assert torch.allclose(net(images, p, Controls(skip_masks=masks)), net(images, halved), rtol=0, atol=1e-10)


@pytest.mark.parametrize("random_order", [False, True])
def test_partial_channels_against_one_edge_written_out(random_order: bool) -> None:
    net = build(partial_channels=2)
    cell = net.cells[0]
    features = torch.randn(3, 4, 8, 8, dtype=torch.float64)
    p = mixture().detach()
    order = torch.tensor([2, 0, 3, 1]) if random_order else torch.arange(4)
    keys = torch.empty(6, 6, 16, dtype=torch.float64)
    keys[:, :, :4] = order.argsort().double()
    # Only the edge 0>3 carries anything, so the cell's output is that edge.
    edge = EDGES.index((0, 3))
    weights = torch.tensor([float(number == edge) for number in range(6)], dtype=torch.float64)
    controls = Controls(edge_weights=weights, channel_order=keys if random_order else None)
    found = cell(features, OpWeights(p * weights[:, None], channels=2), controls.of_cell(0))

    chosen = features[:, order[:2]]
    blocks = cell.edges["0_3"]
    mixed = (
        p[edge, 1] * chosen
        + p[edge, 2] * blocks["nor_conv_1x1"](chosen)
        + p[edge, 3] * blocks["nor_conv_3x3"](chosen)
        + p[edge, 4] * plain_supernet.pool3(chosen)
    )
    if random_order:
        expected = features.clone()
        expected[:, order[:2]] = mixed
    else:
        # Shuffled: first of the mixed, first of the bypassed, second of the mixed, second of the bypassed.
        expected = torch.stack([mixed[:, 0], features[:, 2], mixed[:, 1], features[:, 3]], dim=1)
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)


def test_feature_shapes_are_those_of_the_cells(images: Tensor) -> None:
    # The plain network calls each operation as a module, which can be watched.
    net, seen = build(PlainSupernet, partial_channels=2), []
    for cell in net.cells:
        cell.edges["0_1"]["nor_conv_3x3"].register_forward_hook(
            lambda _, inputs, __: seen.append(tuple(inputs[0].shape))
        )
    net(images, mixture())
    assert seen == net.spec.feature_shapes(len(images))
