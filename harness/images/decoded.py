"""A data set decoded once into arrays, in a folder that describes itself.

    train_images.npy  uint8 [N, H, W, C]     train_labels.npy  int64 [N]
    test_images.npy, test_labels.npy         the same, where the data set has test images
    description.json                         `Description`

Every search reads this folder and nothing else of the data set.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from harness.base.errors import UserError, in_one_line
from harness.base.files import open_file, read_json, whole_folder
from harness.base.versions import check_version
from harness.images.sources import ImageSet, Source, read_source
from harness.images.split import split_images
from harness.settings.protocol import DataSettings
from harness.settings.validation import content_hash, validate

if TYPE_CHECKING:  # a search reads decoded images, and needs no Pillow
    from PIL.Image import Image

IMAGES = Path("data/images")
DESCRIPTION_FILE = "description.json"
SCHEMA_VERSION = 2
READABLE_VERSIONS = (1, SCHEMA_VERSION)
"""Version 1 stated neither its version nor the checksum of the description."""


class Description(BaseModel):
    """description.json: what the arrays of a folder are."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    """As `data.name` in params.yaml; so are `path`, `limit` and `image_size`."""
    path: str | None
    limit: int | None
    image_size: int
    channels: int
    classes: tuple[str, ...]
    train_count: int
    test_count: int
    mean: tuple[float, ...]
    """Mean of each channel over the training images, in 0..1."""
    sd: tuple[float, ...]
    """Standard deviation of each channel over all pixels of the training images, in 0..1."""
    sha256: dict[str, str]
    """SHA-256 of each array's type, shape and content."""
    source: str
    """Where the images come from."""


@dataclass(frozen=True)
class ImageArrays:
    """A decoded data set in memory."""

    train_images: np.ndarray
    """uint8 [N, H, W, C]."""
    train_labels: np.ndarray
    """int64 [N], positions in `description.classes`."""
    test_images: np.ndarray | None
    test_labels: np.ndarray | None
    description: Description


def decode(settings: DataSettings) -> ImageArrays:
    """Read the data set that the settings name, and make arrays of it.

    Raises:
        UserError: files are missing or damaged, or the images cannot be normalised.
    """
    return to_arrays(read_source(settings), settings)


def to_arrays(source: Source, settings: DataSettings) -> ImageArrays:
    """Take the first `limit` training images a class and bring all images to `image_size`.

    Raises:
        UserError: files are damaged, or the images cannot be normalised.
    """
    chosen = _first_of_each_class(source.train.labels, settings.limit)
    train_images = _pixels(source.train, chosen, settings.image_size)
    train_labels = source.train.labels[chosen]
    test_images = test_labels = None
    if source.test is not None:
        test_images = _pixels(source.test, np.arange(len(source.test.labels)), settings.image_size)
        test_labels = source.test.labels
    mean, sd = _channel_statistics(train_images)
    if min(sd) == 0:
        raise UserError(f"the training images of {settings.name} are all of one colour in a channel, expected pictures")
    arrays = _named(train_images, train_labels, test_images, test_labels)
    description = Description(
        name=settings.name,
        path=settings.path,
        limit=settings.limit,
        image_size=settings.image_size,
        channels=train_images.shape[3],
        classes=source.classes,
        train_count=len(train_labels),
        test_count=0 if test_labels is None else len(test_labels),
        mean=mean,
        sd=sd,
        sha256={name: _array_hash(array) for name, array in arrays.items()},
        source=source.note,
    )
    return ImageArrays(train_images, train_labels, test_images, test_labels, description)


def _first_of_each_class(labels: np.ndarray, limit: int | None) -> np.ndarray:
    if limit is None:
        return np.arange(len(labels))
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:limit] for label in np.unique(labels)]))


def _pixels(image_set: ImageSet, chosen: np.ndarray, size: int) -> np.ndarray:
    from PIL.Image import fromarray

    pictures: Iterable[Image]
    if isinstance(image_set.images, np.ndarray):
        images = image_set.images[chosen]
        if images.shape[1:3] == (size, size):
            return images
        pictures = (fromarray(image.squeeze(2) if image.shape[2] == 1 else image) for image in images)
    else:
        pictures = (_picture(image_set.images[position]) for position in chosen)
    resized = np.stack([np.asarray(_resized(picture, size)) for picture in pictures])
    return resized[..., None] if resized.ndim == 3 else resized


def _resized(picture: "Image", size: int) -> "Image":
    from PIL.Image import Resampling

    # Pillow's bilinear filter widens with the reduction, so it does not alias.
    return picture if picture.size == (size, size) else picture.resize((size, size), Resampling.BILINEAR)


