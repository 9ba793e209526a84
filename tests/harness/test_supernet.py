import pytest
import torch
from torch import Tensor

from harness.cell import EDGES, OPERATIONS, Cell, Shape
from harness.network import Network
from harness.supernet import CellControls, Controls, Supernet, SupernetSpec, statistics_untouched
from tests.harness import plain_supernet

SHAPE = Shape(channels=4, cells_per_stage=2, classes=5, image_channels=2, image_size=8)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(6, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def build(**changes) -> Supernet:
    torch.manual_seed(0)
    return Supernet(SupernetSpec(**{"shape": SHAPE, **changes})).double()


def mixture(*leading: int) -> Tensor:
    logits = torch.randn(*leading, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return torch.softmax(logits, dim=-1).requires_grad_()


def one_hot(cell: Cell) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor(cell.codes), len(OPERATIONS)).double()


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("leading", [(), (6,)])
def test_equals_the_plain_implementation(images: Tensor, affine: bool, leading: tuple[int, ...]) -> None:
    net, p = build(affine=affine), mixture(*leading)
    weights = dict(net.named_parameters())
    labels = torch.tensor([0, 1, 2, 3, 4, 0])

    ours = net(images, p)
    plain = plain_supernet.supernet(weights, images, p, SHAPE.cells_per_stage)
    assert torch.allclose(ours, plain, rtol=0, atol=1e-10)

    inputs = [p, *weights.values()]
    gradients = [
        torch.autograd.grad(torch.nn.functional.cross_entropy(logits, labels), inputs) for logits in (ours, plain)
    ]
    for found, expected in zip(*gradients, strict=True):
        assert torch.allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("index", [0, 11, 284, 9930, 1651, 2299])
def test_one_hot_op_weights_give_the_discrete_network(images: Tensor, index: int) -> None:
    cell, net = Cell.from_index(index), build()
    network = Network(cell, SHAPE, affine=False, track=False).double()
    shared = net.state_dict()
    own = {}
    for name in network.state_dict():
        parts = name.split(".")
        if parts[0] == "cells":
            source, target = map(int, parts[3].split("_"))
            parts.insert(4, cell.operation(source, target))
        own[name] = shared[".".join(parts)]
    network.load_state_dict(own)
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
    masks = tuple(torch.full((6, *shape), 0.5, dtype=torch.float64) for shape in net.feature_shapes(len(images)))
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
    active = tuple((name == (0, 3),) * 5 for name in EDGES)
    controls = Controls(active=active, channel_order=keys if random_order else None)
    scalars = tuple(tuple(row) for row in p)
    edge = EDGES.index((0, 3))
    found = cell._edge(features, edge, scalars[edge], CellControls.of(controls, 0))

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
    net, seen = build(partial_channels=2), []
    for cell in net.cells:
        cell.edges["0_1"]["nor_conv_3x3"].register_forward_hook(
            lambda _, inputs, __: seen.append(tuple(inputs[0].shape))
        )
    net(images, mixture())
    assert seen == net.feature_shapes(len(images))
