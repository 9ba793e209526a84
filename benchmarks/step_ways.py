"""One step of DARTS, a weight step and an alpha step, computed in the ways that the benchmarks compare."""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import count
from typing import Any
from typing import Protocol as Interface

import click
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.plain_supernet import PlainSupernet
from harness.images.batches import SearchData
from harness.images.decoded import ImageArrays, to_arrays
from harness.images.sources import ImageSet, Source
from harness.images.torchvision_import import load_torchvision
from harness.networks.layers import average_pool
from harness.networks.mixed_cell import MixedCell
from harness.networks.supernet import Supernet, SupernetSpec
from harness.search.loop import DTYPES, Search
from harness.search.variant import Variant
from harness.settings.protocol import Protocol
from harness.settings.validation import validate
from harness.space.cell import CONV1, CONV3, EDGES, OPERATIONS, Shape
from variants.darts import Darts

CLASSES = 10
BATCHES = 4
"""In each half of the images; then the next epoch begins."""


class Steps(Interface):
    """A search of which steps can be taken."""

    network: Supernet
    alpha: Tensor

    def step(self) -> None:
        """Take the next step."""


@dataclass(frozen=True)
class Size:
    """How large the search is; the defaults are NAS-Bench-201's."""

    cells_per_stage: int = 5
    channels: int = 16
    batch: int = 64
    image_size: int = 32

    def __str__(self) -> str:
        return (
            f"C = {self.channels}, N = {self.cells_per_stage}, batch {self.batch}, "
            f"{self.image_size}x{self.image_size} images"
        )

    @property
    def options(self) -> list[str]:
        """The command-line options that ask for this size."""
        return [part for key, value in asdict(self).items() for part in (_option(key), str(value))]


QUICK = Size(cells_per_stage=1, channels=4, batch=8, image_size=8)


def size_options(default: Size) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each part of its argument `size`."""
    smallest = Size(cells_per_stage=1, channels=4, batch=2, image_size=4)

    def decorate(main: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(main)
        def gathered(*arguments: Any, **options: Any) -> None:
            size = Size(**{key: options.pop(key) for key in asdict(default)})
            main(*arguments, size=size, **options)

        command: Callable[..., None] = gathered
        for key, value in reversed(asdict(default).items()):
            least = click.IntRange(min=asdict(smallest)[key])
            command = click.option(_option(key), default=value, show_default=True, type=least)(command)
        return command

    return decorate


def _option(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def protocol(size: Size, precision: str = "float32", device: str = "cpu", **network: bool) -> Protocol:
    """Return the protocol of NAS-Bench-201 for networks of this size.

    Raises:
        UserError: the size is impossible.
    """
    return validate(
        Protocol,
        {
            "operations": OPERATIONS,
            "data": {
                **{"name": "cifar10", "path": "", "download": False, "image_size": size.image_size, "limit": None},
                **{"split": {"kind": "random"}, "crop_padding": 4, "flip": True, "cutout": 0, "cutout_ramp": False},
            },
            "network": {
                **{"channels": size.channels, "cells_per_stage": size.cells_per_stage, "drop_path": 0.0},
                **{"batch_statistics": True, "affine": False, "gradient_checkpointing": False},
                **{"compile": False, "cuda_graphs": False},
                **network,
            },
            **{"epochs": 50, "batch_size": size.batch, "order": "weights-then-alpha"},
            "weights": {
                **{"lr": 0.025, "lr_min": 0.001, "momentum": 0.9, "nesterov": True},
                **{"weight_decay": 0.0005, "clip": 5.0},
            },
            "alpha": {
                **{"lr": 0.0003, "betas": (0.5, 0.999), "weight_decay": 0.001, "init_scale": 0.001},
                "batches": "shuffled",
            },
            "derivation": {"draws": 1, "one_shot": False},
            "diagnostics": {
                **{"images": 2, "every": None, "hessian_images": 2, "hessian_every": None, "one_shot_every": None},
            },
            **{"precision": precision, "device": device, "threads": 1, "deterministic": True},
        },
        where=str(size),
    )


def noise(settings: Protocol, batches: int) -> ImageArrays:
    """Return colour images of noise, as many batches for the weights as for alpha."""
    number, pixels = 2 * batches * settings.batch_size, settings.data.image_size
    images = np.random.default_rng(0).integers(0, 256, (number, pixels, pixels, 3), dtype=np.uint8)
    labels = np.arange(number) % CLASSES
    names = tuple(f"class {label}" for label in range(CLASSES))
    return to_arrays(Source(ImageSet(images, labels), None, names, "noise"), settings.data)


# Ours


def start_search(
    settings: Protocol, arrays: ImageArrays, method: type[Variant] = Darts, kind: type[Search] = Search
) -> Search:
    """Return a search at its beginning, with the method's default settings."""
    data = SearchData(
        arrays,
        settings.data,
        batch_size=settings.batch_size,
        device=settings.device,
        dtype=DTYPES[settings.precision],
        seed=0,
        epochs=settings.epochs,
        valid_batches=settings.alpha.batches,
    )
    return kind(method(method.Settings(), settings), settings, data, seed=0)


