"""A few real steps of a search on this device, to learn what a pass costs under a protocol that was never run."""

import itertools
import json
import math
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.base.files import STATE, read_text, whole_file
from harness.board.search_size import cost_settings, image_form
from harness.search import registry
from harness.settings.protocol import Board, Protocol
from harness.settings.validation import content_hash

if TYPE_CHECKING:
    from harness.images.batches import Batch, SearchData
    from harness.images.decoded import ImageArrays

CALIBRATIONS = STATE / "costs"
WARM_UP = 2
"""Steps before the first that is timed."""
LEAST, MOST = 3, 100
"""Steps that are timed."""
ENOUGH_SECONDS = 3.0
"""After which, beyond the least, no other step begins."""
BATCHES = 4
"""Of noise, in each half; then the next epoch begins."""


class Rate(BaseModel):
    """What a forward-backward pass of one batch costs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds_a_pass: float
    memory_bytes: int | None
    device: str
    source: str


def calibrate(board: Board) -> Rate:
    """Take a few steps of the board's reference under its protocol on this device, and keep what they cost.

    The images are noise of the right form: no data set is needed.

    Raises:
        UserError: the device is not there, or the reference is no search.
    """
    import torch

    from harness.board.runner import start_search
    from harness.records.environment import current_environment
    from harness.search.loop import peak_memory_bytes

    protocol = board.chosen
    variant = registry.made(board, board.reference)
    split = protocol.data.split.model_copy(update={"kind": "random", "file": None})
    data = protocol.data.model_copy(update={"limit": None, "split": split})
    search = start_search(variant, protocol.model_copy(update={"data": data}), 0, _noise(protocol))

    def waited() -> float:
        if search.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    rates: list[float] = []
    enough = math.inf
    for index, (train_batch, valid_batch) in enumerate(_batches(search.data)):
        passes, started = search.passes, waited()
        if index == WARM_UP:
            enough = started + ENOUGH_SECONDS
        if len(rates) == MOST + WARM_UP or (started > enough and len(rates) >= LEAST + WARM_UP):
            break
        search.run_step(index % BATCHES, train_batch, valid_batch)
        rates.append((waited() - started) / (search.passes - passes))
    del rates[:WARM_UP]
    device = current_environment(search.device.type).device
    rate = Rate(
        seconds_a_pass=statistics.median(rates),
        memory_bytes=peak_memory_bytes(search.device),
        device=device,
        source=f"calibrated: {len(rates)} steps of {board.reference} on {device}",
    )
    with whole_file(_file(protocol)) as staging:
        staging.write_text(json.dumps(rate.model_dump(), indent=2) + "\n", encoding="utf-8")
    return rate


def _batches(data: "SearchData") -> Iterator[tuple["Batch", "Batch"]]:
    for epoch in itertools.count():
        yield from zip(data.epoch("train", epoch), data.epoch("valid", epoch), strict=True)


def _noise(protocol: Protocol) -> "ImageArrays":
    import numpy as np

    from harness.images.decoded import to_arrays
    from harness.images.sources import ImageSet, Source

    channels, classes = image_form(protocol.data)
    number, size = 2 * BATCHES * protocol.batch_size, protocol.data.image_size
    images = np.random.default_rng(0).integers(0, 256, (number, size, size, channels), dtype=np.uint8)
    names = tuple(f"class {label}" for label in range(classes))
    source = Source(ImageSet(images, np.arange(number) % classes), None, names, "noise")
    return to_arrays(source, protocol.data.model_copy(update={"limit": None}))


def read_calibration(protocol: Protocol) -> Rate | None:
    """Return what an earlier calibration of this protocol found; None if there was none."""
    try:
        return Rate.model_validate_json(read_text(_file(protocol)))
    except (OSError, ValidationError):
        return None


def _file(protocol: Protocol) -> Path:
    return CALIBRATIONS / f"{content_hash(cost_settings(protocol.model_dump(mode='json')))}.json"
