"""Checkpoints of a running search: written atomically, checked by content, two kept.

A search writes one after an epoch, unless the last one is fresh: where epochs are short that would cost more time than
a kill does.

They live outside DVC's outputs, in a folder named by the run's fingerprint: a changed setting never resumes from them.
"""

import hashlib
import io
import json
import math
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.base.files import STATE, read_file, read_text, whole_file

CHECKPOINTS = STATE / "checkpoints"
KEPT = 2
FRESH_SECONDS = 1.0
"""How long a checkpoint is fresh."""
LAYOUT_VERSION = 2
"""Raised when checkpoints change: those of another layout are set aside, and the search begins anew."""
TABLES = ("epochs", "alpha", "one_shot")
_NAME = re.compile(r"epoch-\d{6}\.[0-9a-f]{64}\.pt")


@dataclass(frozen=True)
class Progress:
    """A search between two epochs."""

    search: dict[str, Any]
    """`Search.state()`."""
    epochs: list[dict[str, Any]]
    """Rows of epochs.parquet so far."""
    alpha: list[dict[str, Any]]
    """Rows of alpha.parquet so far."""
    one_shot: list[dict[str, Any]]
    """Rows of one_shot.parquet so far."""


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, variant: str, seed: int, fingerprint: str, root: Path = CHECKPOINTS):
        self.variant = variant
        self.seed = seed
        self.folder = root / fingerprint
        self._identity = {"layout": LAYOUT_VERSION, "variant": variant, "seed": seed, "fingerprint": fingerprint}
        self._saved = -math.inf

    @property
    def due(self) -> bool:
        """Whether this process has not written one for a while."""
        return time.monotonic() - self._saved >= FRESH_SECONDS

    def save(self, progress: Progress) -> None:
        """Write a checkpoint, then remove all but the newest two.

        Raises:
            UserError: the disk is full or the folder cannot be written.
        """
        import torch

        buffer = io.BytesIO()
        tables = json.dumps({name: getattr(progress, name) for name in TABLES})
        torch.save({"run": self._identity, "search": progress.search, "tables": tables}, buffer)
        content = buffer.getvalue()
        name = f"epoch-{len(progress.epochs):06d}.{hashlib.sha256(content).hexdigest()}.pt"
        if not (self.folder / "run.json").exists():
            with whole_file(self.folder / "run.json") as staging:
                staging.write_text(json.dumps(self._identity), encoding="utf-8")
        with whole_file(self.folder / name) as staging:
            staging.write_bytes(content)
        for old in self._paths()[KEPT:]:
            old.unlink(missing_ok=True)  # a node that was given up may be at work on the same run still
        self._saved = time.monotonic()

    def newest(self) -> Progress | None:
        """Return the newest checkpoint that is intact and of this run; None if there is none."""
        for path in self._paths():
            try:
                progress = self._read(path)
            except Exception:  # written by another program: a damaged or foreign one fails in many ways
                continue
            if progress is not None:
                return progress
        return None

    def _read(self, path: Path) -> Progress | None:
        import torch

        content = read_file(path)
        if hashlib.sha256(content).hexdigest() != path.name.split(".")[1]:
            return None
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if loaded["run"] != self._identity:
            return None
        tables = json.loads(loaded["tables"])
        return Progress(loaded["search"], *(tables[name] for name in TABLES))

    @property
    def epochs(self) -> int:
        """Epochs that were done at the newest checkpoint; 0 if there is none."""
        return max((int(path.name[len("epoch-") :].split(".")[0]) for path in self._paths()), default=0)

    def remove(self) -> None:
        """Remove all checkpoints of this run."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _paths(self) -> list[Path]:
        return sorted((path for path in self.folder.glob("epoch-*.pt") if _NAME.fullmatch(path.name)), reverse=True)


def unfinished(root: Path = CHECKPOINTS) -> list[Checkpoints]:
    """Return the runs that have checkpoints: they are running, or died."""
    found = []
    for path in sorted(root.glob("*/run.json")):
        try:
            identity = json.loads(read_text(path))
            variant, seed, fingerprint = (identity[key] for key in ("variant", "seed", "fingerprint"))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue  # damaged, or none of ours
        # What it says becomes a path, and may be removed: it must be a name, and the folder's own.
        named = isinstance(variant, str) and variant.replace("-", "").isalnum() and type(seed) is int
        if named and fingerprint == path.parent.name:
            found.append(Checkpoints(variant, seed, fingerprint, root))
    return found
