"""Reads a published board. Its folder comes from outside: every file is checked before anything is made of it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness.base.errors import UserError, in_one_line, quoted
from harness.base.files import check_name, open_file
from harness.base.parquet import parse_parquet
from harness.board.compare import Comparison, compare
from harness.publishing.manifest import AGAIN, MANIFEST, PARAMS, RESULTS, RUNS, THEORY, Manifest, read_manifest
from harness.records.run_folders import METHOD_NAME
from harness.results.columns import RESULT_COLUMNS
from harness.results.folder import Results, load_results
from harness.settings.protocol import Board
from harness.settings.validation import read_yaml, validate
from harness.untrusted.limited_reading import read_limited

Result = TypeVar("Result")

LARGEST = 64 * 2**20
"""Bytes of all files of a published board; `tables.LARGEST` is what its tables may have when they are written."""
MOST_ROWS = 20_000_000
"""Of a table, for which a few bytes are enough."""

NEEDED = (
    PARAMS,
    *(f"{RESULTS}/{name}.parquet" for name in RESULT_COLUMNS),
    *(f"{RESULTS}/{name}.json" for name in ("truth", "provenance")),
)
UNUSED = {
    "truth": {"source": "analog-nasbench", "path": None},
    "costs": None,
    "tracking": {"uri": None, "experiment": "published"},
}
"""Stands for keys of params.yaml that nobody asks a published board for."""
STATUSES = ("done", "stopped", "diverged", "failed")
"""Of the runs of a published board: it is finished."""


@dataclass(frozen=True)
class PublishedBoard:
    """A published board whose files are all what was published."""

    folder: Path
    manifest: Manifest
    board: Board
    """What was compared: params.yaml, but for its `UNUSED` keys and the protocols that are not the board's."""

    @property
    def results(self) -> Path:
        """Its tables, as the look-up stage wrote them."""
        return self.folder / RESULTS

    @property
    def theory(self) -> Path | None:
        """The tables of the theory stage; None where it was published without."""
        return self.folder / THEORY if any(name.startswith(f"{THEORY}/") for name in self.manifest.files) else None

    def load(self) -> Results:
        """Read its tables.

        Raises:
            UserError: they lack a column, or hold what no finished board has.
        """
        return told_in_one_sentence(self, self._load)

    def _load(self) -> Results:
        results = load_results(self.results)
        _check_runs(results, self.board, self.results / "runs.parquet")
        for name in ("epochs", "alpha", "one_shot", "rank_correlation", "collapse"):
            if not getattr(results, name)["epoch"].dropna().between(0, MOST_ROWS).all():
                raise UserError(
                    f"{self.results / f'{name}.parquet'} is damaged: it counts epochs that are none: {AGAIN}"
                )
        return results


def read_published(folder: Path) -> PublishedBoard:
    """Read published.json and params.yaml of a published board, and check all its files.

    Raises:
        UserError: the folder is no published board, or of a newer version; or a file of it is missing, damaged, larger
            than such files are, or none of a published board.
    """
    check_name(folder)
    manifest = read_manifest(folder)
    for name in NEEDED:
        if name not in manifest.files:
            raise UserError(f"{folder / MANIFEST} is damaged: it lists no {name}: {AGAIN}")
    if sum(file.bytes for file in manifest.files.values()) > LARGEST:
        raise UserError(f"{in_one_line(folder)} is larger than any published board, {LARGEST // 2**20} MB")
    for name in manifest.files:
        _check_file(folder, name, manifest)
    tables = [folder / name for name in manifest.files if name.endswith(".parquet") and not name.startswith(f"{RUNS}/")]
    *_, board = read_limited(_read, [*tables, folder / PARAMS])
    if not isinstance(board, Board):
        raise TypeError("the last file is that of the settings")
    _check_names(board, manifest, folder)
    return PublishedBoard(folder, manifest, board)


