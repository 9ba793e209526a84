"""The images of one search on its device: the two halves, their batches and their augmentation.

The data set stays on the device as bytes. Every random choice of an epoch is drawn up front on the host, from
streams named by (seed, purpose, epoch), and copied to the device once; a batch is then index arithmetic. So
every device sees the same draws, a resumed search sees the draws of an undisturbed one, and the two halves do
not disturb each other.

Purposes: `order/HALF` (later passes of an epoch `order/HALF/1`, ...), `augment/HALF/crop`, `.../flip`,
`.../cutout`, `.../cutout-applied`, `probe/HALF`.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.base.errors import UserError
from harness.base.streams import stream
from harness.images.decoded import ImageArrays
from harness.images.split import split_images
from harness.settings.protocol import DataSettings

Half = Literal["train", "valid"]
"""`train`: the images of the weights; `valid`: the images of alpha."""

Batch = tuple[Tensor, Tensor]
"""Normalised images [batch, channels, size, size] and int64 labels [batch]."""


@dataclass(frozen=True)
class _HalfImages:
    images: Tensor
    """uint8 [N, C, H, W] on the device; more images than the half has."""
    labels: Tensor
    """int64 [N] on the device."""
    positions: np.ndarray
    """int64, the images of the half."""


Draws = dict[str, Tensor]
"""The random choices for n images in the order in which they are seen, on the device; only of what is on.

