"""Read the data sets in the form in which they are published.

`digits` is embedded in scikit-learn, the CIFARs are the files that torchvision downloads, each checked by its MD5,
ImageNet16-120 is read from the downsampled ImageNet batches (Chrabaszcz et al. 2017), and `folder` from one folder of
PNG and JPEG files a class. No pickle among them is trusted.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness.base.errors import UserError, did_you_mean
from harness.base.files import named_path
from harness.images.torchvision_import import load_torchvision
from harness.settings.protocol import DataSettings
from harness.untrusted.limited_reading import read_limited
from harness.untrusted.plain_values import ARRAYS, PlainArray
from harness.untrusted.restricted_pickle import load_restricted

IMAGENET16_CLASSES = 120
IMAGENET16_SIZE = 16
IMAGENET16_TRAIN_FILES = [f"train_data_batch_{number}" for number in range(1, 11)]
IMAGENET16_TEST_FILE = "val_data"

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class ImageSet:
    """Images in the order of their files, and the class of each."""

    images: np.ndarray | list[Path]
    """uint8 [N, H, W, C], or N files to decode."""
    labels: np.ndarray
    """int64 [N], positions in `Source.classes`."""


@dataclass(frozen=True)
class Source:
    """A data set as it was published."""

    train: ImageSet
    test: ImageSet | None
    classes: tuple[str, ...]
    note: str
    """Where the images come from, for the report."""


def read_source(settings: DataSettings) -> Source:
    """Read the data set that the settings name, in its own image size and complete.

    Raises:
        UserError: files are missing, damaged or not of the expected form.
    """
    return _READERS[settings.name](settings)


def changeable_files(settings: DataSettings) -> list[Path]:
    """Return the files that the settings name, in a fixed order; none where each has to be as it was published."""
    folder = _folder_of(settings)
    if settings.name == "imagenet16-120":
        return _imagenet16_files(folder)
    if settings.name == "folder":
        found = (path for part in ("train", "test") for path in sorted((folder / part).glob("*/*")))
        return [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES]
    return []


def _folder_of(settings: DataSettings) -> Path:
    if settings.path is None:
        raise UserError(f"data.path is null: expected the folder that holds the files of {settings.name}")
    return named_path(settings.path)


# digits


def _digits(settings: DataSettings) -> Source:
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # published in 0..16
    return Source(
        train=ImageSet(grey[..., None], digits.target.astype(np.int64)),
        test=None,
        classes=tuple(str(digit) for digit in digits.target_names),
        note="scikit-learn load_digits: 1,797 handwritten digits, 8x8 grey",
    )


# CIFAR


def _cifar(settings: DataSettings) -> Source:
    datasets = load_torchvision().datasets
    dataset = datasets.CIFAR10 if settings.name == "cifar10" else datasets.CIFAR100
    folder = _folder_of(settings)
    if settings.download:
        try:
            archive = dataset.__new__(dataset)  # not called: it would also read the files, without restrictions
            archive.root = folder
            archive.download()
        except (OSError, RuntimeError) as error:
            raise UserError(f"{settings.name} could not be downloaded to {folder}: {error}") from None
    train, test, meta = dataset.train_list, dataset.test_list, (dataset.meta["filename"], dataset.meta["md5"])
    published = Published(dataset.__name__, dataset.url, md5=dict([*train, *test, meta]))
    paths = [folder / dataset.base_folder / file for file in published.md5]
    *contents, about = read_limited(partial(_cifar_file, published), paths)
    key = "labels" if settings.name == "cifar10" else "fine_labels"
    return Source(
        train=_cifar_images(contents[: len(train)], key),
        test=_cifar_images(contents[len(train) :], key),
        classes=tuple(about[dataset.meta["key"]]),
        note=f"{published.name}, python version, {published.url}",
    )


def _cifar_images(contents: list[dict[str, Any]], key: str) -> ImageSet:
    rows = np.concatenate([content["data"] for content in contents])
    labels = [label for content in contents for label in content[key]]
    images = rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return ImageSet(np.ascontiguousarray(images), np.asarray(labels, dtype=np.int64))


@dataclass(frozen=True)
class Published:
    """A data set as its authors publish it."""

    name: str
    url: str
    md5: dict[str, str]
    """Of each file."""


def _cifar_file(published: Published, path: Path) -> dict[str, Any]:
    # torchvision would check the file, then open it again and unpickle whatever is there by then.
    try:
        data = path.read_bytes()
    except OSError:
        folder = path.parent.parent
        raise UserError(
            f"{path} is missing: set data.download to true, or get {published.url} and unpack it in {folder}"
        ) from None
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != published.md5[path.name]:
        raise UserError(f"{path} is damaged (its MD5 is not that of {published.name}): get {published.url} again")
    return _content(data, path)


def _content(data: bytes, path: Path) -> dict[str, Any]:
    content = load_restricted(data, ARRAYS, where=str(path), encoding="latin1")
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged: expected a dictionary")
    return {key: value.values if isinstance(value, PlainArray) else value for key, value in content.items()}


# ImageNet16-120


def _imagenet16(settings: DataSettings) -> Source:
    *train, test = read_limited(_imagenet16_batch, _imagenet16_files(_folder_of(settings)))
    return Source(
        train=ImageSet(
            np.concatenate([batch.images for batch in train]), np.concatenate([batch.labels for batch in train])
        ),
        test=test,
        classes=tuple(str(label) for label in range(1, IMAGENET16_CLASSES + 1)),
        note="downsampled ImageNet 16x16, classes 1 to 120",
    )


def _imagenet16_files(folder: Path) -> list[Path]:
    return [folder / file for file in (*IMAGENET16_TRAIN_FILES, IMAGENET16_TEST_FILE)]


def _imagenet16_batch(path: Path) -> ImageSet:
    """Read the images of the first 120 classes from one batch file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: get the 16x16 downsampled ImageNet from image-net.org "
            f"(Imagenet16_train and Imagenet16_val) and put its batch files in {path.parent}"
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    images, labels = _imagenet16_arrays(_content(data, path), path)
    chosen = labels <= IMAGENET16_CLASSES
    planes = images[chosen].reshape(-1, 3, IMAGENET16_SIZE, IMAGENET16_SIZE)
    return ImageSet(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels[chosen] - 1)


