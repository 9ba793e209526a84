"""Real searches on the tiny protocol, without any file: the images are decoded once and shared by all tests."""

import copy
import io
from functools import cache
from typing import Any

import torch

from harness.images.batches import SearchData
from harness.images.decoded import ImageArrays, decode
from harness.search.loop import DTYPES, Search
from harness.search.steps import Step
from harness.search.variant import Moment, Phase, Variant
from harness.settings.protocol import DataSettings, Protocol
from tests.conftest import TINY_PROTOCOL
from tests.harness.search.test_loop import assert_same, without_timing

Changes = dict[str, Any]
"""Protocol keys, with `__` between the levels, and their values."""


def tiny_protocol(**changes) -> Protocol:
    """The tiny protocol; `changes` name nested keys as section__key."""
    content = copy.deepcopy(TINY_PROTOCOL)
    for key, value in changes.items():
        *path, last = key.split("__")
        section = content
        for part in path:
            section = section[part]
        section[last] = value
    return Protocol.model_validate(content)


def tiny_search(method: type[Variant], settings: dict | None = None, seed: int = 0, **changes) -> Search:
    protocol = tiny_protocol(**changes)
    return search_on(protocol.device, method, settings, seed, protocol)


def search_on(device: str, method: type[Variant], settings: dict | None, seed: int, protocol: Protocol) -> Search:
    """A search on a device, also on one that no protocol can name."""
    torch.set_num_threads(1)
    data = SearchData(
        _images(protocol.data.model_dump_json()),
        protocol.data,
        batch_size=protocol.batch_size,
        device=device,
        dtype=DTYPES[protocol.precision],
        seed=seed,
        epochs=protocol.epochs,
        valid_batches=protocol.alpha.batches,
    )
    return Search(method(method.Settings(**(settings or {})), protocol), protocol, data, seed)


@cache
def _images(settings: str) -> ImageArrays:
    return decode(DataSettings.model_validate_json(settings))


def start(method: type[Variant], protocol: Changes | None = None, seed: int = 0, **settings: Any) -> Search:
    """A search of the tiny protocol at its beginning."""
    return tiny_search(method, settings, seed, **(protocol or {}))


def row(search: Search) -> dict[str, str]:
    """One more epoch, without what differs between equal runs; as text, for NaN equals nothing."""
    return {key: str(value) for key, value in without_timing(search.run_epoch()).items()}


def first_step(search: Search) -> Step:
    """The first step of the current epoch."""
    batches = (next(iter(search.data.epoch(half, search.epoch))) for half in ("train", "valid"))
    return Step(search, 0, *batches)


def moment(search: Search, phase: Phase, epoch: int = 0, step: int = 0) -> Moment:
    """A moment of this search, at any epoch; its streams begin anew."""
    search.epoch, search._streams = epoch, {}
    return search.moment(phase, step, batch_size=search.protocol.batch_size)


def assert_resumes(method: type[Variant], protocol: Changes | None = None, **settings: Any) -> Search:
    """Kill a search of three epochs after each of the first two: the resumed ones are bit-equal. Returns it."""
    straight = start(method, protocol, **settings)
    saved, rows = [], []
    for _ in range(3):
        rows.append((row(straight), straight.alpha_rows))
        saved.append(_written(straight.state()))
    answer = straight.derive()
    for stop in (1, 2):
        resumed = start(method, protocol, **settings)
        resumed.load_state(_read(saved[stop - 1]))
        again = [(row(resumed), resumed.alpha_rows) for _ in range(stop, 3)]
        assert again == rows[stop:]
        assert_same(resumed.state(), _read(saved[-1]))
        assert resumed.derive() == answer
    return straight


def _written(state: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _read(content: bytes) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(io.BytesIO(content), weights_only=True)
    return loaded
