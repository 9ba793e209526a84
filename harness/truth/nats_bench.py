"""Import the NATS-Bench folder: one small compressed pickle a cell, read by several processes at once."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from harness.base.errors import UserError, in_one_line
from harness.base.processes import usable_cores
from harness.truth.checks import build_truth, check_complete, trials_frame
from harness.truth.table import Truth
from harness.truth.trials import Row, read_cell_file
from harness.untrusted.limited_reading import read_limited

FEW = 500
"""Cells that one process reads sooner alone than with others that would have to be started."""


def import_nats_bench(path: Path, *, allow_partial: bool = False, processes: int | None = None) -> Truth:
    """Read a NATS-Bench topology folder, `NATS-tss-v1_0-3ffb9-simple`.

    The package would unpickle anything, so the files are opened here and their content handed to its classes.
    `processes`: how many read; None: one a core.

    Raises:
        UserError: see `import_truth`.
    """
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except OSError as error:
        raise UserError(f"{in_one_line(path)} cannot be read: {error.strerror or error}") from None
    if not is_folder:
        raise UserError(f"{in_one_line(path)} is {'a file' if is_there else 'missing'}, expected the NATS-Bench folder")
    files = cell_files(path)
    for file in files:
        if not file.is_file():  # reading a pipe or a device would never end
            raise UserError(f"{file} is no regular file, expected the results of a cell")
    check_complete({int(file.name[:6]) for file in files}, path, allow_partial)
    if processes is None:
        processes = usable_cores() if len(files) > FEW else 1
    rows: list[Row] = []
    checksums = hashlib.sha256()
    cells = read_limited(read_cell_file, files, processes)
    for file, (checksum, found) in zip(files, _progress(cells, len(files)), strict=True):
        checksums.update(f"{checksum}  {file.name}\n".encode())
        rows += found
    return build_truth(trials_frame(rows), "nats-bench", path, checksums.hexdigest(), allow_partial=allow_partial)


def cell_files(folder: Path) -> list[Path]:
    """Return the files of a NATS-Bench folder that hold the results of a cell."""
    return sorted(folder.glob("[0-9]" * 6 + ".pickle.pbz2"))


def _progress(cells: Iterable[tuple[str, list[Row]]], total: int) -> Iterable[tuple[str, list[Row]]]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(cells, "reading cells", total=total, console=console, transient=True, disable=not console.is_terminal)