class PlainSearch(Search):
    """The search with a network whose edges compute each operation alone."""

    network = PlainSupernet


class PartialDarts(Darts):
    """DARTS on a quarter of the channels."""

    def supernet_spec(self, spec: SupernetSpec) -> SupernetSpec:
        """Return the spec with partial channels."""
        return replace(spec, partial_channels=4)


class OurSearch:
    """The steps of a search of this project."""

    def __init__(
        self,
        size: Size,
        kind: type[Search] = Search,
        method: type[Darts] = Darts,
        precision: str = "float32",
        device: str = "cpu",
        **network: bool,
    ):
        settings = protocol(size, precision, device, **network)
        self._search = start_search(settings, noise(settings, BATCHES), method, kind)
        self._batches = _endless(self._search.data)
        self.network = self._search.supernet
        self.alpha = self._search.architecture["alpha"]

    def step(self) -> None:
        """Take a weight step, then an alpha step."""
        self._search.run_step(0, *next(self._batches))


def _endless(data: SearchData) -> Iterator[Any]:
    for epoch in count():
        yield from zip(data.epoch("train", epoch), data.epoch("valid", epoch), strict=True)


# Peers


class PeerCell(MixedCell):
    """A search cell as public codes write it: node by node, edge by edge, all five operations."""

    def forward(self, features: Tensor, op_weights: Tensor) -> Tensor:  # type: ignore[override]
        """Map [batch, channels, height, width] to the same shape; op_weights [6, 5]."""
        nodes = [features]
        for target in (1, 2, 3):
            arriving = [
                self._edge(nodes[source], edge, op_weights[edge])
                for edge, (source, end) in enumerate(EDGES)
                if end == target
            ]
            nodes.append(sum(arriving[1:], arriving[0]))
        return nodes[3]

    def _edge(self, features: Tensor, edge: int, op_weights: Tensor) -> Tensor:
        blocks = self.blocks[edge]
        outputs = [
            features.mul(0.0),
            features,
            blocks[CONV1](features),
            blocks[CONV3](features),
            average_pool(features),
        ]
        weighed = [weight * output for weight, output in zip(op_weights, outputs, strict=True)]
        return sum(weighed[1:], weighed[0])