def _picture(path: Path) -> "Image":
    import PIL.Image

    try:
        with PIL.Image.open(path, formats=("PNG", "JPEG")) as image:
            deep = image.mode.startswith(("I", "F"))
            picture = image.convert("RGB")
    except Exception as error:  # Pillow's decoders fail in many ways
        raise UserError(f"{path} is damaged or no PNG or JPEG: {in_one_line(error)}") from None
    if deep:
        raise UserError(f"{path} has more than 8 bits a channel, expected 8")
    return picture


def _channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    # From the counts of the 256 values: exact, and without a float copy of the images.
    levels = np.arange(256) / 255
    means, sds = [], []
    for channel in range(images.shape[3]):
        share = np.bincount(images[..., channel].ravel(), minlength=256) / images[..., channel].size
        mean = float(share @ levels)
        means.append(mean)
        sds.append(float(np.sqrt(share @ (levels - mean) ** 2)))
    return tuple(means), tuple(sds)


def _named(
    train_images: np.ndarray, train_labels: np.ndarray, test_images: np.ndarray | None, test_labels: np.ndarray | None
) -> dict[str, np.ndarray]:
    arrays = {"train_images": train_images, "train_labels": train_labels}
    if test_images is not None and test_labels is not None:
        arrays |= {"test_images": test_images, "test_labels": test_labels}
    return arrays


def _array_hash(array: np.ndarray) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def write_cached(folder: Path, arrays: ImageArrays) -> None:
    """Write a decoded data set: the folder appears whole, or stays as it was.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    named = _named(arrays.train_images, arrays.train_labels, arrays.test_images, arrays.test_labels)
    with whole_folder(folder) as staging:
        for name, array in named.items():
            np.save(staging / f"{name}.npy", array, allow_pickle=False)
        content = arrays.description.model_dump(mode="json")
        stated = {"schema_version": SCHEMA_VERSION, "checksum": content_hash(content)}
        text = json.dumps(content | stated, indent=2, sort_keys=True)
        (staging / DESCRIPTION_FILE).write_text(text + "\n", encoding="utf-8")


def load_cached(folder: Path = IMAGES) -> ImageArrays:
    """Read a decoded data set and check it against its checksums.

    Raises:
        UserError: a file is missing or damaged.
    """
    description = read_description(folder)
    arrays = {name: _load(folder / f"{name}.npy", checksum) for name, checksum in description.sha256.items()}
    try:
        return ImageArrays(
            arrays["train_images"],
            arrays["train_labels"],
            arrays.get("test_images"),
            arrays.get("test_labels"),
            description,
        )
    except KeyError as error:
        raise UserError(f"{folder / DESCRIPTION_FILE} is damaged: its sha256 has no {error}") from None


def read_description(folder: Path = IMAGES) -> Description:
    """Read and validate description.json.

    Raises:
        UserError: it is missing or damaged.
    """
    path = folder / DESCRIPTION_FILE
    content = read_json(path, again=": run `dvc repro data`")
    version, checksum = content.pop("schema_version", 1), content.pop("checksum", None)
    check_version(path, version, READABLE_VERSIONS, again="run `dvc repro data` again")
    description = validate(Description, content, where=str(path))
    stated = version > 1 or checksum is not None  # also where damage made the version an older one
    if stated and checksum != content_hash(description.model_dump(mode="json")):
        raise UserError(f"{path} is damaged (its checksum differs): run `dvc repro data` again")
    return description


def _load(path: Path, checksum: str) -> np.ndarray:
    try:
        # Mapped first: a header that claims more than the file holds takes no memory.
        open_file(path).close()  # a pipe would be waited for
        array = np.array(np.lib.format.open_memmap(path, mode="r"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `dvc repro data` again") from None
    except Exception:  # a damaged header fails in many ways
        raise UserError(f"{path} is damaged: run `dvc repro data` again") from None
    if _array_hash(array) != checksum:
        raise UserError(f"{path} is damaged (its checksum differs): run `dvc repro data` again")
    return array


def check_cached(folder: Path, settings: DataSettings) -> None:
    """Check that a folder holds the data set of these settings, undamaged.

    Raises:
        UserError: it was decoded under other settings, or a file is missing or damaged.
    """
    description = read_description(folder)
    for key in ("name", "path", "limit", "image_size"):
        held, wanted = getattr(description, key), getattr(settings, key)
        if held != wanted:
            raise UserError(f"{folder} was decoded with data.{key} {held!r}, not {wanted!r}: run `dvc repro data`")
    load_cached(folder)


def data_hash(folder: Path, settings: DataSettings) -> str:
    """Return the SHA-256 of all that the images of a search depend on: the arrays, the classes and the split.

    Raises:
        UserError: the description or the split file is missing or damaged.
    """
    description = read_description(folder)
    split = split_images(settings.split, description.train_count, description.test_count)
    return content_hash(
        {
            "arrays": description.sha256,
            "classes": description.classes,
            "train": split.train.tolist(),
            "valid": split.valid.tolist(),
        }
    )
