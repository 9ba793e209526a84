"""Importers: from each source of true accuracies to the one table.

No source is trusted. A pickle is read with a list of the few names that such a file holds, and what was read is
checked before it counts: every cell there, no row twice, percentages, and the cell of six `none` at chance.
"""

import warnings
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from harness.base.collector import collector_paused
from harness.base.errors import UserError, did_you_mean, quoted
from harness.base.files import file_checksum
from harness.settings.protocol import AccuracyColumn, TruthSettings
from harness.settings.validation import validate
from harness.space.cell import CELL_COUNT, CONV1, CONV3, EDGES, NONE, POOL, SKIP, Cell
from harness.truth.checks import build_truth
from harness.truth.nas_bench_201 import import_nas_bench_201
from harness.truth.nats_bench import cell_files, import_nats_bench
from harness.truth.table import TRUTH_FILE, Truth, write_truth
from harness.untrusted.memory_limit import memory_limited
from harness.untrusted.restricted_pickle import load_restricted

ANALOG_NAMES = {
    ("analognasbench.data", "Architecture"): SimpleNamespace,
    ("analognasbench.data", "DriftMeasurement"): SimpleNamespace,
}
ANALOG_OPERATIONS = (SKIP, NONE, CONV3, CONV1, POOL)
ANALOG_EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))


def import_truth(settings: TruthSettings, output: Path = TRUTH_FILE) -> Truth:
    """Import the source that params.yaml names and write it to `output`, which stays as it was on any error.

    Raises:
        UserError: the source is missing, damaged, not what it should be or, without `partial`, incomplete.
    """
    path = _path(settings)
    match settings.source:
        case "analog-nasbench":
            truth = import_analog_nasbench(path)
        case "nas-bench-201":
            truth = import_nas_bench_201(path, allow_partial=settings.partial)
        case "nats-bench":
            truth = import_nats_bench(path, allow_partial=settings.partial)
        case "table":
            assert settings.cell_column is not None  # TruthSettings checked it
            truth = import_table(path, settings.cell_column, settings.columns, allow_partial=settings.partial)
    write_truth(truth, output)
    return truth


def source_files(settings: TruthSettings) -> list[Path]:
    """Return the files that an import reads, in a fixed order.

    Raises:
        UserError: the embedded source is not installed.
    """
    path = _path(settings)
    return cell_files(path) if settings.source == "nats-bench" else [path]


def _path(settings: TruthSettings) -> Path:
    return Path(settings.path).expanduser() if settings.path is not None else analog_file()


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
    checksum = file_checksum(path)
    table = _read_table(path)
    for name in (cell_column, *columns):
        held = list(table.columns).count(name)
        if held != 1:
            hint = did_you_mean(name, map(str, table.columns)) if not held else "expected one"
            raise UserError(f"{path} has {held or 'no'} column{'s' if held else ''} {name!r}, {hint}")
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
            with memory_limited(path.stat().st_size), warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)  # a row with more fields than the header
                return pd.read_csv(path, index_col=False, nrows=CELL_COUNT + 1)
        if path.name.endswith(".parquet"):
            with pq.ParquetFile(path) as file:
                if file.metadata.num_rows > CELL_COUNT:
                    raise UserError(f"{path} has more rows than the {CELL_COUNT:,} cells")
                return file.read().to_pandas(ignore_metadata=True)
    except UserError:
        raise
    except Exception:  # damage shows in many ways
        raise UserError(f"{path} is damaged or does not hold what its name says") from None
    raise UserError(f"{path} is no table that can be read, expected .csv, .csv.gz or .parquet")


def _table_cells(values: pd.Series, path: Path) -> list[int]:
    cells = []
    for row, value in enumerate(values, start=1):
        try:
            cells.append(Cell.parse("" if pd.api.types.is_scalar(value) and pd.isna(value) else str(value)).index)
        except UserError as error:
            raise UserError(f"{path}, column {values.name!r}, row {row}: {error}") from None
    return cells


def _numbers(values: pd.Series, where: str) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = values[numbers.isna() & values.notna()]
    if len(wrong):
        raise UserError(f"{where}, row {wrong.index[0] + 1}: expected a percentage, not {quoted(wrong.iloc[0])}")
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
    checksum = file_checksum(path)
    with collector_paused():
        content = load_restricted(path.read_bytes(), ANALOG_NAMES, str(path))
    try:
        accuracies = {_analog_cell(codes).index: float(entry.baseline_accuracy) for codes, entry in content.items()}
    except Exception as error:  # what a foreign pickle holds fails in many ways
        raise UserError(f"{path} does not hold the table of analog-nasbench") from error
    frame = pd.DataFrame({"cell": list(accuracies), "accuracy": list(accuracies.values())})
    frame = frame.assign(data_set="cifar10", split="test", epochs=None)
    return build_truth(_means_frame(frame), "analog-nasbench", path, checksum)


def _analog_cell(codes: tuple[int, ...]) -> Cell:
    by_edge = {edge: ANALOG_OPERATIONS[code] for edge, code in zip(ANALOG_EDGES, codes, strict=True)}
    return Cell(tuple(by_edge[edge] for edge in EDGES))


def _means_frame(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(training_seed=None, loss=np.nan, seconds=np.nan, latency=np.nan)
