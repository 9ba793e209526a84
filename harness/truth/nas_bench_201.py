"""Import the official NAS-Bench-201 file, piece by piece: memory does not grow with the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from harness.base.errors import UserError
from harness.base.files import file_checksum
from harness.base.processes import map_in_processes, usable_cores
from harness.truth.checks import build_truth, trials_frame
from harness.truth.table import Truth
from harness.truth.trials import PTH_NAMES, CellResults, Row, read_cell_piece
from harness.untrusted.limited_reading import read_limited
from harness.untrusted.pickle_pieces import Placeholder, SplitPickle
from harness.untrusted.torch_file import find_pickle

SMALL = 64 * 2**20
"""Bytes of a file that this process reads sooner alone than with another that it would have to start."""

_KEYS = ("meta_archs", "arch2infos", "evaluated_indexes")


def import_nas_bench_201(path: Path, *, allow_partial: bool = False, processes: int | None = None) -> Truth:
    """Read an official NAS-Bench-201 file, v1.0 or v1.1, in either container of `torch.save`.

    A process with limits reads the file. `processes`: how many unpickle what it has cut out; 0: it does so itself;
    None: one, if there is a core for it.

    Raises:
        UserError: see `import_truth`.
    """
    checksum = file_checksum(path)
    (frame,) = read_limited(partial(_read, processes=processes), [path])
    return build_truth(frame, "nas-bench-201", path, checksum, allow_partial=allow_partial)


def _read(path: Path, processes: int | None) -> pd.DataFrame:
    where = f"{path} is no NAS-Bench-201 file, it"
    if processes is None:
        # More would wait for this one.
        processes = 1 if path.stat().st_size > SMALL and usable_cores() > 1 else 0
    with _open(path) as file:
        split = SplitPickle(find_pickle(file, where), PTH_NAMES, where)
        read = partial(read_cell_piece, path=str(path), where=where)
        found = list(map_in_processes(read, split.pieces(), processes))
        outline = split.outline()
    rows = [row for index, number in _cells(outline, len(found), where) for row in _rows_of(index, found[number], path)]
    return trials_frame(rows)


def _cells(outline: Any, pieces: int, where: str) -> Iterator[tuple[int, int]]:
    # The official index of each cell, and the number of its piece.
    if not isinstance(outline, dict) or not all(key in outline for key in _KEYS):
        raise UserError(f"{where} holds no dictionary with the keys {', '.join(_KEYS)}")
    cells = outline["arch2infos"]
    if not isinstance(cells, dict):
        raise UserError(f"{where} holds no dictionary of cells under the key arch2infos")
    for index, cell in cells.items():
        match list(cell) if isinstance(cell, dict) else None:
            case [Placeholder(number)] if 0 <= number < pieces:
                yield index, number
            case _:
                raise UserError(f"{where} holds no results under arch2infos, {index!r}")


def _rows_of(index: int, found: CellResults | None, path: Path) -> list[Row]:
    if found is None:
        raise UserError(f"cell {index} of {path} does not hold the results of a benchmark cell")
    if found.cell != index:
        raise UserError(f"cell {index} of {path} does not describe the cell of that index, but cell {found.cell}")
    return found.rows


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    # On a terminal a bar follows the bytes that are read.
    from rich.console import Console
    from rich.progress import wrap_file

    console = Console(stderr=True)
    with (
        path.open("rb") as file,
        wrap_file(
            file,
            path.stat().st_size,
            description=f"reading {path.name}",
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as watched,
    ):
        yield watched