def _imagenet16_arrays(content: dict[str, Any], path: Path) -> tuple[np.ndarray, np.ndarray]:
    values = 3 * IMAGENET16_SIZE**2
    images = content.get("data")
    if not (isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.shape[1:] == (values,)):
        raise UserError(f"{path} is damaged: expected `data` to be bytes [images, {values}] (16x16 pixels, 3 channels)")
    try:
        labels = np.asarray(content.get("labels"), dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        labels = np.empty(0, dtype=np.int64)
    if labels.shape != (len(images),) or not len(labels) or labels.min() < 1 or labels.max() > 1000:
        raise UserError(f"{path} is damaged: expected `labels` to be {len(images)} numbers from 1 to 1000")
    return images, labels


# folder


def _image_folder(settings: DataSettings) -> Source:
    folder = _folder_of(settings)
    layout = f"expected {folder}/train/CLASS/*.png (or .jpg, .jpeg) and, if there are test images, {folder}/test/CLASS"
    if not (folder / "train").is_dir():
        raise UserError(f"{folder / 'train'} is missing: {layout}")
    classes = tuple(sorted(path.name for path in (folder / "train").iterdir() if _is_class(path)))
    if len(classes) < 2:
        raise UserError(f"{folder / 'train'} holds {len(classes)} class folders, at least 2 are needed: {layout}")
    return Source(
        train=_files_by_class(folder, "train", classes),
        test=_files_by_class(folder, "test", classes) if (folder / "test").is_dir() else None,
        classes=classes,
        note="image folder, decoded to RGB",
    )


def _is_class(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _files_by_class(folder: Path, part: str, classes: tuple[str, ...]) -> ImageSet:
    for path in sorted((folder / part).iterdir()):
        if _is_class(path) and path.name not in classes:
            raise UserError(f"{path} is no class of {folder / 'train'}, {did_you_mean(path.name, classes)}")
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = _image_files(folder, folder / part / name)
        files += found
        labels += [label] * len(found)
    return ImageSet(files, np.asarray(labels, dtype=np.int64))


def _image_files(root: Path, folder: Path) -> list[Path]:
    _check_inside(root, folder)
    if not folder.is_dir():
        return []  # a class without test images
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if not files:
        raise UserError(f"{folder} is empty, expected PNG or JPEG files")
    for path in files:
        if path.is_symlink():
            _check_inside(root, path)
        if not path.is_file() or path.suffix.lower() not in IMAGE_SUFFIXES:
            raise UserError(f"{path} is no image file, expected names ending in {', '.join(IMAGE_SUFFIXES)}")
    return files


def _check_inside(root: Path, path: Path) -> None:
    try:
        place = path.resolve()
    except (OSError, RuntimeError):  # links in a ring
        raise UserError(f"{path} is a link that leads nowhere: put the images themselves there") from None
    if not place.is_relative_to(root.resolve()):
        raise UserError(f"{path} leads out of {root} to {place}: put the images themselves there")


_READERS: dict[str, Callable[[DataSettings], Source]] = {
    "digits": _digits,
    "cifar10": _cifar,
    "cifar100": _cifar,
    "imagenet16-120": _imagenet16,
    "folder": _image_folder,
}
