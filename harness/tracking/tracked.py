"""Where MLflow keeps each run: a small file that the mirroring stage leaves for the report."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from harness.base.files import whole_file
from harness.tracking.mirror import SyncSummary
from harness.tracking.shown_run import run_key

TRACKED = Path(".dartsboard/tracked.json")

LOCAL_PAGE = "http://127.0.0.1:5000"
"""Where `dartsboard ui` serves a store that is no server itself."""

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]


class Tracked(BaseModel):
    """The outcome of one sync, as far as a reader of the report needs it. Nothing in it is secret."""

    model_config = ConfigDict(extra="forbid")

    store: str
    """Where the runs are kept, passwords masked."""
    page: Annotated[str, StringConstraints(pattern=r"^(https?://[^/\s].*)?$")] = ""
    """Address of the server; empty for a store that `dartsboard ui` serves."""
    experiment_id: Identifier | None = None
    runs: dict[str, Identifier] = {}
    """MLflow's id of each run, by `variant/seed-N`."""
    message: str = ""
    """What went wrong, in one sentence."""

    @property
    def is_served(self) -> bool:
        """Whether MLflow's page is up without `dartsboard ui`."""
        return bool(self.page)

    def link(self, variant: str, seed: int) -> str:
        """Return the address of a run in MLflow's page; empty for a run that MLflow does not hold."""
        run = self.runs.get(run_key(variant, seed))
        if run is None or self.experiment_id is None:
            return ""
        return f"{self.page or LOCAL_PAGE}/#/experiments/{quote(self.experiment_id)}/runs/{quote(run)}"


def write_tracked(summary: SyncSummary, path: Path = TRACKED) -> None:
    """Write what a sync found out.

    Raises:
        UserError: the file cannot be written.
    """
    tracked = Tracked(
        store=summary.uri,
        page=summary.page,
        experiment_id=summary.experiment_id,
        runs=summary.run_ids,
        message=summary.message,
    )
    with whole_file(path) as staging:
        staging.write_text(tracked.model_dump_json(indent=2) + "\n")


def read_tracked(path: Path = TRACKED) -> Tracked:
    """Read it; a file that is missing or damaged is a store without runs, whose message says why."""
    try:
        return Tracked.model_validate_json(path.read_text())
    except FileNotFoundError:
        return Tracked(store="", message="the runs were not mirrored yet")
    except (OSError, UnicodeDecodeError, ValidationError):
        return Tracked(store="", message=f"{path} is damaged")
