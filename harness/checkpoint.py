"""Checkpoints of a running search: written atomically, checked by content, two kept.

They live outside DVC's outputs, in a folder named by the run's fingerprint: a changed setting never resumes from them.
"""

import hashlib
import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.files import whole_file

STATE = Path(".dartsboard")
CHECKPOINTS = STATE / "checkpoints"
KEPT = 2
TABLES = ("epochs", "alpha", "one_shot")


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
        self._identity = {"variant": variant, "seed": seed, "fingerprint": fingerprint}

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
                staging.write_text(json.dumps(self._identity))
        with whole_file(self.folder / name) as staging:
            staging.write_bytes(content)
        for old in self._paths()[KEPT:]:
            old.unlink()

    def newest(self) -> Progress | None:
        """Return the newest checkpoint that is intact and of this run; None if there is none."""
        import torch

        for path in self._paths():
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != path.name.split(".")[1]:
                continue
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            if loaded["run"] != self._identity:
                continue
            tables = json.loads(loaded["tables"])
            return Progress(loaded["search"], *(tables[name] for name in TABLES))
        return None

    @property
    def epochs(self) -> int:
        """Epochs that were done at the newest checkpoint; 0 if there is none."""
        return max((int(path.name.removeprefix("epoch-").split(".")[0]) for path in self._paths()), default=0)

    def remove(self) -> None:
        """Remove all checkpoints of this run."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*.pt"), reverse=True)


def unfinished(root: Path = CHECKPOINTS) -> list[Checkpoints]:
    """Return the runs that have checkpoints: they are running, or died."""
    found = []
    for path in sorted(root.glob("*/run.json")):
        try:
            identity = json.loads(path.read_text())
            found.append(Checkpoints(identity["variant"], identity["seed"], identity["fingerprint"], root))
        except (ValueError, KeyError):
            continue  # written by a process that was killed in the middle
    return found
