"""The optimisers move tensors as PyTorch's classes do, to the last bit, and go on from a saved state."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.search.optimizers import SGD, Adam, Optimizer

SHAPES = ((3, 2), (4,), ())
settings_of_sgd = st.fixed_dictionaries(
    {
        "lr": st.floats(1e-4, 1.0),
        "momentum": st.sampled_from([0.0, 0.9]),
        "weight_decay": st.sampled_from([0.0, 3e-4]),
    }
).flatmap(lambda own: st.fixed_dictionaries({**{k: st.just(v) for k, v in own.items()}, "nesterov": nesterov(own)}))
settings_of_adam = st.fixed_dictionaries(
    {
        "lr": st.floats(1e-4, 1.0),
        "betas": st.sampled_from([(0.5, 0.999), (0.0, 0.999), (0.9, 0.9)]),
        "weight_decay": st.sampled_from([0.0, 1e-3]),
    }
)
present = st.lists(st.tuples(*[st.booleans()] * len(SHAPES)), min_size=1, max_size=5)
"""Which tensors have a gradient, step by step."""


def nesterov(own: dict[str, Any]) -> st.SearchStrategy[bool]:
    return st.booleans() if own["momentum"] else st.just(False)


def tensors(dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in SHAPES]


def move(optimizer: Any, parameters: list[Tensor], steps: list[tuple[bool, ...]], first: int = 0) -> None:
    for number, there in enumerate(steps, first):
        generator = torch.Generator().manual_seed(number)
        for parameter, has in zip(parameters, there, strict=True):
            gradient = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.grad = gradient if has else None
        optimizer.step()


def assert_moved_alike(
    own: Callable[..., Optimizer], theirs: Callable[..., torch.optim.Optimizer], values: dict[str, Any], steps: Any
) -> None:
    for dtype in (torch.float32, torch.float64):
        ours, expected = tensors(dtype), tensors(dtype)
        move(own(ours, **values), ours, steps)
        move(theirs(expected, **values), expected, steps)
        assert all(map(torch.equal, ours, expected))


@settings(deadline=None)  # the first of PyTorch's own imports a compiler
@given(settings_of_sgd, present)
def test_sgd_moves_as_pytorchs(values: dict[str, Any], steps: list[tuple[bool, ...]]) -> None:
    assert_moved_alike(SGD, torch.optim.SGD, values, steps)


@settings(deadline=None)  # the first of PyTorch's own imports a compiler
@given(settings_of_adam, present)
def test_adam_moves_as_pytorchs(values: dict[str, Any], steps: list[tuple[bool, ...]]) -> None:
    assert_moved_alike(Adam, torch.optim.Adam, values, steps)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda own: SGD(own, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3),
        lambda own: Adam(own, lr=0.1, betas=(0.5, 0.999), weight_decay=1e-3),
    ],
)
def test_it_goes_on_from_its_state_alone_and_shares_none_of_it(optimizer: Callable[..., Optimizer]) -> None:
    whole, parts = tensors(torch.float32), tensors(torch.float32)
    steps = [(True, False, True), (True, True, True), (False, True, True), (True, True, False)]
    undisturbed = optimizer(whole)
    move(undisturbed, whole, steps[:2])
    first = optimizer(parts)
    move(first, parts, steps[:2])

    others = [one.detach().clone().requires_grad_() for one in parts]
    second = first.for_others(others)
    move(first, parts, steps, first=9)  # whatever it does now is not the other's
    move(second, others, steps[2:], first=2)
    move(undisturbed, whole, steps[2:], first=2)
    assert all(map(torch.equal, others, whole))


def test_a_search_does_not_import_pytorchs_compiler() -> None:
    program = (
        "import sys, pathlib;"
        "from harness.testing import tiny_search;"
        "from variants.darts import Darts;"
        "search = tiny_search(Darts);"
        "search.run_epoch();"
        "search.load_state(search.state());"
        "print('torch._dynamo' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, encoding="utf-8")
    assert told.stdout.strip() == "False"
