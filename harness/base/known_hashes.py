"""Hashes of large files, read again only where size, time or place of a file say that it may be another."""

import hashlib
import json
import os
import stat
from pathlib import Path

from harness.base.errors import UserError
from harness.base.files import STATE, whole_file

KNOWN_HASHES = STATE / "known-hashes.json"


class KnownHashes:
    """SHA-256 of files; those of earlier processes are kept in the project's state."""

    def __init__(self, kept_in: Path = KNOWN_HASHES):
        self._kept_in = kept_in
        self._known = _read(kept_in)
        self._new = False
        self._here = Path.cwd()

    def of(self, path: Path) -> str | None:
        """Return the hash of a file; None if there is none.

        Raises:
            UserError: it cannot be read.
        """
        try:
            state = os.stat(path)  # noqa: PTH116 (of a folder of images there are many, and paths are slow)
            if not stat.S_ISREG(state.st_mode):
                return None
            identity = f"{state.st_size} {state.st_mtime_ns} {state.st_ino}"
            key = os.path.join(self._here, path)  # noqa: PTH118
            if self._known.get(key, "").rpartition(" ")[0] != identity:
                with path.open("rb") as file:
                    self._known[key] = f"{identity} {hashlib.file_digest(file, 'sha256').hexdigest()}"
                self._new = True
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        return self._known[key].rpartition(" ")[2]

    def keep(self) -> None:
        """Keep the hashes for the next process.

        Raises:
            UserError: the disk is full or the folder cannot be written.
        """
        if self._new:
            with whole_file(self._kept_in) as staging:
                staging.write_text(json.dumps(self._known, indent=0), encoding="utf-8")


def _read(path: Path) -> dict[str, str]:
    # Damage costs no more than the time to read the files again.
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return {key: value for key, value in content.items() if isinstance(value, str)} if isinstance(content, dict) else {}
