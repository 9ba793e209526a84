"""Steps and moments of tiny searches, and whether a search resumes."""

import io
from typing import Any

import torch

from harness.search.loop import Search
from harness.search.variant import Moment, Phase, Variant
from harness.testing import tiny_search
from tests.harness.search.test_loop import assert_same, without_timing

Changes = dict[str, Any]
"""Protocol keys, with `__` between the levels, and their values."""


def start(method: type[Variant], protocol: Changes | None = None, seed: int = 0, **settings: Any) -> Search:
    """A search of the tiny protocol at its beginning."""
    return tiny_search(method, settings, seed, **(protocol or {}))


def row(search: Search) -> dict[str, str]:
    """One more epoch, without what differs between equal runs; as text, for NaN equals nothing."""
    return {key: str(value) for key, value in without_timing(search.run_epoch()).items()}


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
