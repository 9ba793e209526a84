"""Within an epoch nothing waits for the device: no step reads a number back from it, or waits for a copy to it.

Seen on a CPU, where that does no harm: every way to bring a tensor's content to Python is watched, and the making of
tensors on a device. On PyTorch's device `meta`, whose tensors hold nothing, it is an error, and so is to mix devices.
On CUDA PyTorch itself watches.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from harness.search import registry
from harness.search.baseline import Baseline
from harness.search.loop import Search
from harness.search.meter import Meter
from harness.search.steps import Batch
from harness.testing import tiny_protocol, tiny_search
from harness.testing.searches import search_on
from tests.conftest import ROOT, slow_but_for

READING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::masked_select"}
METHODS = ("tolist", "numpy", "cpu")
MAKING = ("tensor", "as_tensor")
"""With a device they copy, and wait until that is done."""

ALLOWED = {
    "optim/optimizer.py _get_value": "Adam counts its steps on the host",
    "harness/networks/supernet.py nonzero_operations": "the cell of a step was drawn on the host",
    "variants/rsps.py one_hot": "likewise",
    "harness/search/loop.py one_hot": "likewise",
}
READING_VARIANTS = {
    "drnas": {"variants/drnas.py sample_dirichlet"},  # drawn on the host, so that a seed draws the same everywhere
    "drnas-progressive": {"variants/drnas.py sample_dirichlet"},
    "enas-lite": {
        "variants/enas_lite.py draw_cells",
        "harness/search/loop.py one_shot_accuracy",
    },  # its reward is a number
    "gdas": set(),  # which operations a pass computes: alpha and the noise decide together, by `nonzero_operations`
}
"""What some methods read once or twice a step, by their nature."""
ON_META_AT_ONCE = ("darts", "rsps")
"""The others, which only change what these do, are among the slow tests: without content each takes seconds."""


class Reads(TorchDispatchMode):
    """Notes where tensors are read."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function._schema.name in READING:
            self.note()
        return function(*args, **(kwargs or {}))

    def note(self) -> None:
        """Remember the innermost of our functions, or of the optimisers', that is at work."""
        for frame in reversed(traceback.extract_stack()):
            path = Path(frame.filename)
            own = path.is_relative_to(ROOT / "harness") or path.is_relative_to(ROOT / "variants")
            if own or path.parent.name == "optim":
                place = path.relative_to(ROOT if own else path.parent.parent)
                self.places.append(f"{place} {frame.name}")
                return


@contextmanager
def reads() -> Iterator[Reads]:
    noted = Reads()

    def watched(name: str) -> Any:
        original = getattr(torch.Tensor, name)

        def method(tensor: torch.Tensor, *arguments: Any, **options: Any) -> Any:
            noted.note()
            return original(tensor, *arguments, **options)

        return method

    def making(name: str) -> Any:
        original = getattr(torch, name)

        def function(*arguments: Any, **options: Any) -> Any:
            if "device" in options:
                noted.note()
            return original(*arguments, **options)

        return function

    with (
        patch.multiple(torch.Tensor, **{name: watched(name) for name in METHODS}),
        patch.multiple(torch, **{name: making(name) for name in MAKING}),
        noted,
    ):
        yield noted


def both_halves(search: Search) -> Iterator[tuple[Batch, Batch]]:
    return zip(search.data.epoch("train", search.epoch), search.data.epoch("valid", search.epoch), strict=True)


def steps(search: Search) -> list[str]:
    """Run the steps of the next epoch; return where something was read."""
    search.meter = Meter()
    search._streams = {}
    with reads() as noted:
        for index, (train, valid) in enumerate(both_halves(search)):
            search.run_step(index, train, valid)
    return noted.places


VARIANTS = [name for name, method in registry.methods().items() if not issubclass(method, Baseline)]


@pytest.mark.parametrize("name", slow_but_for(ON_META_AT_ONCE, VARIANTS))
def test_steps_read_nothing_from_the_device(name: str) -> None:
    search = tiny_search(registry.variant(name), epochs=4, diagnostics__every=None)
    search.run_epoch()  # a warm-up without alpha steps is over after it, in most
    found = set(steps(search)) - set(ALLOWED)
    assert found == READING_VARIANTS.get(name, set())


@pytest.mark.parametrize("name", slow_but_for(ON_META_AT_ONCE, sorted(set(VARIANTS) - set(READING_VARIANTS))))
def test_steps_need_no_number_and_keep_to_their_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Search, "arithmetic", lambda self: nullcontext())  # torch.autocast does not know the device
    search = search_on("meta", registry.variant(name), None, 0, tiny_protocol(epochs=4))
    for epoch in range(search.protocol.epochs):
        search.epoch = epoch
        for index, (train, valid) in enumerate(both_halves(search)):
            search.run_step(index, train, valid)
    with pytest.raises(RuntimeError, match="meta"):
        search.meter.ratio("train/loss", "train/batches")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("name", sorted(set(VARIANTS) - set(READING_VARIANTS)))
def test_steps_wait_for_nothing_on_cuda(name: str) -> None:
    search = tiny_search(registry.variant(name), epochs=4, diagnostics__every=None, device="cuda")
    search.run_epoch()
    search.meter = Meter()
    search._streams = {}
    batches = list(both_halves(search))
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for index, (train, valid) in enumerate(batches):
            search.run_step(index, train, valid)
    finally:
        torch.cuda.set_sync_debug_mode(before)


def test_a_read_is_seen() -> None:
    search = tiny_search(registry.variant("darts"))
    search.run_epoch()
    original = Search.run_step

    def reading(self: Search, *arguments: Any) -> None:
        original(self, *arguments)
        assert self.finite

    with patch.object(Search, "run_step", reading):
        assert set(steps(search)) - set(ALLOWED)
