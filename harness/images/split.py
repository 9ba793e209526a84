"""The search split: which images train the weights, and which alpha.

The split belongs to the protocol: it is the same for every variant and seed.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.base.errors import UserError, in_one_line
from harness.base.files import named_path, read_text
from harness.base.streams import stream
from harness.settings.protocol import SplitSettings

SPLIT_SEED = 0
"""The seed of the random split, whatever the seed of the run."""


@dataclass(frozen=True)
class Split:
    """Positions of images in the order of their arrays, int64."""

    train: np.ndarray
    """Training images, for the weights."""
    valid: np.ndarray
    """For alpha: training images, or test images if `valid_from_test`."""
    valid_from_test: bool


def split_images(settings: SplitSettings, train_count: int, test_count: int) -> Split:
    """Divide a data set of so many training and test images; see `SplitSettings.kind`.

    Raises:
        UserError: there are too few images, or the split file is missing, no JSON, or lists positions that are
            out of range, repeated or in both halves.
    """
    if settings.kind == "test-file":
        return _from_test_file(_file(settings), train_count, test_count)
    if settings.kind == "file":
        return _from_file(_file(settings), train_count)
    if settings.kind == "same":
        return Split(np.arange(train_count), np.arange(train_count), valid_from_test=False)
    half = train_count // 2
    if not half:
        raise UserError(f"data.split {settings.kind} needs at least 2 training images, there are {train_count}")
    order = np.arange(train_count)
    if settings.kind == "random":
        order = stream(SPLIT_SEED, "split").permutation(train_count)
    return Split(np.sort(order[:half]), np.sort(order[half : 2 * half]), valid_from_test=False)


def _file(settings: SplitSettings) -> Path:
    assert settings.file is not None  # SplitSettings validates it
    return named_path(settings.file)


def _from_file(path: Path, train_count: int) -> Split:
    content = _read(path)
    train = _positions(path, content, "train", train_count, "training")
    valid = _positions(path, content, "valid", train_count, "training")
    both = np.intersect1d(train, valid)
    if len(both):
        raise UserError(f"{path}: position {both[0]} stands in both train and valid ({len(both)} do), expected none")
    return Split(train, valid, valid_from_test=False)


def _from_test_file(path: Path, train_count: int, test_count: int) -> Split:
    if not test_count:
        raise UserError("data.split.kind test-file needs test images, and this data set has none")
    content = _read(path)
    key = "xvalid" if "xvalid" in content else "valid"
    return Split(np.arange(train_count), _positions(path, content, key, test_count, "test"), valid_from_test=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
    except FileNotFoundError:
        raise UserError(f"data.split.file: {path} is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"data.split.file: {path} is no JSON: {in_one_line(error)}") from None
    if not isinstance(content, dict):
        raise UserError(f"data.split.file: {path} is no JSON mapping, expected lists of positions by name")
    return content


def _positions(path: Path, content: dict[str, Any], key: str, count: int, kind: str) -> np.ndarray:
    positions = content.get(key)
    # NAS-Bench-201's files say `"train": ["int", ["0", "5", ...]]`.
    if isinstance(positions, list) and len(positions) == 2 and positions[0] == "int":
        positions = _numbers(positions[1])
    if not isinstance(positions, list) or not positions or any(type(position) is not int for position in positions):
        raise UserError(f"{path}: expected {key!r} to be a list of image positions, with at least one")
    for position in (min(positions), max(positions)):
        if not 0 <= position < count:
            raise UserError(f"{path}: {key} lists position {position}, expected 0 to {count - 1} ({kind} images)")
    values, times = np.unique(np.asarray(positions, dtype=np.int64), return_counts=True)
    if times.max() > 1:
        raise UserError(f"{path}: {key} lists position {values[times.argmax()]} {times.max()} times, expected once")
    return values


def _numbers(texts: Any) -> list[int] | None:
    try:
        return [int(text) for text in texts]
    except (TypeError, ValueError):
        return None
