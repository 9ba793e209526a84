"""The files outside the project that params.yaml names by path, told by their content: sources.json.

DVC watches paths that stand in dvc.yaml, but not what a setting names, which may also be nothing. So the stage
`sources`, which always runs, writes what those files hold by now, and the stages that read them depend on that. The
file belongs into git: a clone without a table of gigabytes knows which one its results come from, and stays up to date.
A board that lies outside the project has its code from there too: see `stage_code`.
"""

import hashlib
import json
from pathlib import Path
from typing import Literal, NamedTuple

from harness.base.files import named_path, whole_file
from harness.base.known_hashes import KnownHashes
from harness.board.stage_code import code_version
from harness.settings.protocol import Board
from harness.settings.validation import content_hash

SOURCES_FILE = Path("sources.json")

Part = Literal["images", "split", "truth", "costs"]
KEYS: dict[Part, str] = {
    "images": "data.path",
    "split": "data.split.file",
    "truth": "truth.path",
    "costs": "costs.path",
}
"""What is made from named files, and the setting that names them."""
CODE = "code"
"""Beside them, in a board whose code is that of an installed Dartsboard: a hash of that code."""

Source = dict[str, str | None]
"""The path as params.yaml has it (None if what it names is always the same), and the SHA-256 of the file, or of names
and contents of several; None if there is none. Of costs also a hash of what params.yaml says of them."""
NOTHING: Source = {"path": None, "sha256": None}


class _Named(NamedTuple):
    """What one part of params.yaml names."""

    path: str | None = None
    files: tuple[Path, ...] = ()
    settings: dict[str, str] = {}  # noqa: RUF012 (it is never changed)
    """Nothing where DVC watches the part's other keys itself."""


def write_sources(board: Board) -> None:
    """Bring sources.json up to date.

    Raises:
        UserError: a file cannot be read, or sources.json cannot be written.
    """
    sources = _current_sources(board)
    if sources != _written_sources():
        with whole_file(SOURCES_FILE) as staging:
            staging.write_text(json.dumps(sources, indent=2) + "\n", encoding="utf-8")


def changed_sources(board: Board, *parts: Part) -> list[str]:
    """Return a sentence for each named file (of these parts, or of all) that is another than sources.json says.

    Raises:
        UserError: a file cannot be read.
    """
    written, current = _written_sources(), _current_sources(board)
    sentences = [
        f"{_changed(part, written.get(part, NOTHING), current[part])} is not what `dvc repro` last worked with"
        for part in parts or KEYS
        if written.get(part, NOTHING) != current[part]
    ]
    if not parts and CODE in written and written[CODE] != current.get(CODE):
        sentences.append("the installed Dartsboard, or a method in variants/, is not what `dvc repro` last worked with")
    return sentences


def named_contents(board: Board) -> dict[Part, str | None]:
    """Return the SHA-256 of what the board names for each part; None where it names nothing.

    Raises:
        UserError: a file cannot be read.
    """
    sources = _current_sources(board)
    return {part: sources[part].get("sha256") for part in KEYS}


def _changed(part: Part, before: Source, now: Source) -> str:
    if all(before.get(key) == now[key] for key in NOTHING):
        return f"{KEYS[part].partition('.')[0]}: what params.yaml says of {now['path']}"
    return f"{KEYS[part]}: {now['path'] or 'what it names'}"


def _current_sources(board: Board) -> dict[str, Source]:
    written = _written_sources()
    hashes = KnownHashes()
    sources: dict[str, Source] = {}
    for part, named in _named_files(board).items():
        digest = _digest(named.files, hashes)
        before = written.get(part, NOTHING)
        if digest is None and before.get("path") == named.path:
            digest = before.get("sha256")  # what is not at hand here has not changed
        sources[part] = {"path": named.path, "sha256": digest, **named.settings}
    hashes.keep()
    version = code_version()
    return sources if version is None else sources | {CODE: {"path": None, "sha256": version}}


def _named_files(board: Board) -> dict[Part, _Named]:
    data, truth, costs = board.chosen.data, board.truth, board.costs
    named = {part: _Named() for part in KEYS}
    if data.path is not None:
        from harness.images.sources import changeable_files

        files = tuple(changeable_files(data))
        named["images"] = _Named(data.path if files else None, files)
    if data.split.file is not None:
        named["split"] = _Named(data.split.file, (named_path(data.split.file),))
    if truth.path is not None:
        from harness.truth.sources import source_files

        named["truth"] = _Named(truth.path, tuple(source_files(truth)))
    if costs is not None:
        # The key may be absent from params.yaml, so DVC cannot watch it there.
        said = {"settings": content_hash(costs.model_dump(mode="json"))}
        named["costs"] = _Named(costs.path, (named_path(costs.path),), said)
    return named


def _digest(files: tuple[Path, ...], hashes: KnownHashes) -> str | None:
    """Return the SHA-256 of what the files hold; None if none of them is there."""
    contents = [hashes.of(path) for path in files]
    if len(contents) <= 1 or not any(contents):
        return contents[0] if contents else None
    digest = hashlib.sha256()
    for path, content in zip(files, contents, strict=True):
        digest.update(f"{path.parent.name}/{path.name} {content}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _written_sources() -> dict[str, Source]:
    try:
        content = json.loads(SOURCES_FILE.read_text(encoding="utf-8")) if SOURCES_FILE.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return {}  # it is written anew
    if not isinstance(content, dict):
        return {}
    return {part: value for part, value in content.items() if isinstance(value, dict)}
