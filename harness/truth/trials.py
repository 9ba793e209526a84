"""The trainings of one cell, as the files of NAS-Bench-201 and NATS-Bench describe them, as rows of the table.

Processes that read cells import this module, so it needs little itself.
"""

import bz2
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.base.collector import collector_paused
from harness.base.errors import UserError
from harness.space.cell import Cell
from harness.untrusted.pickle_pieces import Piece, load_piece
from harness.untrusted.plain_values import NUMBERS, plain_dictionary
from harness.untrusted.restricted_pickle import Allowed, load_restricted, stand_in

SETS = {
    "cifar10-valid": {"valid": "x-valid", "test": "ori-test"},
    "cifar10": {"test": "ori-test"},
    "cifar100": {"valid": "x-valid", "test": "x-test", "valtest": "ori-test"},
    "ImageNet16-120": {"valid": "x-valid", "test": "x-test", "valtest": "ori-test"},
}
"""What the benchmark's files call each split, as its `get_more_info` reads them."""

ROW = (
    *("cell", "data_set", "split", "epochs", "training_seed"),
    *("accuracy", "loss", "seconds", "evaluation_seconds", "latency"),
)

LARGEST_CELL = 64 * 2**20
"""Bytes of one cell's results; those of the benchmark have 0.2 million."""

Row = tuple[Any, ...]
"""The values of `ROW`."""


BENCHMARK_NAMES: Allowed = {**NUMBERS, ("collections", "OrderedDict"): plain_dictionary}


@stand_in
def _nothing(*_: Any) -> None:
    # By name, for shared objects of a file travel between processes.
    return None


# Tensors are not needed, and not read: whatever would rebuild one gives None.
PTH_NAMES: Allowed = {
    **BENCHMARK_NAMES,
    ("torch._utils", "_rebuild_tensor_v2"): _nothing,
    ("torch._utils", "_rebuild_parameter"): _nothing,
    **{("torch", f"{kind}Storage"): None for kind in ("Float", "Double", "Half", "Long", "Int", "Byte")},
}

TRAINING_LENGTHS = {"less": "12", "full": "200"}
"""What the `.pth` calls the two lengths of training, and their epochs."""


class CellResults(NamedTuple):
    """What a part of the `.pth` says about a cell."""

    cell: int
    rows: list[Row]


def read_cell_piece(piece: Piece, path: str, where: str) -> CellResults | None:
    """Return the rows of a part of the `.pth`, None if it is not about a cell.

    Raises:
        UserError: it names something that such a file never holds, or its results are incomplete.
    """
    with collector_paused():
        content = load_piece(piece, PTH_NAMES, where)
    if not isinstance(content, dict) or not content.keys() >= TRAINING_LENGTHS.keys():
        return None
    states = {epochs: content[name] for name, epochs in TRAINING_LENGTHS.items()}
    index = states["200"].get("arch_index") if isinstance(states["200"], dict) else None
    if not isinstance(index, int):
        return None
    return CellResults(index, cell_rows(index, states, f"cell {index} of {path}"))


def read_cell_file(file: Path) -> tuple[str, list[Row]]:
    """Return the SHA-256 and the rows of one cell's file.

    Raises:
        UserError: it is damaged, or no results of the cell that its name says.
    """
    compressed = file.read_bytes()
    content = _decompressed(compressed, file)
    with collector_paused():
        states = load_restricted(content, BENCHMARK_NAMES, str(file))
    if not isinstance(states, dict):
        raise UserError(f"{file} does not hold the results of a benchmark cell")
    return hashlib.sha256(compressed).hexdigest(), cell_rows(int(file.name[:6]), states, str(file))


def _decompressed(compressed: bytes, file: Path) -> bytes:
    decompressor = bz2.BZ2Decompressor()
    try:
        content = decompressor.decompress(compressed, max_length=LARGEST_CELL)
    except (OSError, ValueError):
        content = b""
    if not decompressor.eof:
        raise UserError(
            f"{file} is damaged or of another kind: it is no complete bz2 file of at most {LARGEST_CELL:,} bytes"
        )
    return content


def cell_rows(index: int, states: Mapping[str, Any], where: str) -> list[Row]:
    """Return a row for each single training and split that was measured after the last epoch.

    `states` holds a result a training length. NATS-Bench's own class reads it: it means what NAS-Bench-201's does, and
    needs no torch.

    Raises:
        UserError: the states are no results, or those of another cell.
    """
    from nats_bench.api_utils import ArchResults

    # The package takes a text for a path and would unpickle the file there without restriction.
    if not all(isinstance(state, dict) for state in states.values()):
        raise UserError(f"{where} does not hold the results of a benchmark cell")
    try:
        results = [ArchResults.create_from_state_dict(state) for state in states.values()]
        expected = str(Cell.from_index(index))
        if any(result.arch_str != expected for result in results):
            raise UserError(f"{where} does not describe {expected}, the cell of that index")
        return [
            row
            for result in results
            for data_set, seeds in result.dataset_seed.items()
            for seed in seeds
            for row in _split_rows(index, data_set, seed, result.query(data_set, seed))
        ]
    except UserError:
        raise
    except Exception as error:  # the package trusts its files, and fails on others in many ways
        raise UserError(f"{where} does not hold the results of a benchmark cell") from error


def _split_rows(index: int, data_set: str, seed: int, trial: Any) -> Iterator[Row]:
    # The rows of one training, which is a ResultsCount.
    epochs = trial.get_total_epoch()
    seconds, latency = _number(trial.get_train()["all_time"]), _number(trial.get_latency())
    for split, name in SETS[data_set].items():
        key = f"{name}@{epochs - 1}"
        if key in trial.eval_acc1es:
            accuracy, loss = float(trial.eval_acc1es[key]), float(trial.eval_losses[key])
            known_latency = latency if latency > 0 else np.nan  # the package says -1 where there is none
            evaluation = _evaluation_seconds(trial.eval_times, name, epochs)
            yield index, data_set, split, epochs, int(seed), accuracy, loss, seconds, evaluation, known_latency


def _evaluation_seconds(times: Any, name: str, epochs: int) -> float:
    # As the package tells it: the mean over the epochs, after each of which the split was evaluated.
    if not isinstance(times, dict) or len(times) < epochs:
        return np.nan
    return sum(_number(times.get(f"{name}@{epoch}")) for epoch in range(epochs)) / epochs


def _number(value: Any) -> float:
    return np.nan if value is None else float(value)
