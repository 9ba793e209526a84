"""Importers: from each source of true accuracies to the one table.

No source is trusted. A pickle is read with a list of the few names that such a file holds, and what was read is
checked before it counts: every cell there, no row twice, percentages, and the cell of six `none` at chance.
"""

import bz2
import hashlib
import os
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.cell import CONV1, CONV3, EDGES, NONE, POOL, SKIP, Cell
from harness.errors import UserError, did_you_mean
from harness.protocol import AccuracyColumn, TruthSettings, validate
from harness.restricted_pickle import collector_paused, load_restricted
from harness.truth import TRUTH_FILE, Truth, write_truth
from harness.truth_checks import build_truth, check_complete

SETS = {
    "cifar10-valid": {"valid": "x-valid", "test": "ori-test"},
    "cifar10": {"test": "ori-test"},
    "cifar100": {"valid": "x-valid", "test": "x-test", "valtest": "ori-test"},
    "ImageNet16-120": {"valid": "x-valid", "test": "x-test", "valtest": "ori-test"},
}
"""What the benchmark's files call each split, as its `get_more_info` reads them."""

# One function under the names that numpy 1 and numpy 2 write into pickles.
_SCALAR: Any = np.float64(0).__reduce__()[0]
_SCALAR_NAMES = ("numpy.core.multiarray", "numpy._core.multiarray")
BENCHMARK_NAMES = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): np.dtype,
    **{(module, "scalar"): _SCALAR for module in _SCALAR_NAMES},
}

ANALOG_NAMES = {
    ("analognasbench.data", "Architecture"): SimpleNamespace,
    ("analognasbench.data", "DriftMeasurement"): SimpleNamespace,
}
ANALOG_OPERATIONS = (SKIP, NONE, CONV3, CONV1, POOL)
ANALOG_EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))

UNSAFE_TORCH = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"

Item = TypeVar("Item")


def import_truth(settings: TruthSettings, output: Path = TRUTH_FILE, *, allow_partial: bool = False) -> Truth:
    """Import the source that params.yaml names and write it to `output`, which stays as it was on any error.

    Raises:
        UserError: the source is missing, damaged, not what it should be or, without `allow_partial`, incomplete.
    """
    path = Path(settings.path).expanduser() if settings.path is not None else analog_file()
    match settings.source:
        case "analog-nasbench":
            truth = import_analog_nasbench(path)
        case "nas-bench-201":
            truth = import_nas_bench_201(path, allow_partial=allow_partial)
        case "nats-bench":
            truth = import_nats_bench(path, allow_partial=allow_partial)
        case "table":
            assert settings.cell_column is not None  # TruthSettings checked it
            truth = import_table(path, settings.cell_column, settings.columns, allow_partial=allow_partial)
    write_truth(truth, output)
    return truth


def import_nas_bench_201(path: Path, *, allow_partial: bool = False) -> Truth:
    """Read an official NAS-Bench-201 file, v1.0 or v1.1.

    The file of 4.7 GB takes about 8 minutes and 28 GB of memory.

    Raises:
        UserError: see `import_truth`.
    """
    from rich.console import Console

    checksum = _file_checksum(path)
    with Console(stderr=True).status(f"reading {path.name}, the full file takes minutes"):
        cells = _nas_bench_201_cells(path)
    rows: list[tuple[Any, ...]] = []
    for index, results in _progress(cells.items(), "collecting trials", len(cells)):
        rows += _trial_rows(index, results, f"cell {index} of {path}")
    return build_truth(_benchmark_frame(rows), "nas-bench-201", path, checksum, allow_partial=allow_partial)


def _nas_bench_201_cells(path: Path) -> dict[int, dict[str, Any]]:
    # {index: {"12" or "200": ArchResults}}. torch.load inside the package unpickles only what is allowed here;
    # it compares names as the file spells them.
    import torch
    from nas_201_api import NASBench201API

    if os.environ.get(UNSAFE_TORCH):
        raise UserError(f"{UNSAFE_TORCH} is set, which lets a file run any code: unset it to import {path}")
    allowed: list[Any] = [
        np.dtype,
        type(np.dtype(np.float64)),
        *((_SCALAR, f"{module}.scalar") for module in _SCALAR_NAMES),
    ]
    try:
        with torch.serialization.safe_globals(allowed), collector_paused():
            return NASBench201API(str(path), verbose=False).arch2infos_dict
    except Exception as error:  # torch and the package raise all kinds on a file that is not theirs
        raise UserError(
            f"{path} is no NAS-Bench-201 file: it is damaged, of another kind, or holds objects besides plain data"
        ) from error


