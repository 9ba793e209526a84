import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks.roofline import COMPILED, Peaks, Traffic, Work, count, count_ways, main, measure_peaks, roofline_table
from benchmarks.step_ways import QUICK, WAYS
from tests.benchmarks.pages import quick_page

ROW = 4 * 1000
"""Bytes of the tensors below."""


@pytest.mark.parametrize(
    ("action", "tensors"),
    [
        (lambda one, other: one + other, 3),
        (lambda one, other: one * one, 2),
        (lambda one, other: one.add_(other), 3),
        (lambda one, other: one.copy_(other), 2),
        (lambda one, other: one.zero_(), 1),
        (lambda one, other: one.view(10, 100).t()[2:], 0),
        (lambda one, other: torch.empty_like(one), 0),
        (lambda one, other: torch.zeros(1000), 1),
        (lambda one, other: torch._foreach_add_([one, other], [other, one]), 4),
        (lambda one, other: torch.add(one, other, out=torch.empty(1000)), 3),
        (lambda one, other: torch.cat([one, other]), 4),
        (lambda one, other: one[:250] + other[:250], 0.75),
    ],
)
def test_traffic_is_what_an_operator_reads_and_writes(
    action: Callable[[torch.Tensor, torch.Tensor], object], tensors: float
) -> None:
    one, other = torch.ones(1000), torch.ones(1000)
    with Traffic() as traffic:
        action(one, other)
    assert traffic.bytes == tensors * ROW


def test_an_expanded_tensor_is_as_small_as_it_is_in_memory() -> None:
    one, scalar = torch.ones(1000), torch.ones(1)
    with Traffic() as traffic:
        _ = one * scalar.expand(1000)
    assert traffic.bytes == 2 * ROW + 4


def test_the_backward_pass_counts_too() -> None:
    left, right = torch.ones(20, 30, requires_grad=True), torch.ones(30, 40)

    def step() -> None:
        torch.autograd.grad((left @ right).sum(), left)

    work = count(step)
    assert work.flops == 2 * (2 * 20 * 30 * 40)
    assert work.bytes >= 4 * 2 * (20 * 30 + 30 * 40 + 20 * 40)


def test_ways_differ_in_arithmetic_and_traffic_as_they_should() -> None:
    peer = next(iter(WAYS))
    works = count_ways(QUICK, (peer, "per edge", COMPILED, "fused"))
    assert list(works) == [peer, "per edge", COMPILED, "fused"]
    # Fusing saves traffic and no arithmetic.
    assert works["fused"].flops == works["per edge"].flops == works[COMPILED].flops
    assert works["fused"].bytes < works["per edge"].bytes
    assert math.isnan(works[COMPILED].bytes)
    # Public codes take gradients of the weights in both steps, this project in one of them.
    assert works[peer].flops == pytest.approx(6 / 5 * works["fused"].flops, rel=0.05)


def test_the_bound_is_the_larger_time() -> None:
    works = {"fused": Work(flops=8e9, bytes=6e9), COMPILED: Work(flops=8e9, bytes=math.nan)}
    table = roofline_table(works, {"fused": 12.0, COMPILED: 6.0}, Peaks(flops=2e9, bytes=1e9)).set_index("way")
    assert table.loc["fused", "by arithmetic, ms"] == 4000
    assert table.loc["fused", "by memory, ms"] == 6000
    assert table.loc["fused", "step over the larger"] == 2
    assert table.loc["fused", "% of peak"] == pytest.approx(100 / 3)
    assert table.loc[COMPILED, "step over the larger"] == 1.5
    assert math.isnan(table.loc[COMPILED, "by memory, ms"])


def test_the_peaks_are_of_this_world() -> None:
    peaks = measure_peaks(rows=128, copied=1 << 20, rounds=3)
    assert 1e8 < peaks.flops < 1e13
    assert 1e8 < peaks.bytes < 1e13


def test_the_page_says_against_what(tmp_path: Path) -> None:
    page, table = quick_page(main, tmp_path, "--way", "per edge", "--way", "fused")
    assert list(table["way"]) == ["per edge", "fused"]
    assert "unfused traffic" in page
