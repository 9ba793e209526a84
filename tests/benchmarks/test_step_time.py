from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from benchmarks.step_time import Timing, main, memory_table, time_table
from benchmarks.step_ways import MEMORY_WAYS, QUICK, WAYS, PeerSupernet, Size, shape
from harness.networks.supernet import Supernet, SupernetSpec
from tests.benchmarks.pages import quick_page

TRACED = ("fused and compiled", "fused and compiled, bfloat16")
"""Build C++ code, which takes minutes where it was never done before."""


def test_the_peers_network_computes_the_same_function() -> None:
    networks = []
    for kind in (PeerSupernet, Supernet):
        torch.manual_seed(0)
        networks.append(kind(SupernetSpec(shape(QUICK))).double())
    images = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    op_weights = torch.softmax(torch.randn(6, 5, dtype=torch.float64), dim=-1)
    peer, ours = (network(images, op_weights) for network in networks)
    assert torch.allclose(peer, ours, rtol=0, atol=1e-10)


@pytest.mark.parametrize("way", [way for way in MEMORY_WAYS if way not in TRACED])
def test_every_way_moves_weights_and_alpha(way: str) -> None:
    search = MEMORY_WAYS[way](QUICK)
    weight = search.network.cells[0].blocks[0]["nor_conv_3x3"].convolution.weight
    before = weight.detach().clone(), search.alpha.detach().clone()
    for _ in range(5):  # into the second epoch
        search.step()
    assert not torch.equal(weight, before[0])
    assert not torch.equal(search.alpha, before[1])


def test_ratios_are_of_medians() -> None:
    slow = Timing(wall=[4.0, 6.0, 50.0], cpu=[3.0, 3.0, 3.0], first=1.0)
    fast = Timing(wall=[1.0, 2.0, 3.0], cpu=[1.0, 1.0, 1.5], first=9.0)
    table = time_table({"slow": slow, "fast": fast}).set_index("way")
    assert table.loc["fast", "times faster"] == 3
    assert table.loc["fast", "times less CPU"] == 3
    assert table.loc["slow", "times faster"] == 1
    assert table.loc["slow", "slowest"] == 50


def test_the_page_says_how_it_was_made(tmp_path: Path) -> None:
    ways = [way for way in WAYS if way not in TRACED]
    text, table = quick_page(main, tmp_path, "--no-memory", *(part for way in ways for part in ("--way", way)))
    assert list(table["way"]) == ways
    assert "CPU seconds" in text
    assert "Memory" not in text


def test_a_size_that_cannot_be_is_one_sentence() -> None:
    result = CliRunner().invoke(main, ["--no-memory", "--image-size", "30"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: C = 16, N = 5, batch 64, 30x30 images: data.image_size: ")
    assert result.output.count("\n") == 1


@pytest.mark.slow
def test_memory_is_measured_of_a_step() -> None:
    size = Size(cells_per_stage=1, channels=4, batch=64, image_size=32)
    table = memory_table(size, ["per edge"]).set_index("way")["MiB a step"]
    # The outputs of both convolutions on six edges, before and after the batch norm: 4 x 6 tensors of 1 MiB in stage 1,
    # half as much in stage 2 and a quarter in stage 3; and one ReLU an edge.
    assert 24 < table["per edge"] < 2 * 1.75 * 30
