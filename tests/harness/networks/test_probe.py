import copy

import pytest
import torch
from torch import Tensor

from harness.base.errors import UserError
from harness.networks.probe import probe
from harness.networks.supernet import Controls, Supernet, nonzero_operations
from harness.space.cell import EDGES
from tests.harness.networks import plain_supernet
from tests.harness.networks.test_supernet import build, mixture, randomise_norms


@pytest.fixture
def images() -> Tensor:
    return torch.randn(6, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def record_relus(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What every ReLU of the plain network in loops is given, in turn."""
    seen: list[Tensor] = []
    clamp = Tensor.clamp

    def recorded(tensor: Tensor, *args: float, **options: float) -> Tensor:
        seen.append(tensor)
        return clamp(tensor, *args, **options)

    monkeypatch.setattr(Tensor, "clamp", recorded)
    return seen


@pytest.mark.parametrize("leading", [(), (6,)])
@pytest.mark.parametrize("affine", [False, True])
def test_it_hands_out_what_a_plain_unfused_net_computes(
    images: Tensor, leading: tuple[int, ...], affine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, p = build(affine=affine), mixture(*leading).detach()
    if affine:
        randomise_norms(net)
    before = copy.deepcopy(net.state_dict())
    parts = list(probe(net, images, p))
    assert [part.cell for part in parts] == [0, 1, None, 2, 3, None, 4, 5, None]
    assert torch.allclose(parts[-1].features, net(images, p), rtol=0, atol=1e-10)
    net.load_state_dict(before)
    weights = dict(net.named_parameters())
    seen = record_relus(monkeypatch)
    logits = plain_supernet.supernet(weights, images, p, 2)
    assert torch.allclose(parts[-1].features, logits, rtol=0, atol=1e-10)
    inputs = [tensor for part in parts for tensor, count in part.relu_inputs for _ in range(count)]
    assert len(inputs) == len(seen) == 6 * 12 + 2 * 2 + 1
    # In the order of a pass or not: the sums over all ReLUs are the same, and so are those of their squares.
    for power in (1, 2):
        sums = [sorted(float((one.detach() ** power).sum()) for one in ones) for ones in (inputs, seen)]
        assert sums[0] == pytest.approx(sums[1], abs=1e-8)
    sources = {0: parts[0].relu_inputs[0][0], 1: parts[0].relu_inputs[1][0], 2: parts[0].relu_inputs[2][0]}
    for (edge, column), output in parts[0].outputs.items():
        expected = plain_supernet.operation(sources[EDGES[edge][0]], weights, 0, edge, column)
        assert torch.allclose(output, expected, rtol=0, atol=1e-10)
    assert len(parts[0].outputs) == 30


def test_it_moves_no_statistic(images: Tensor) -> None:
    net = build(batch_statistics=False)
    before = copy.deepcopy(net.state_dict())
    list(probe(net, images, mixture().detach()))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_only_what_is_active_has_an_output_and_a_relu(images: Tensor) -> None:
    net, p = build(), torch.zeros(6, 5, dtype=torch.float64)
    p[0, 3] = p[1, 1] = p[5, 2] = p[3, 4] = 0.5
    active = nonzero_operations(p)
    parts = list(probe(net, images, p, active))
    assert set(parts[0].outputs) == {(0, 3), (1, 1), (5, 2), (3, 4)}
    assert [count for _, count in parts[0].relu_inputs] == [1, 1]  # of nodes 0 and 2
    assert torch.allclose(parts[-1].features, net(images, p, Controls(active=active)), rtol=0, atol=1e-10)


def test_initial_statistics_are_those_of_a_new_network_in_evaluation(images: Tensor) -> None:
    net: Supernet = build(batch_statistics=False)
    p = mixture().detach()
    expected = copy.deepcopy(net).eval()(images, p)
    for _ in range(3):
        net(images, p)  # moves the running statistics
    assert torch.allclose(list(probe(net, images, p, statistics="initial"))[-1].features, expected, rtol=0, atol=1e-10)


def test_a_part_of_the_channels_is_refused(images: Tensor) -> None:
    with pytest.raises(UserError, match="needs a network whose edges take all channels"):
        list(probe(build(partial_channels=2), images, mixture().detach()))
