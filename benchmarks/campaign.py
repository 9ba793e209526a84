"""Many searches on a machine that is lent for minutes, over as many loans as it takes.

    python -m benchmarks.campaign run cifar10.parquet campaign --variants darts,pc-darts --seeds 0-4 --minutes 9

runs what is left to run, several searches at once, and stops at the end of an epoch when the time is over. Everything
is in the folder `campaign`: records, checkpoints, and the table `campaign.md`. Take it along to the next loan, and the
same command goes on.

The images are CIFAR-10 as the folder of its python batches (read by torchvision), as a Parquet file with the columns
split, label, name and jpeg, or as an image folder (both read by Pillow); or a folder that

    python -m benchmarks.campaign prepare SOURCE IMAGES

has decoded, which needs neither.

The machine needs Python 3.11, torch, numpy, pandas and pyarrow. What else a search imports travels as wheels, 3 MB for
one version of Python, which `--wheels DIR` unpacks for the call:

    pip download --only-binary=:all: --python-version 3.12 --platform manylinux2014_x86_64 \\
        -c constraints.txt -d DIR pydantic ruamel.yaml filelock

True accuracies stand in the table if `--truth TABLE` gives them (CSV or Parquet; this needs scipy), described as for
`dartsboard truth import table`: --cell-column index --column cifar10_test_200=cifar10/test/200
"""

import argparse
import math
import os
import shlex
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import chdir, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from harness.fleet.group import Outcome, Run
    from harness.images.sources import Source
    from harness.records.record import Record
    from harness.settings.protocol import Board, DataSettings
    from harness.truth.table import Truth

# Nothing but Python's own at this level: the rest may lie in wheels that are not unpacked yet.

ROOT = Path(__file__).resolve().parent.parent
WHEELS = (
    *("annotated_types", "filelock", "pydantic", "pydantic_core"),
    *("ruamel.yaml", "typing_extensions", "typing_inspection"),
)
"""What a search imports beside torch, numpy, pandas, pyarrow and what those need."""
TABLE = "campaign.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the two commands; return the exit status."""
    started = time.monotonic()
    options = parser().parse_args(arguments)
    with importable(ROOT), unpacked(options.wheels):
        missing = [name for name in WHEELS if not is_there(name)]
        if missing:
            print(f"error: {', '.join(missing)} cannot be imported: give the wheels by --wheels DIR", file=sys.stderr)
            return 2
        from harness.base.errors import UserError

        try:
            return int(options.command(options, started))
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    assert __doc__ is not None
    found = argparse.ArgumentParser(
        "campaign", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = found.add_subparsers(required=True, metavar="COMMAND")
    for name, command, text in (
        ("prepare", prepare_command, "Decode the images of a protocol into a folder."),
        ("run", run_command, "Run searches until the time is over."),
    ):
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=command)
        added.add_argument("source", type=Path, help="the images, in one of the forms above")
        added.add_argument("output", type=Path, help="the folder to write")
        added.add_argument("--params", type=Path, default=ROOT / "params.yaml", help="settings (the project's)")
        added.add_argument("--protocol", default="nas-bench-201", help="one of its protocols (nas-bench-201)")
        added.add_argument("--wheels", type=Path, help="folder of wheels")
    run = commands.choices["run"]
    run.add_argument("--variants", required=True, help="names, with commas between")
    run.add_argument("--seeds", required=True, help="such as 0-4 or 0,2,5")
    run.add_argument("--minutes", type=float, default=math.inf, help="time for this call (no limit)")
    run.add_argument("--workers", type=int, help="searches at once (as cores, or the card, and memory allow)")
    run.add_argument("--truth", type=Path, help="table of true accuracies")
    run.add_argument("--cell-column", help="its column that names the cell, by index or string")
    run.add_argument("--column", action="append", default=[], metavar="NAME=DATA_SET/SPLIT/EPOCHS", help="repeat")
    return found


@contextmanager
def unpacked(wheels: Path | None) -> Iterator[None]:
    """Let what lies in a folder of wheels be imported."""
    if wheels is None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="wheels-") as folder:
        for wheel in sorted(wheels.glob("*.whl")):
            with zipfile.ZipFile(wheel) as file:
                file.extractall(folder)  # compiled modules cannot be imported from within an archive
        with importable(Path(folder)):
            yield


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Let what lies in a folder be imported, here and in the processes that are started from here."""
    # The process that searches are forked from does not get sys.path before it imports what they share.
    places = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    with patch.object(sys, "path", [str(folder), *sys.path]), patch.dict(os.environ, PYTHONPATH=places):
        yield


def is_there(module: str) -> bool:
    """Whether a module can be imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is not there
        return False


# Images


def prepare_command(options: argparse.Namespace, started: float) -> int:
    """Decode the images."""
    settings = campaign_board(options).chosen.data
    write_images(options.source, settings, options.output)
    print(f"{options.output} holds the images of {options.source} for the protocol {options.protocol}")
    return 0


