"""What a sync did, and how it tells of it while it works."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Outcome = Literal["created", "continued", "replaced", "skipped", "failed"]


def run_key(variant: str, seed: int) -> str:
    """Return the name of a run in MLflow."""
    return f"{variant}/seed-{seed}"


@dataclass
class SyncSummary:
    """What a sync did: counts of runs, the store, and in one sentence what went wrong (empty if nothing did)."""

    uri: str
    """The store, passwords masked."""
    created: int = 0
    continued: int = 0
    """Runs that an earlier sync had left unfinished, or that went on since."""
    replaced: int = 0
    """Runs whose record had changed: the old one was deleted, MLflow keeps it among the deleted runs."""
    skipped: int = 0
    """Runs that were complete."""
    failed: int = 0
    """Runs whose record could not be read."""
    message: str = ""
    note: str = ""
    """What else there is to say, in one sentence: that the store was damaged and built anew."""
    page: str = ""
    """Address of the server's page without credentials; empty for a store that `dartsboard ui` must serve."""
    experiment_id: str | None = None
    """The board's experiment; null if the store could not be used."""
    run_ids: dict[str, str] = field(default_factory=dict)
    """MLflow's id of each run that it holds, by `variant/seed-N`."""

    def count(self, outcome: Outcome) -> None:
        """Count one run."""
        setattr(self, outcome, getattr(self, outcome) + 1)

    def remark(self, sentence: str) -> None:
        """Add to what else there is to say; an empty sentence adds nothing."""
        self.note = "; ".join(filter(None, (self.note, sentence)))

    def __str__(self) -> str:
        counts = {
            "new": self.created,
            "continued": self.continued,
            "replaced": self.replaced,
            "up to date": self.skipped,
            "unreadable": self.failed,
        }
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no run to mirror"
        return f"MLflow ({self.uri}): {self.message or told}" + (f"; {self.note}" if self.note else "")


class Step(NamedTuple):
    """What is done next with a store, which may take as long as it has to."""

    kind: Literal["open", "list", "run", "views"]
    """The store is opened, all its runs are listed, one run is mirrored, or the saved views are written."""
    points: int = 0
    """Of the run, to be written or compared."""


OnStep = Callable[[SyncSummary, Step], None]
"""Called before each step with what was done so far."""


def nobody(summary: SyncSummary, step: Step) -> None:
    """Listen to no step."""
