"""Importers: from each source of true accuracies to the one table.

No source is trusted. A pickle is read with a list of the few names that such a file holds, and what was read is
checked before it counts: every cell there, no row twice, percentages, and the cell of six `none` at chance.
"""

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import SimpleNamespace

import pandas as pd

from harness.base.collector import collector_paused
from harness.base.errors import UserError, quoted
from harness.base.files import check_place_of_file, file_checksum, named_path
from harness.settings.tables import AccuracyColumn, TruthSettings
from harness.settings.validation import validate
from harness.space.cell import CONV1, CONV3, EDGES, NONE, POOL, SKIP, Cell
from harness.truth.checks import accuracies_frame, build_truth
from harness.truth.nas_bench_201 import import_nas_bench_201
from harness.truth.nats_bench import cell_files, import_nats_bench
from harness.truth.table import TRUTH_FILE, Truth, write_truth
from harness.truth.table_file import import_table
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
        UserError: the source is missing, damaged, not what it should be or, without `partial`, incomplete; or
            no file can stand at `output`.
    """
    check_place_of_file(output)
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
            truth = import_table(
                path,
                settings.cell_column,
                settings.columns,
                trial_column=settings.trial_column,
                seed_column=settings.seed_column,
                allow_partial=settings.partial,
            )
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
    return analog_file() if settings.path is None else named_path(settings.path)


def parse_columns(texts: Iterable[str]) -> dict[str, AccuracyColumn]:
    """Return the columns of a table that texts such as `NAME=cifar10/test/200` describe.

    Raises:
        UserError: a text has another form, names no data set or split of the benchmark, or a column again.
    """
    columns: dict[str, AccuracyColumn] = {}
    for text in texts:
        where = f"--column {quoted(text)}"
        parts = re.fullmatch("(.+)=([^/]*)/([^/]*)/([0-9]{1,9}|null)", text, re.DOTALL)
        if parts is None:
            raise UserError(f"{where}: expected NAME=DATA_SET/SPLIT/EPOCHS, EPOCHS a number or null")
        name, data_set, split, epochs = parts.groups()
        if name in columns:
            raise UserError(f"{where}: the column {quoted(name)} is named twice, expected once")
        content = {"data_set": data_set, "split": split, "epochs": None if epochs == "null" else int(epochs)}
        columns[name] = validate(AccuracyColumn, content, where)
    return columns


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
    return build_truth(accuracies_frame(frame), "analog-nasbench", path, checksum)


def _analog_cell(codes: tuple[int, ...]) -> Cell:
    by_edge = {edge: ANALOG_OPERATIONS[code] for edge, code in zip(ANALOG_EDGES, codes, strict=True)}
    return Cell(tuple(by_edge[edge] for edge in EDGES))
