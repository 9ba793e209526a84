"""Real searches that take moments: a small network on few images, decoded once and shared by all tests of a process."""

import copy
from functools import cache
from typing import Any

import torch

from harness.images.batches import SearchData
from harness.images.decoded import ImageArrays, decode
from harness.search.loop import DTYPES, Search
from harness.search.steps import Step
from harness.search.variant import Variant
from harness.settings.protocol import DataSettings, Protocol
from harness.space.cell import OPERATIONS

TINY_PROTOCOL: dict[str, Any] = {
    "operations": list(OPERATIONS),
    "data": {
        "name": "digits",
        "path": None,
        "download": False,
        "image_size": 8,
        "limit": 8,
        "split": {"kind": "random"},
        "crop_padding": 1,
        "flip": False,
        "cutout": 0,
        "cutout_ramp": False,
    },
    "network": {
        "channels": 4,
        "cells_per_stage": 1,
        "batch_statistics": True,
        "affine": False,
        "gradient_checkpointing": False,
        "compile": False,
        "cuda_graphs": False,
        "drop_path": 0.0,
    },
    "epochs": 3,
    "batch_size": 20,
    "order": "alpha-then-weights",
    "weights": {
        "lr": 0.025,
        "lr_min": 0.001,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 0.0005,
        "clip": 5.0,
    },
    "alpha": {
        "lr": 0.05,
        "betas": [0.5, 0.999],
        "weight_decay": 0.001,
        "init_scale": 0.001,
        "batches": "shuffled",
    },
    "derivation": {"draws": 5, "one_shot": True},
    "diagnostics": {"images": 16, "every": 2, "hessian_images": 4, "hessian_every": None, "one_shot_every": None},
    "precision": "float32",
    "device": "cpu",
    "threads": 1,
    "deterministic": True,
}
"""A protocol of three epochs, as plain content of params.yaml."""


def tiny_protocol(**changes: Any) -> Protocol:
    """Return the tiny protocol; `changes` name nested keys as section__key."""
    content = copy.deepcopy(TINY_PROTOCOL)
    for key, value in changes.items():
        *path, last = key.split("__")
        section = content
        for part in path:
            section = section[part]
        section[last] = value
    return Protocol.model_validate(content)


def tiny_search(method: type[Variant], settings: dict[str, Any] | None = None, seed: int = 0, **changes: Any) -> Search:
    """Return a search of the tiny protocol at its beginning; `changes` as for `tiny_protocol`."""
    protocol = tiny_protocol(**changes)
    return search_on(protocol.device, method, settings, seed, protocol)


def search_on(
    device: str, method: type[Variant], settings: dict[str, Any] | None, seed: int, protocol: Protocol
) -> Search:
    """Return a search on a device, also on one that no protocol can name."""
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


def first_step(search: Search) -> Step:
    """Return the first step of the current epoch."""
    train, valid = (next(iter(search.data.epoch(half, search.epoch))) for half in ("train", "valid"))
    return Step(search, 0, train, valid)
