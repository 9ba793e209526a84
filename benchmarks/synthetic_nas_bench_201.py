"""Files in the official formats, of any size, with made-up numbers and the structure of the real cells.

Each training carries its curves, an epoch a value, as in NAS-Bench-201 v1.1 (Dong and Yang 2020): 12 epochs with one
training seed (two on `cifar10-valid`), 200 epochs with one to three. Values are what an untrained network reaches, so
that every check of the table passes.
"""

import bz2
import pickle
import struct
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from harness.space.cell import CELL_COUNT, Cell
from harness.truth.table import NETWORKS
from harness.truth.trials import SETS
from harness.untrusted.pickle_pieces import memo_positions

GROUP = 50
"""Cells that are pickled at once; they share the texts that name their entries."""

SHORT, LONG = 12, 200
TRIALS_SHARES = {1: 2225 / 15625, 2: 5439 / 15625, 3: 7961 / 15625}

_FIRST_LONG_NUMBER = 256  # memo numbers from here on take four bytes
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001


def training(cell: Cell, data_set: str, epochs: int, seed: int, random: np.random.Generator) -> dict[str, Any]:
    """Return one training as the files hold it: a state of the packages' `ResultsCount`."""
    classes = NETWORKS[data_set].classes
    sets = list(SETS[data_set].values())

    def curve() -> list[float]:
        return list((100 / classes + random.uniform(-0.5, 0.5, epochs)).tolist())

    # Of long trainings all sets but one were measured in the last epoch only.
    throughout = sets if epochs == SHORT else ["x-valid"] if data_set == "cifar10-valid" else ["ori-test"]
    measured = {name: range(epochs) if name in throughout else range(epochs - 1, epochs) for name in sets}
    return {
        "name": data_set,
        "net_state_dict": None,
        "train_acc1es": dict(enumerate(curve())),
        "train_acc5es": dict(enumerate(curve())) if epochs == SHORT else None,
        "train_losses": dict(enumerate(curve())),
        "train_times": OrderedDict(enumerate(curve())),
        "arch_config": {"channel": 16, "num_cells": 5, "arch_str": str(cell), "class_num": classes},
        "params": np.float64(cell.parameters(NETWORKS[data_set]) / 1e6),
        "flop": cell.flops(NETWORKS[data_set]) / 1e6,
        "seed": f"{seed:04d}",
        "epochs": epochs,
        "latency": [np.float64(random.uniform(0.01, 0.02))],
        "eval_names": sets,
        "eval_acc1es": _by_set(measured, curve),
        "eval_losses": _by_set(measured, curve),
        "eval_times": _by_set(dict.fromkeys(sets, range(epochs)), curve),
    }


def _by_set(measured: dict[str, range], curve: Any) -> dict[str, float]:
    values = {name: curve() for name in measured}
    return {f"{name}@{epoch}": values[name][epoch] for name, epochs in measured.items() for epoch in epochs}


def results(cell: Cell, epochs: int, seeds: dict[str, list[int]], random: np.random.Generator) -> dict[str, Any]:
    """Return all trainings of one length: a state of the packages' `ArchResults`."""
    return {
        "arch_index": cell.index,
        "arch_str": str(cell),
        "all_results": {
            (data_set, seed): training(cell, data_set, epochs, seed, random)
            for data_set, own in seeds.items()
            for seed in own
        },
        "dataset_seed": seeds,
        "clear_net_done": True,
    }


def cell_results(index: int) -> dict[str, Any]:
    """Return what the `.pth` holds of a cell; the same each time."""
    random = np.random.default_rng(index)
    cell = Cell.from_index(index)
    trials = random.choice(list(TRIALS_SHARES), p=list(TRIALS_SHARES.values()))
    short = {data_set: [111, 777] if data_set == "cifar10-valid" else [111] for data_set in NETWORKS}
    long = {data_set: [777, 888, 999][:trials] for data_set in NETWORKS}
    return {"full": results(cell, LONG, long, random), "less": results(cell, SHORT, short, random)}


def write_pth(path: Path, size: int) -> int:
    """Write a file of about `size` bytes in the container of the official one; return how many cells it holds.

    Memory does not grow with the size.
    """
    archs = [str(Cell.from_index(index)) for index in range(CELL_COUNT)]
    outline = {"meta_archs": archs, "total_archs": CELL_COUNT, "evaluated_indexes": [], "arch2infos": {}}
    head = pickle.dumps(outline, protocol=2)[:-2]  # without what closes the dictionary
    number = struct.unpack("<I", head[-4:])[0] + 1
    with path.open("wb") as file:
        for part in (_MAGIC, _VERSION, {"protocol_version": _VERSION, "little_endian": True, "type_sizes": {}}):
            pickle.dump(part, file, protocol=2)
        file.write(head)
        cells = 0
        while file.tell() < size and cells < CELL_COUNT:
            # The first group tells how large cells are, and the last one ends near the size.
            space = (size - file.tell()) // (file.tell() // cells) if cells else 0
            group = range(cells, min(cells + max(2, min(GROUP, space)), CELL_COUNT))
            body, number = _numbered_from(number, _items({index: cell_results(index) for index in group}))
            file.write(b"(" + body + b"u")
            cells = group.stop
        file.write(b"u.")
        pickle.dump([], file, protocol=2)  # the keys of tensors
    return cells


def _items(cells: dict[int, Any]) -> bytes:
    # The items of a pickled dictionary, which refer to nothing outside them.
    first: list[list[Any]] = [[] for _ in range(_FIRST_LONG_NUMBER)]
    before = len(pickle.dumps((first, {}), protocol=2)) - len(b"\x86r....") - 1
    return pickle.dumps((first, cells), protocol=2)[before + 1 : -len(b"u\x86r.....")]


def _numbered_from(number: int, body: bytes) -> tuple[bytes, int]:
    positions, numbers = memo_positions(body)
    moved = numbers - numbers.min() + number
    content = np.frombuffer(bytearray(body), np.uint8)
    for byte in range(4):
        content[positions + byte] = moved >> 8 * byte & 255
    return content.tobytes(), int(moved.max()) + 1


def write_folder(folder: Path, cells: int) -> None:
    """Write the first cells as a NATS-Bench folder."""
    folder.mkdir()
    for name, content in _files(cells):
        (folder / f"{name}.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps(content, protocol=4)))


def _files(cells: int) -> Iterator[tuple[str, Any]]:
    archs = [str(Cell.from_index(index)) for index in range(CELL_COUNT)]
    yield "meta", {"meta_archs": archs, "total_archs": CELL_COUNT, "arch2infos": None, "evaluated_indexes": set()}
    for index in range(cells):
        content = cell_results(index)
        yield f"{index:06d}", OrderedDict({"12": content["less"], "200": content["full"]})