def import_nats_bench(path: Path, *, allow_partial: bool = False) -> Truth:
    """Read a NATS-Bench topology folder, `NATS-tss-v1_0-3ffb9-simple`.

    The package would unpickle anything, so the files are opened here and their content handed to its classes.

    Raises:
        UserError: see `import_truth`.
    """
    if not path.is_dir():
        raise UserError(f"{path} is {'a file' if path.exists() else 'missing'}, expected the NATS-Bench folder")
    files = sorted(path.glob("[0-9]" * 6 + ".pickle.pbz2"))
    check_complete({int(file.name[:6]) for file in files}, path, allow_partial)
    rows: list[tuple[Any, ...]] = []
    checksums = hashlib.sha256()
    with collector_paused(), ThreadPoolExecutor() as pool:  # decompression, most of the work, runs in parallel
        cells = pool.map(_read_nats_cell, files)
        for file, (checksum, cell_rows) in zip(files, _progress(cells, "reading cells", len(files)), strict=True):
            checksums.update(f"{checksum}  {file.name}\n".encode())
            rows += cell_rows
    return build_truth(_benchmark_frame(rows), "nats-bench", path, checksums.hexdigest(), allow_partial=allow_partial)


def _read_nats_cell(file: Path) -> tuple[str, list[tuple[Any, ...]]]:
    # Checksum and rows of one cell.
    from nats_bench.api_utils import ArchResults

    compressed = file.read_bytes()
    try:
        content = bz2.decompress(compressed)
    except (OSError, ValueError):
        raise UserError(f"{file} is damaged or of another kind: it is no complete bz2 file") from None
    states = load_restricted(content, BENCHMARK_NAMES, str(file))
    # The package takes a text for a path and would unpickle the file there without restriction.
    if not isinstance(states, dict) or not all(isinstance(state, dict) for state in states.values()):
        raise UserError(f"{file} does not hold the results of a benchmark cell")
    try:
        results = {hp: ArchResults.create_from_state_dict(state) for hp, state in states.items()}
    except (AttributeError, TypeError, ValueError):
        raise UserError(f"{file} does not hold the results of a benchmark cell") from None
    rows = _trial_rows(int(file.name[:6]), results, str(file))
    return hashlib.sha256(compressed).hexdigest(), rows


def _trial_rows(index: int, results: Mapping[str, Any], where: str) -> list[tuple[Any, ...]]:
    # A row for each single training and split that was measured after the last epoch. `results` holds an
    # ArchResults a training length; both packages have this class, and with it the same meaning.
    try:
        expected = str(Cell.from_index(index))
        if any(result.arch_str != expected for result in results.values()):
            raise UserError(f"{where} does not describe {expected}, the cell of that index")
        return [
            row
            for result in results.values()
            for data_set, seeds in result.dataset_seed.items()
            for seed in seeds
            for row in _split_rows(index, data_set, seed, result.query(data_set, seed))
        ]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where} does not hold the results of a benchmark cell") from error


def _split_rows(index: int, data_set: str, seed: int, trial: Any) -> Iterator[tuple[Any, ...]]:
    # The rows of one training, which is a ResultsCount.
    epochs = trial.get_total_epoch()
    seconds = trial.get_train()["all_time"]
    latency = trial.get_latency()
    for split, name in SETS[data_set].items():
        key = f"{name}@{epochs - 1}"
        if key in trial.eval_acc1es:
            accuracy, loss = float(trial.eval_acc1es[key]), float(trial.eval_losses[key])
            known_latency = float(latency) if latency > 0 else np.nan  # the package says -1 where there is none
            yield index, data_set, split, epochs, int(seed), accuracy, loss, seconds, known_latency


def _benchmark_frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    names = ["cell", "data_set", "split", "epochs", "training_seed", "accuracy", "loss", "seconds", "latency"]
    return pd.DataFrame(rows, columns=names)


def parse_columns(texts: Iterable[str]) -> dict[str, AccuracyColumn]:
    """Return the columns of a table that texts such as `NAME=cifar10/test/200` describe.

    Raises:
        UserError: a text has another form, or names no data set or split of the benchmark.
    """
    columns = {}
    for text in texts:
        name, _, key = text.partition("=")
        parts = key.split("/")
        if len(parts) != 3 or not (parts[2].isdigit() or parts[2] == "null"):
            raise UserError(f"--column {text!r}: expected NAME=DATA_SET/SPLIT/EPOCHS, EPOCHS a number or null")
        content = {"data_set": parts[0], "split": parts[1], "epochs": None if parts[2] == "null" else int(parts[2])}
        columns[name] = validate(AccuracyColumn, content, where=f"--column {text!r}")
    return columns


