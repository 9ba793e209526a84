"""Which board a mirrored run belongs to, so that boards that share a server leave each other's runs alone."""

import platform
import secrets
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from harness.base.files import STATE, whole_file

BOARD_FILE = STATE / "board.json"


class _BoardFile(BaseModel):
    """A name that was drawn by lot, and the place that it was drawn for."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, StringConstraints(pattern="^[0-9a-f]{16}$")]
    inode: int
    host: str
    folder: str

    def is_of(self, path: Path) -> bool:
        """Whether the file was made where it lies, or came there with its folder: a copy of it is another file."""
        return self.inode == path.stat().st_ino or (self.host, self.folder) == (platform.node(), str(path.parent))


def board_key(project: Path) -> str:
    """Return the name of the project's board, the same each time.

    It stays when the folder is moved or renamed. A copy, a clone and the folder in which `dvc exp run --temp` works are
    boards of their own.

    Raises:
        UserError: the name cannot be kept.
    """
    path = project.resolve() / BOARD_FILE
    if known := _known_key(path):
        return known
    key = secrets.token_hex(8)
    with whole_file(path) as staging:
        staging.touch()  # it is renamed, so that its number stays
        content = _BoardFile(
            key=key, inode=staging.stat().st_ino, host=platform.node(), folder=str(path.parent)
        ).model_dump_json(indent=2)
        staging.write_text(content + "\n", encoding="utf-8")
    return key


def _known_key(path: Path) -> str:
    try:
        if not path.is_file():
            return ""
        found = _BoardFile.model_validate_json(path.read_bytes())
        return found.key if found.is_of(path) else ""
    except (OSError, ValidationError):
        return ""