`positions` int64 [n]; `crop` int64 [n, 2], row and column of the corner in the padded image; `flip` bool [n];
`cutout` int64 [n, 2], row and column of the square's centre; `cutout-applied` bool [n].
"""


class SearchData:
    """Batches of both halves of one search, see the module's docstring."""

    def __init__(
        self,
        arrays: ImageArrays,
        settings: DataSettings,
        batch_size: int,
        device: torch.device | str,
        dtype: torch.dtype,
        seed: int,
        epochs: int,
        valid_batches: Literal["shuffled", "with-replacement"],
    ) -> None:
        """Copy the images to the device and split them.

        Args:
            arrays: the decoded data set.
            settings: split and augmentation.
            batch_size: images of every batch of `epoch`.
            device: where the images stay and the batches appear.
            dtype: of the image batches, float32 or float64.
            seed: of the run.
            epochs: of the run; the ramp of cutout ends there.
            valid_batches: how the batches of the valid half are drawn, see `AlphaSettings.batches`.

        Raises:
            UserError: the split file is wrong, or a half has less images than a batch.
        """
        description = arrays.description
        self.classes: int = len(description.classes)
        self.image_channels: int = description.channels
        self.image_size: int = description.image_size
        self.batch_size = batch_size
        self._settings = settings
        self.device = torch.device(device)
        self._dtype = dtype
        self._seed = seed
        self._epochs = epochs
        self._valid_batches = valid_batches
        self._mean = torch.tensor(description.mean, dtype=dtype, device=device).view(-1, 1, 1)
        self._sd = torch.tensor(description.sd, dtype=dtype, device=device).view(-1, 1, 1)
        self._halves = self._split(arrays)
        for name, half in self._halves.items():
            if len(half.positions) < batch_size:
                raise UserError(
                    f"the {name} half has {len(half.positions)} images, fewer than a batch of {batch_size}: "
                    "lower batch_size or raise data.limit"
                )
        self.steps_per_epoch: int = len(self._halves["train"].positions) // batch_size

    def _split(self, arrays: ImageArrays) -> dict[Half, _HalfImages]:
        test_count = 0 if arrays.test_labels is None else len(arrays.test_labels)
        split = split_images(self._settings.split, len(arrays.train_labels), test_count)
        train = self._on_device(arrays.train_images, arrays.train_labels)
        valid = train
        if split.valid_from_test:
            assert arrays.test_images is not None and arrays.test_labels is not None  # split_images counted them
            valid = self._on_device(arrays.test_images, arrays.test_labels)
        return {"train": _HalfImages(*train, split.train), "valid": _HalfImages(*valid, split.valid)}

    def _on_device(self, images: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        return torch.from_numpy(planes).to(self.device), torch.tensor(labels, device=self.device)

    def for_seed(self, seed: int) -> "SearchData":
        """Return the data of the same protocol for another seed; both share the images on the device."""
        other = copy.copy(self)
        other._seed = seed
        return other

    def epoch(self, half: Half, epoch: int) -> Iterator[Batch]:
        """Return the `steps_per_epoch` augmented batches of an epoch, which counts from 0.

        The draws are made now, each batch when it is asked for. The train half gives each image at most once; the
        valid half starts again with a fresh order when a pass over it ends. A pass leaves out its last
        incomplete batch.
        """
        draws = self._draw(half, epoch)
        size = self.batch_size
        return (
            self._augmented(half, {name: values[step * size : (step + 1) * size] for name, values in draws.items()})
            for step in range(self.steps_per_epoch)
        )

    def mixed_batches(self, half: Half, batch_size: int) -> Iterator[Batch]:
        """Return all images of a half without augmentation, in an order fixed by the seed; the last may be smaller."""
        positions = self._mixed(half)
        starts = range(0, len(positions), batch_size)
        return (self._plain(half, positions[start : start + batch_size]) for start in starts)

    def probe_batch(self, half: Half, size: int) -> Batch:
        """Return one batch without augmentation that is fixed by the seed: `size` images, or all if there are fewer."""
        return self._plain(half, self._mixed(half)[:size])

    def _mixed(self, half: Half) -> np.ndarray:
        # A folder's images lie class by class, and statistics of a batch of one class are no statistics of the images.
        positions = self._halves[half].positions
        return positions[stream(self._seed, f"probe/{half}").permutation(len(positions))]

    def _draw(self, half: Half, epoch: int) -> Draws:
        settings = self._settings
        host = {"positions": self._order(half, epoch)}
        count = len(host["positions"])

        def draws(purpose: str) -> np.random.Generator:
            return stream(self._seed, f"augment/{half}/{purpose}", epoch)

        if settings.crop_padding:
            host["crop"] = draws("crop").integers(0, 2 * settings.crop_padding + 1, size=(count, 2))
        if settings.flip:
            host["flip"] = draws("flip").random(count) < 0.5
        if settings.cutout:
            host["cutout"] = draws("cutout").integers(0, self.image_size, size=(count, 2))
            probability = epoch / max(self._epochs - 1, 1) if settings.cutout_ramp else 1.0
            host["cutout-applied"] = draws("cutout-applied").random(count) < probability
        return {name: torch.from_numpy(values).to(self.device) for name, values in host.items()}

    def _order(self, half: Half, epoch: int) -> np.ndarray:
        """Return the positions of the images of an epoch, int64 [steps_per_epoch * batch_size]."""
        positions = self._halves[half].positions
        needed = self.steps_per_epoch * self.batch_size
        if half == "valid" and self._valid_batches == "with-replacement":
            return positions[stream(self._seed, f"order/{half}", epoch).integers(0, len(positions), size=needed)]
        in_a_pass = len(positions) // self.batch_size * self.batch_size
        orders = []
        for number in range(-(-needed // in_a_pass)):
            purpose = f"order/{half}/{number}" if number else f"order/{half}"
            orders.append(stream(self._seed, purpose, epoch).permutation(positions)[:in_a_pass])
        return np.concatenate(orders)[:needed]

    def _augmented(self, half: Half, draws: Draws) -> Batch:
        source = self._halves[half]
        images = source.images[draws["positions"]]
        if "crop" in draws:
            images = crop(images, draws["crop"], self._settings.crop_padding)
        if "flip" in draws:
            images = torch.where(draws["flip"].view(-1, 1, 1, 1), images.flip(3), images)
        images = self._normalised(images)
        if "cutout" in draws:
            images = cut_out(images, draws["cutout"], self._settings.cutout, draws["cutout-applied"])
        return images, source.labels[draws["positions"]]

    def _plain(self, half: Half, positions: np.ndarray) -> Batch:
        source = self._halves[half]
        chosen = torch.from_numpy(positions).to(self.device)
        return self._normalised(source.images[chosen]), source.labels[chosen]

    def _normalised(self, images: Tensor) -> Tensor:
        return images.to(self._dtype).div_(255).sub_(self._mean).div_(self._sd)


def crop(images: Tensor, corners: Tensor, padding: int) -> Tensor:
    """Return each image [batch, C, H, W] shifted: padded with zeros, and cut back at its corner (int64 [batch, 2])."""
    height, width = images.shape[2:]
    windows = F.pad(images, (padding,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    every = torch.arange(len(images), device=images.device)
    return windows[every, :, corners[:, 0], corners[:, 1]]


def cut_out(images: Tensor, centres: Tensor, side: int, applied: Tensor) -> Tensor:
    """Return the images with a square of zeros around each centre, clipped at the borders (DeVries and Taylor 2017).

    Args:
        images: [batch, C, H, W].
        centres: int64 [batch, 2]; the square begins `side // 2` before it.
        side: pixels.
        applied: bool [batch], which images get the square.
    """
    height, width = images.shape[2:]
    rows = _covered(centres[:, 0], side, height).view(-1, 1, height, 1)
    columns = _covered(centres[:, 1], side, width).view(-1, 1, 1, width)
    return images.masked_fill(rows & columns & applied.view(-1, 1, 1, 1), 0)


def _covered(centres: Tensor, side: int, length: int) -> Tensor:
    # bool [batch, length]: which rows (or columns) the square covers.
    distance = torch.arange(length, device=centres.device) - (centres - side // 2).view(-1, 1)
    return (distance >= 0) & (distance < side)
