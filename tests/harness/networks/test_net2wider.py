from dataclasses import replace

import pytest
import torch

from harness.networks.layers import ConvolutionBlock
from harness.networks.net2wider import widen
from harness.networks.supernet import Supernet, SupernetSpec
from harness.space.cell import Shape


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("wide", [6, 8, 9])
def test_a_widened_layer_computes_the_same_on_duplicated_channels(kernel: int, affine: bool, wide: int) -> None:
    torch.manual_seed(0)
    old = ConvolutionBlock(3, 3, kernel, affine=affine).double()
    new = ConvolutionBlock(wide, wide, kernel, affine=affine).double()
    for parameter in old.parameters():
        torch.nn.init.normal_(parameter)
    features = torch.randn(4, 3, 5, 5, dtype=torch.float64)
    old(features)  # gives the running statistics values of their own
    widen(old, new)
    copied = torch.arange(wide) % 3
    # By running and by batch statistics.
    for training in (False, True):
        old.train(training), new.train(training)
        assert torch.allclose(new(features[:, copied]), old(features)[:, copied], atol=1e-12)


def test_a_supernet_keeps_all_that_has_its_shape() -> None:
    torch.manual_seed(0)
    spec = SupernetSpec(Shape(channels=4, cells_per_stage=1, classes=3, image_channels=1, image_size=8))
    narrow = Supernet(replace(spec, partial_channels=4))
    wide = Supernet(replace(spec, partial_channels=2))
    widen(narrow, wide)
    before, after = narrow.state_dict(), wide.state_dict()
    grown = [name for name in after if after[name].shape != before[name].shape]
    assert grown
    assert all(name.startswith("cells.") for name in grown)
    assert all(torch.equal(after[name], before[name]) for name in after if name not in grown)
    name = "cells.0.edges.0_1.nor_conv_3x3.convolution.weight"
    assert after[name].shape == (2, 2, 3, 3)
    assert torch.equal(after[name], before[name].expand(2, 2, 3, 3) / 2)
    assert next(wide.parameters()).requires_grad