class PeerSupernet(Supernet):
    """The supernet of those cells, in PyTorch's default memory format."""

    cell_class = PeerCell

    def forward(self, images: Tensor, op_weights: Tensor) -> Tensor:  # type: ignore[override]
        """Map images [batch, channels, height, width] to logits; op_weights [6, 5]."""
        features = self.stem(images)
        for position, cell in enumerate(self.cells):
            if position and position % self.spec.shape.cells_per_stage == 0:
                features = self.reductions[position // self.spec.shape.cells_per_stage - 1](features)
            features = cell(features, op_weights)
        logits: Tensor = self.head(features)
        return logits


class PilImages(torch.utils.data.Dataset):
    """Images that are cropped, flipped and normalised one by one, as Pillow images, on the CPU."""

    def __init__(self, arrays: ImageArrays, positions: range | NDArray[np.integer]):
        load_torchvision()
        from torchvision import transforms

        size = arrays.description.image_size
        self._arrays, self._positions = arrays, positions
        self._transform = transforms.Compose(
            [
                transforms.RandomHorizontalFlip(),
                transforms.RandomCrop(size, padding=4),
                transforms.ToTensor(),
                transforms.Normalize(arrays.description.mean, arrays.description.sd),
            ]
        )

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        from PIL import Image

        position = self._positions[number]
        image: Tensor = self._transform(Image.fromarray(self._arrays.train_images[position]))
        return image, int(self._arrays.train_labels[position])


class PeerSearch:
    """The loop of public DARTS codes: both steps take the gradients of everything, by `backward`."""

    def __init__(self, size: Size):
        settings = protocol(size)
        arrays = noise(settings, BATCHES)
        torch.manual_seed(0)
        self.network: Supernet = PeerSupernet(SupernetSpec(shape(size)))
        self.alpha: Tensor = nn.Parameter(1e-3 * torch.randn(len(EDGES), 5))
        weights, alpha = settings.weights, settings.alpha
        self._clip = weights.clip or math.inf
        self._weight_optimizer = torch.optim.SGD(
            self.network.parameters(), weights.lr, weights.momentum, weight_decay=weights.weight_decay, nesterov=True
        )
        self._alpha_optimizer = torch.optim.Adam(
            [self.alpha], lr=alpha.lr, betas=alpha.betas, weight_decay=alpha.weight_decay
        )
        middle = len(arrays.train_labels) // 2
        self._train = self._batches(PilImages(arrays, range(middle)), size.batch)
        self._valid = self._batches(PilImages(arrays, range(middle, 2 * middle)), size.batch)

    def step(self) -> None:
        """Take a weight step, then an alpha step."""
        self._backward(next(self._train), self._weight_optimizer)
        nn.utils.clip_grad_norm_(self.network.parameters(), self._clip)
        self._weight_optimizer.step()
        self._backward(next(self._valid), self._alpha_optimizer)
        self._alpha_optimizer.step()

    def _backward(self, batch: tuple[Tensor, Tensor], optimizer: torch.optim.Optimizer) -> None:
        images, labels = batch
        optimizer.zero_grad()
        F.cross_entropy(self.network(images, torch.softmax(self.alpha, dim=-1)), labels).backward()

    @staticmethod
    def _batches(images: PilImages, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        loader = torch.utils.data.DataLoader(images, size, shuffle=True, drop_last=True)
        while True:
            yield from loader


def shape(size: Size) -> Shape:
    """Return the shape of the networks."""
    return Shape(size.channels, size.cells_per_stage, CLASSES, 3, size.image_size)


WAYS: dict[str, Callable[[Size], Steps]] = {
    "per edge, NCHW, Pillow loader": PeerSearch,
    "per edge": lambda size: OurSearch(size, PlainSearch),
    "fused": OurSearch,
    "fused and compiled": lambda size: OurSearch(size, compile=True),
    "fused, bfloat16": lambda size: OurSearch(size, precision="bfloat16"),
    "fused and compiled, bfloat16": lambda size: OurSearch(size, precision="bfloat16", compile=True),
}
"""What is timed."""

MEMORY_WAYS: dict[str, Callable[[Size], Steps]] = {
    **WAYS,
    "fused, gradient checkpointing": lambda size: OurSearch(size, gradient_checkpointing=True),
    "fused, a quarter of the channels": lambda size: OurSearch(size, method=PartialDarts),
}
"""What memory is measured of."""