def _check_file(folder: Path, name: str, manifest: Manifest) -> None:
    """Compare a file with what published.json says of it; none is read that has another size."""
    path, listed = folder / name, manifest.files[name]
    try:
        if any((folder / part).is_symlink() for part in (Path(name), *Path(name).parents[:-1])):
            raise UserError(f"{path} is a link, which no published board has: {AGAIN}")
        if path.stat().st_size != listed.bytes:
            raise UserError(f"{path} is damaged (its size differs): {AGAIN}")
        with open_file(path) as file:
            content = file.read(listed.bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} is missing: {AGAIN}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from None
    if hashlib.sha256(content).hexdigest() != listed.sha256:
        raise UserError(f"{path} is damaged (its checksum differs): {AGAIN}")


def _read(path: Path) -> Board | None:
    """Read a file as the commands will later, in a process whose time and memory are limited: settings or a table."""
    if path.name == PARAMS:
        content = read_yaml(path)
        if not isinstance(content, dict):
            raise UserError(f"{path} is empty or no mapping")
        return validate(Board, _without_what_made_it(content), where=str(path))
    with open_file(path) as file:
        parse_parquet(file.read(), path, MOST_ROWS).to_pandas()
    return None


def _without_what_made_it(content: dict[str, object]) -> dict[str, object]:
    """Return params.yaml with what its tables are read by: what is gone may be of another form in later versions.

    That are the other protocols, the server for tracking, and where truth and costs came from, which truth.json tells.
    """
    protocols, chosen = content.get("protocols"), content.get("protocol")
    if isinstance(protocols, dict) and chosen in protocols:
        protocols = {chosen: protocols[chosen]}
    return {**content, "protocols": protocols, **UNUSED}


def _check_names(board: Board, manifest: Manifest, folder: Path) -> None:
    names = [*board.variants, *board.baselines]
    for name in names:
        if not METHOD_NAME.fullmatch(name):
            raise UserError(f"{folder / PARAMS}: {quoted(name)} is no name of a method")
    if set(manifest.methods) != set(names):
        raise UserError(f"{folder / MANIFEST} is damaged: its methods are not those of {PARAMS}: {AGAIN}")


def _check_runs(results: Results, board: Board, path: Path) -> None:
    runs = results.runs
    found = [(str(name), int(seed)) for name, seed in zip(runs["variant"], runs["seed"], strict=True)]
    if sorted(found) != sorted(board.runs) or not runs["status"].isin(STATUSES).all():
        raise UserError(f"{path} is damaged: its runs are not those of a finished board of {PARAMS}: {AGAIN}")
    for column in results.columns:
        if not column.label.isprintable():
            raise UserError(f"{path.with_name('truth.json')} is damaged: a label cannot be read: {AGAIN}")
        if not runs[column.key].dropna().between(0, 100).all():
            raise UserError(f"{path} is damaged: {column.key} holds what is no accuracy: {AGAIN}")


def told_in_one_sentence(board: PublishedBoard, make: Callable[[], Result]) -> Result:
    """Return what `make` makes of a published board.

    Tables can be whole and still contradict each other, in more ways than can be checked before.

    Raises:
        UserError: it could not be made.
    """
    try:
        return make()
    except UserError as error:
        place = "" if str(board.folder) in str(error) else f"{in_one_line(board.folder)}: "
        raise UserError(f"{place}{error}") from None
    except Exception as error:
        raise UserError(
            f"{in_one_line(board.folder)}: its tables contradict each other, or this version reads them otherwise "
            f"({type(error).__name__}: {in_one_line(error)})"
        ) from error


def compare_methods(folder: Path, first: str, second: str) -> list[Comparison]:
    """Compare two methods of a published board, as `harness.board.compare` does those of the board here.

    Raises:
        UserError: see `read_published` and `compare`.
    """
    board = read_published(folder)
    board.load()
    return told_in_one_sentence(board, lambda: compare(first, second, board.results))