def import_table(
    path: Path, cell_column: str, columns: Mapping[str, AccuracyColumn], *, allow_partial: bool = False
) -> Truth:
    """Read mean accuracies from a CSV (.csv, .csv.gz) or Parquet file; an empty field is a missing accuracy.

    Raises:
        UserError: see `import_truth`; or the file lacks a column that is named.
    """
    checksum = _file_checksum(path)
    table = _read_table(path)
    for name in (cell_column, *columns):
        if name not in table.columns:
            raise UserError(f"{path} has no column {name!r}, {did_you_mean(name, map(str, table.columns))}")
    cells = _table_cells(table[cell_column], path)
    parts = []
    for name, column in columns.items():
        accuracy = _numbers(table[name], f"{path}, column {name!r}")
        part = pd.DataFrame({"cell": cells, "accuracy": accuracy}).dropna(subset="accuracy")
        parts.append(part.assign(data_set=column.data_set, split=column.split, epochs=column.epochs))
    return build_truth(_means_frame(pd.concat(parts)), "table", path, checksum, allow_partial=allow_partial)


def _read_table(path: Path) -> pd.DataFrame:
    try:
        if path.name.endswith((".csv", ".csv.gz")):
            return pd.read_csv(path)
        if path.name.endswith(".parquet"):
            with pq.ParquetFile(path) as file:
                return file.read().to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError, EOFError, ValueError, zlib.error):
        raise UserError(f"{path} is damaged or does not hold what its name says") from None
    raise UserError(f"{path} is no table that can be read, expected .csv, .csv.gz or .parquet")


def _table_cells(values: pd.Series, path: Path) -> list[int]:
    cells = []
    for row, value in enumerate(values, start=1):
        try:
            cells.append(Cell.parse("" if pd.isna(value) else str(value)).index)
        except UserError as error:
            raise UserError(f"{path}, column {values.name!r}, row {row}: {error}") from None
    return cells


def _numbers(values: pd.Series, where: str) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = values[numbers.isna() & values.notna()]
    if len(wrong):
        raise UserError(f"{where}, row {wrong.index[0] + 1}: expected a percentage, not {wrong.iloc[0]!r}")
    return numbers


def analog_file() -> Path:
    """Return the data file of the installed package, which need not be importable.

    Raises:
        UserError: analog-nasbench is not installed.
    """
    try:
        return Path(str(distribution("analog-nasbench").locate_file("analognasbench/data.anb")))
    except PackageNotFoundError:
        raise UserError("the package analog-nasbench is missing: install it with pip") from None


def import_analog_nasbench(path: Path | None = None) -> Truth:
    """Read the embedded table: CIFAR-10 test accuracies of all cells, trained independently of NAS-Bench-201.

    The package describes neither its operation codes nor its edge order; this reading is the one that agrees with
    NAS-Bench-201 over all cells. It does not state the length of the training.

    Raises:
        UserError: see `import_truth`.
    """
    path = path or analog_file()
    checksum = _file_checksum(path)
    with collector_paused():
        content = load_restricted(path.read_bytes(), ANALOG_NAMES, str(path))
    try:
        accuracies = {_analog_cell(codes).index: float(entry.baseline_accuracy) for codes, entry in content.items()}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} does not hold the table of analog-nasbench") from error
    frame = pd.DataFrame({"cell": list(accuracies), "accuracy": list(accuracies.values())})
    frame = frame.assign(data_set="cifar10", split="test", epochs=None)
    return build_truth(_means_frame(frame), "analog-nasbench", path, checksum)


def _analog_cell(codes: tuple[int, ...]) -> Cell:
    by_edge = {edge: ANALOG_OPERATIONS[code] for edge, code in zip(ANALOG_EDGES, codes, strict=True)}
    return Cell(tuple(by_edge[edge] for edge in EDGES))


def _means_frame(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(training_seed=None, loss=np.nan, seconds=np.nan, latency=np.nan)


def _file_checksum(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"{path} is {'a folder' if path.is_dir() else 'missing'}, expected a file")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _progress(items: Iterable[Item], title: str, total: int) -> Iterable[Item]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, title, total=total, console=console, transient=True, disable=not console.is_terminal)