def write_images(source: Path, settings: "DataSettings", folder: Path) -> None:
    """Decode images into a folder as `harness.images.decoded` reads it, under the name that the protocol gives them.

    Raises:
        UserError: the source is missing, damaged or of none of the forms.
    """
    from harness.images.decoded import to_arrays, write_cached

    write_cached(folder, to_arrays(read_images(source, settings), settings))


def read_images(source: Path, settings: "DataSettings") -> "Source":
    """Read a data set in one of its forms.

    Raises:
        UserError: see `write_images`.
    """
    from harness.base.errors import UserError
    from harness.images.sources import read_source

    if not source.exists():
        raise UserError(
            f"{source} is missing: expected a Parquet file, an image folder or the folder of python batches"
        )
    if source.is_file():
        return read_parquet(source)
    elsewhere: dict[str, Any] = {"path": str(source), "download": False}
    if (source / "train").is_dir():
        elsewhere["name"] = "folder"
    return read_source(settings.model_copy(update=elsewhere))


def read_parquet(path: Path) -> "Source":
    """Read images from the columns split (`train` or `test`), label, name and jpeg, in the order of an image folder.

    Raises:
        UserError: it is no such file, or an image is damaged or of another size than the first.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from harness.base.errors import UserError
    from harness.images.sources import Source

    try:
        table = pq.read_table(path, columns=["split", "label", "name", "jpeg"]).to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError):
        raise UserError(f"{path} is no Parquet file with the columns split, label, name and jpeg") from None
    table = table.sort_values(["label", "name"], kind="stable")
    classes = tuple(sorted(table["label"].unique()))
    parts = [table[table["split"] == split] for split in ("train", "test")]
    if not len(parts[0]):
        raise UserError(f"{path} has no row whose split is train")
    train, test = (image_set(part, classes, path) for part in parts)
    return Source(train, test if len(parts[1]) else None, classes, note=f"JPEG images of {path.name}, decoded")


def image_set(rows: "pd.DataFrame", classes: tuple[str, ...], path: Path) -> Any:
    """Decode the images of some rows."""
    import numpy as np

    from harness.base.errors import UserError
    from harness.images.sources import ImageSet

    images: list[np.ndarray] = []
    for name, jpeg in zip(rows["name"], rows["jpeg"], strict=True):
        try:
            images.append(decoded(jpeg))
        except Exception as error:  # Pillow's decoders fail in many ways
            raise UserError(f"{path}, image {name}: it is damaged or no JPEG: {error}") from None
        if images[-1].shape != images[0].shape:
            raise UserError(f"{path}, image {name}: expected the size of the first, {images[0].shape[:2]}")
    labels = rows["label"].map({label: position for position, label in enumerate(classes)})
    return ImageSet(np.stack(images) if images else np.empty(0), labels.to_numpy(dtype=np.int64))


def decoded(jpeg: bytes) -> "np.ndarray":
    """Return the pixels of a JPEG, uint8 [H, W, 3]."""
    import io

    import numpy as np
    import PIL.Image

    with PIL.Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        return np.asarray(image.convert("RGB"))


# Searches


def run_command(options: argparse.Namespace, started: float) -> int:
    """Run what is left, then write the table."""
    from harness.base.progress import show_runs
    from harness.fleet.group import Run, StoppedError, parse_seeds, run_together

    board = campaign_board(options)
    truth = read_truth(options)
    runs = [Run(name, seed) for name in options.variants.split(",") for seed in parse_seeds(options.seeds)]
    link_images(options.source, board.chosen.data, options.output)
    status = 0
    with chdir(options.output):
        try:
            with show_runs() as display:
                deadline = started + 60 * options.minutes
                outcomes = run_together(board, runs, display, options.workers, deadline)
        except StoppedError as stopped:
            outcomes, status = stopped.outcomes, stopped.status
        left = what_is_left(board, runs, outcomes)
        page = document(truth, left, time.monotonic() - started)
        Path(TABLE).write_text(page, encoding="utf-8")
    print(page)
    good = all(outcome.good or outcome.status == "unfinished" for outcome in outcomes)
    return status or (0 if good else 1)


def campaign_board(options: argparse.Namespace) -> "Board":
    """Return the board of params.yaml under the campaign's protocol.

    Raises:
        UserError: params.yaml will not do, or there is no such protocol.
    """
    from harness.base.errors import UserError, did_you_mean
    from harness.settings.protocol import load_board

    board = load_board(options.params)
    if options.protocol not in board.protocols:
        nearest = did_you_mean(options.protocol, board.protocols)
        raise UserError(f"--protocol: there is no protocol {options.protocol!r} in {options.params}, {nearest}")
    return board.model_copy(update={"protocol": options.protocol})


def link_images(source: Path, settings: "DataSettings", output: Path) -> None:
    """Make the images of a campaign's folder a link: they need not travel with its results.

    Raises:
        UserError: see `write_images`.
    """
    from harness.base.errors import UserError
    from harness.images.decoded import DESCRIPTION_FILE, IMAGES
    from harness.settings.validation import content_hash

    images = source.resolve()
    if not (images / DESCRIPTION_FILE).exists():
        stamp = source.stat().st_mtime if source.exists() else None
        key = content_hash([str(images), stamp, settings.model_dump(mode="json")])
        images = Path(tempfile.gettempdir()) / f"campaign-images-{key[:16]}"
        if not images.exists():
            write_images(source, settings, images)
    link = output / IMAGES
    if link.resolve() == images:
        return
    if link.is_dir() and not link.is_symlink():
        raise UserError(f"{link} holds other images than {source}: remove it, or name it as the source")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(images, target_is_directory=True)


def read_truth(options: argparse.Namespace) -> "Truth | None":
    """Return the table of true accuracies, if one is named.

    Raises:
        UserError: it is missing or damaged, or lacks a column that is named.
    """
    if options.truth is None:
        return None
    from harness.settings.tables import TruthSettings
    from harness.settings.validation import validate
    from harness.truth.sources import import_table, parse_columns  # needs scipy

    content = {
        "source": "table",
        "path": str(options.truth),
        "cell_column": options.cell_column,
        "columns": parse_columns(options.column),
    }
    settings = validate(TruthSettings, content, where="--truth")
    assert settings.cell_column is not None  # TruthSettings checked it
    return import_table(options.truth, settings.cell_column, settings.columns, allow_partial=True)


def what_is_left(board: "Board", runs: Iterable["Run"], outcomes: Iterable["Outcome"]) -> list[str]:
    """Return a line about each run that has no result."""
    from harness.board.runner import fingerprint
    from harness.records.checkpoint import Checkpoints

    ended = {outcome.run: outcome for outcome in outcomes}
    lines = []
    for run in runs:
        outcome = ended.get(run)
        if outcome is None or not outcome.good:
            epochs = Checkpoints(*run, fingerprint(board, *run)).epochs
            why = f" ({outcome.status}: {outcome.detail})" if outcome and outcome.status != "unfinished" else ""
            lines.append(f"{run}: {epochs} of {board.chosen.epochs} epochs are done{why}")
    return lines


# The page


def document(truth: "Truth | None", left: list[str], seconds: float) -> str:
    """Return the page about all records of the current folder."""
    from harness.records.record import RUNS, read_record

    records = [read_record(path.parent) for path in sorted(RUNS.glob("*/seed-*/record.json"))]
    protocols = ", ".join(sorted({found.protocol for found in records}))
    machines = sorted({machine(found) for found in records})
    remaining = "\n".join(f"- {line}" for line in left) or "- nothing"
    source = f"{truth.provenance.file}, percent" if truth else "none"
    command = f"python -m benchmarks.campaign {shlex.join(sys.argv[1:])}"
    return f"""# Searches under the protocol {protocols or "(none yet)"}

