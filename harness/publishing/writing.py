"""Writes the folder of a published board, but for what the report makes: descriptions, figures and the page."""

import datetime
import hashlib
import platform
import shutil
from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from harness.base.errors import UserError, quoted
from harness.base.files import check_place_of_folder, read_text
from harness.board.sources import named_contents
from harness.images.decoded import IMAGES, data_hash
from harness.publishing.folder import LARGEST
from harness.publishing.manifest import (
    MANIFEST,
    PARAMS,
    RESULTS,
    RUNS,
    Checksums,
    Code,
    Listed,
    Machine,
    Manifest,
    Method,
)
from harness.publishing.tables import copy_tables
from harness.records.environment import git_revision
from harness.records.record import CHECKSUMS, OPTIONAL_TABLES, Record
from harness.records.run_folders import METHOD_NAME, run_folder
from harness.results import columns
from harness.settings.protocol import Board
from harness.settings.validation import PARAMS_FILE
from harness.truth.table import TRUTH_FILE, Truth

FILES = ("record.json", CHECKSUMS, *(f"{name}.parquet" for name in ("epochs", *OPTIONAL_TABLES)))
"""Of a run."""
PACKAGES = ("dartsboard", "torch", "numpy", "pandas", "pyarrow", "scipy", "mlflow", "dvc")


def check_place(folder: Path, name: str, replace: bool) -> None:
    """Check that a published board can stand at this path.

    Raises:
        UserError: its name is none, or something stands there already and shall not be, or must not be, replaced.
    """
    if not METHOD_NAME.fullmatch(name):
        raise UserError(f"{quoted(name)} is no name for a board, expected at most 60 letters, digits and hyphens")
    check_place_of_folder(folder)
    if folder.is_symlink():
        raise UserError(f"{folder} is a link, expected a folder or nothing: move it away")
    if folder.exists():
        if not (folder / MANIFEST).is_file():
            raise UserError(f"{folder} is there and no published board: take another name, or move it away")
        if not replace:
            raise UserError(f"{folder} is there already: take another name, or --replace it")


def write_tables(staging: Path) -> None:
    """Write params.yaml and the tables of results/ into the new folder.

    Raises:
        UserError: a file is missing or damaged.
    """
    (staging / PARAMS).write_text(read_text(PARAMS_FILE), encoding="utf-8")
    copy_tables(columns.RESULTS, staging / RESULTS)
    for name in ("truth.json", "provenance.json"):
        (staging / RESULTS / name).write_text(read_text(columns.RESULTS / name), encoding="utf-8")


def copy_runs(records: Iterable[Record], staging: Path) -> None:
    """Copy the runs of a board into the new folder, as they are: a board that takes them over goes on from there.

    Raises:
        UserError: they are so large that the folder could not be read.
    """
    for record in records:
        source = run_folder(record.variant, record.seed)
        target = staging / RUNS / record.variant / source.name
        target.mkdir(parents=True)
        for name in FILES:
            if (source / name).exists():
                shutil.copyfile(source / name, target / name)
    total = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
    if total > LARGEST:
        raise UserError(
            f"with its runs the board would take {total / 2**20:.1f} MB, and a published board has at most "
            f"{LARGEST // 2**20}: publish it without --runs"
        )


def write_manifest(manifest: Manifest, staging: Path) -> None:
    """Write published.json, which lists all files that are there by now."""
    files = {
        path.relative_to(staging).as_posix(): Listed(
            bytes=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest()
        )
        for path in sorted(staging.rglob("*"))
        if path.is_file()
    }
    text = manifest.model_copy(update={"files": files}).model_dump_json(indent=1)
    (staging / MANIFEST).write_text(text + "\n", encoding="utf-8")


def manifest_of(name: str, board: Board, records: Iterable[Record], methods: dict[str, Method]) -> Manifest:
    """Return what published.json of a board says, the list of its files aside.

    Raises:
        UserError: the images, the truth or a file that params.yaml names cannot be read.
    """
    revision = git_revision()
    commit, changes, _ = (revision or "").partition("+")
    named = named_contents(board)
    return Manifest(
        name=name,
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        code=Code(git_revision=commit or None, has_changes=None if revision is None else bool(changes)),
        versions={"python": platform.python_version(), **{package: version(package) for package in PACKAGES}},
        protocol=board.protocol,
        checksums=Checksums(
            data=data_hash(IMAGES, board.chosen.data) if board.variants else None,
            images=named["images"],
            split=named["split"],
            truth=Truth.read(TRUTH_FILE).provenance.sha256,
            costs=named["costs"],
        ),
        machines=machines(records),
        methods=methods,
        files={},
    )


def machines(records: Iterable[Record]) -> list[Machine]:
    """Return the environments of runs, each with its runs, those of the most runs first."""
    seeds: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    environments = {}
    for record in records:
        key = record.environment.model_dump_json()
        environments[key] = record.environment
        seeds[key][record.variant].append(record.seed)
    found = [Machine(**environments[key].model_dump(), runs=dict(runs)) for key, runs in seeds.items()]
    return sorted(found, key=lambda machine: -sum(map(len, machine.runs.values())))
