"""How large a search is under a protocol, as far as its cost goes; no image needs to be there."""

from typing import Any

from harness.base.errors import UserError
from harness.images.decoded import IMAGES, Description, read_description
from harness.images.split import split_images
from harness.settings.protocol import DataSettings, Protocol

IMAGE_SETS = {
    "digits": (1_797, 0, 10, 1),
    "cifar10": (50_000, 10_000, 10, 3),
    "cifar100": (50_000, 10_000, 100, 3),
    "imagenet16-120": (151_700, 6_000, 120, 3),
}
"""Training images, test images, classes and channels of the data sets as published."""

FREE_SETTINGS = ("order", "weights", "alpha", "derivation", "device", "data.path", "data.download", "data.split")
"""What the cost of a step does not depend on."""

WEIGHTS_TRAIN_ON = {"random": "a half", "halves": "a half", "same": "all", "test-file": "all"}
"""How many of the training images make the steps of an epoch, by `split.kind`; a `file` says it itself."""


def cost_settings(protocol: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a protocol that the cost of a search depends on, by their path."""
    flat: dict[str, Any] = {}
    for key, value in protocol.items():
        flat |= {f"{key}.{part}": entry for part, entry in value.items()} if isinstance(value, dict) else {key: value}
    return {
        path: value for path, value in flat.items() if not {path, path.partition(".")[0]}.intersection(FREE_SETTINGS)
    }


def same_cost(recorded: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether searches under two protocols cost the same. A setting that only one of them has is no difference."""
    one, other = (cost_settings(protocol) | _steps_of(protocol) for protocol in (recorded, wanted))
    return all(one[path] == other[path] for path in one.keys() & other.keys())


def _steps_of(protocol: dict[str, Any]) -> dict[str, str]:
    split = protocol.get("data", {}).get("split")
    return {"data.split": WEIGHTS_TRAIN_ON.get(split["kind"]) or str(split["file"])} if split else {}


def steps_per_epoch(protocol: Protocol) -> int | None:
    """Return the steps of an epoch; None where the number of images is not known before they are decoded.

    Raises:
        UserError: the split file is missing or wrong.
    """
    form = _published_form(protocol.data)
    description = _decoded(protocol.data)
    if description is not None:
        counts = description.train_count, description.test_count
    elif form is not None:
        train, test, classes, _ = form
        counts = train if protocol.data.limit is None else min(train, classes * protocol.data.limit), test
    else:
        return None
    return len(split_images(protocol.data.split, *counts).train) // protocol.batch_size


def image_form(settings: DataSettings) -> tuple[int, int]:
    """Return the channels and the classes of the images.

    Raises:
        UserError: they are in a folder of the user's own and not decoded yet.
    """
    description, form = _decoded(settings), _published_form(settings)
    if description is not None:
        return description.channels, len(description.classes)
    if form is None:
        raise UserError(f"the images of {settings.path} are not decoded yet: run `dvc repro data`")
    return form[3], form[2]


def _published_form(settings: DataSettings) -> tuple[int, int, int, int] | None:
    return IMAGE_SETS.get(settings.name)


def _decoded(settings: DataSettings) -> Description | None:
    try:
        found = read_description(IMAGES)
    except UserError:
        return None
    same = all(getattr(found, key) == getattr(settings, key) for key in ("name", "path", "limit", "image_size"))
    return found if same else None
