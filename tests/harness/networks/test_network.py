import pytest
import torch

from harness.networks.network import Network
from harness.space.cell import ALL_SKIP, RESIDUAL, Cell, Shape


@pytest.mark.parametrize("index", [0, 11, 284, 1651, 9930])
@pytest.mark.parametrize("shape", [Shape(), Shape(channels=4, cells_per_stage=2, classes=7, image_channels=1)])
def test_parameter_count_equals_the_closed_form(index: int, shape: Shape) -> None:
    network = Network(Cell.from_index(index), shape)
    assert sum(weight.numel() for weight in network.parameters()) == Cell.from_index(index).parameters(shape)


@pytest.mark.parametrize("index", [0, 11, 9930])
def test_flops_equal_a_count_over_the_layers(index: int) -> None:
    shape = Shape(channels=4, cells_per_stage=2, image_size=16)
    network, total = Network(Cell.from_index(index), shape), 0

    def count(layer, inputs, output):
        nonlocal total
        area = output.shape[2] * output.shape[3] if output.dim() == 4 else 1
        total += layer.weight.numel() * area
        if isinstance(layer, torch.nn.Linear):
            total += layer.bias.numel()

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.register_forward_hook(count)
    network(torch.randn(1, 3, 16, 16))
    assert total == Cell.from_index(index).flops(shape)


def test_a_cell_without_a_path_passes_zeros() -> None:
    network = Network(Cell(("none",) * 6), Shape(channels=2, cells_per_stage=1, image_size=8))
    assert torch.equal(network.cells[0](torch.randn(2, 2, 8, 8)), torch.zeros(2, 2, 8, 8))


def test_the_skip_cell_multiplies_its_input_by_the_number_of_paths() -> None:
    cell = Network(ALL_SKIP, Shape(channels=2, cells_per_stage=1, image_size=8)).cells[0]
    features = torch.randn(2, 2, 8, 8)
    assert torch.allclose(cell(features), 4 * features)


def test_all_weights_of_the_residual_cell_learn() -> None:
    network = Network(RESIDUAL, Shape(channels=2, cells_per_stage=1, image_size=8))
    network(torch.randn(4, 3, 8, 8)).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in network.parameters())