{markdown(table(records, truth))}

Left to run:

{remaining}

- seconds: wall time of the epochs, beside the searches that ran at the same time
- memory: largest use of the device on CUDA, of the process elsewhere
- true accuracies: {source}
{"".join(f"- {line}{chr(10)}" for line in machines)}- command: `{command}` ({seconds:.0f} s)
"""


def machine(found: "Record") -> str:
    """Return where a run was computed, in a line."""
    where = found.environment
    device = where.processor if where.device == "cpu" else f"{where.device}, {where.processor}"
    return f"computed on {device}; Python {where.python}, torch {where.torch}, numpy {where.numpy}"


def table(records: list["Record"], truth: "Truth | None") -> list[dict[str, str]]:
    """Return a row a record."""
    import pandas as pd

    from harness.space.cell import Cell
    from harness.truth.columns import TruthColumns

    rows = []
    for found in records:
        rows.append(
            {
                "variant": found.variant,
                "seed": str(found.seed),
                "status": found.status,
                "epochs": str(found.epochs),
                "seconds": f"{found.seconds:.1f}",
                "memory": f"{found.peak_memory_bytes / 1e6:.0f} MB",
                "cell": f"`{found.cell}`" if found.cell else found.reason or "",
            }
        )
    if truth is not None:
        cells = pd.Series([Cell.from_string(found.cell).index if found.cell else math.nan for found in records])
        accuracies = TruthColumns(truth).look_up(cells.astype(float))
        for column, values in accuracies.items():
            name = str(column).removeprefix("truth/").replace("/", " ")
            for row, value in zip(rows, values, strict=True):
                row[name] = "" if math.isnan(value) else f"{value:.2f}"
    return rows


def markdown(rows: list[dict[str, str]]) -> str:
    """Return a table; a bar within a cell is escaped."""
    if not rows:
        return "No search has ended yet."
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
