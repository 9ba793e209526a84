"""The version of the code of each stage of a board whose code is not its own, but that of an installed Dartsboard.

In the project DVC watches the code itself. The dvc.yaml of a board elsewhere names the code of a stage, by its path in
the project, under `meta: code:`. There the stage `sources`, which always runs, notes in sources.json a hash of all that
code, and the stage `code`, which depends on it, writes a version for each stage. So another release makes stale what it
changed, and nothing else.
"""

import hashlib
from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from harness.base.errors import UserError, quoted
from harness.base.files import read_file
from harness.base.source_tree import ENTRY_POINT_GROUP, RUNNING, TEMPLATE, is_own_board
from harness.settings.validation import read_yaml

STAGES_FILE = Path("dvc.yaml")
OF_METHODS = ("harness", "variants")
"""What the versions of methods are made from."""


def stage_code() -> dict[str, list[str]]:
    """Return the code of each stage by the stage's name; nothing in the project, or where there is no dvc.yaml.

    Raises:
        UserError: dvc.yaml is no YAML, or names code that the installed Dartsboard does not have.
    """
    metas = {name: _meta(stage) for name, stage in _stages(STAGES_FILE).items()}
    found = {name: meta["code"] for name, meta in metas.items() if "code" in meta}
    for name, parts in found.items():
        _check(name, parts)
    return found


def other_stages() -> list[str]:
    """Return the stages that the installed Dartsboard has, and dvc.yaml here not or otherwise; none in the project.

    Raises:
        UserError: see `stage_code`.
    """
    here = _stages(STAGES_FILE) if stage_code() else {}
    return [name for name, stage in _stages(TEMPLATE / "stages.yaml").items() if here and here.get(name) != stage]


def _stages(path: Path) -> dict[str, Any]:
    content = read_yaml(path) if path.is_file() else None
    stages = content.get("stages") if isinstance(content, dict) else None
    return {str(name): stage for name, stage in stages.items()} if isinstance(stages, dict) else {}


def _meta(stage: Any) -> dict[str, Any]:
    meta = stage.get("meta") if isinstance(stage, dict) else None
    return meta if isinstance(meta, dict) else {}


def _check(stage: str, parts: Any) -> None:
    where = f"{STAGES_FILE}, stages.{stage}.meta.code"
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise UserError(f"{where}: expected a list of files and folders of Dartsboard, not {quoted(parts)}")
    for part in parts:
        if not (RUNNING / part).exists():
            raise UserError(
                f"{where}: the installed Dartsboard has no {quoted(part)}: take {STAGES_FILE} from a board that it "
                f"makes (dartsboard init)"
            )


def stage_version(parts: Iterable[str]) -> str:
    """Return the SHA-256 of files and folders of the project, by names and contents; a board's own methods count too.

    Raises:
        UserError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for label, path in sorted(set(_files(parts))):
        try:
            content = read_file(path)
        except OSError as error:
            raise UserError(f"{label} cannot be read: {error.strerror or error}") from None
        digest.update(f"{label}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def code_version() -> str | None:
    """Return the SHA-256 of all that the stage `code` makes versions of; None in the project, where DVC watches it.

    Of methods in other packages only the releases of these packages count.

    Raises:
        UserError: see `stage_code` and `stage_version`.
    """
    named = stage_code()
    if not named:
        return None
    parts = sorted({*OF_METHODS, *(part for stage in named.values() for part in stage)})
    others = sorted(
        f"{point.value} {point.dist.name} {point.dist.version}" if point.dist else point.value
        for point in entry_points(group=ENTRY_POINT_GROUP)
    )
    return hashlib.sha256("\n".join([stage_version(parts), *others]).encode()).hexdigest()


def _files(parts: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Yield the files of these parts, with their paths in the project or in the board."""
    own = ["variants"] if is_own_board() else []
    for root, inside in ((RUNNING, list(parts)), (Path.cwd(), [part for part in parts if part in own])):
        for part in inside:
            path = root / part
            for file in [path] if path.is_file() else path.rglob("*"):
                if file.is_file() and not _is_left_behind(file):
                    yield file.relative_to(root).as_posix(), file


def _is_left_behind(file: Path) -> bool:
    """Whether a file is no code: what Python compiles, and editors' locks, swap files and backups."""
    return file.parent.name == "__pycache__" or file.name.startswith((".", "#")) or file.name.endswith("~")
