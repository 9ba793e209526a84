"""Where MLflow keeps each run: a small file that the mirroring stage leaves for the report."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from harness.base.errors import in_one_line
from harness.base.files import whole_file
from harness.tracking.server import IDENTIFIER
from harness.tracking.summary import SyncSummary, run_key

TRACKED = Path(".dartsboard/tracked.json")

LOCAL_PAGE = "http://127.0.0.1:5000"
"""Where `dartsboard ui` serves a store that is no server itself."""

MESSAGE_LETTERS = 1000

Identifier = Annotated[str, StringConstraints(pattern=f"^{IDENTIFIER}$")]


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
    """Write what a sync found out; of what a server says, only what can stand in the file.

    Raises:
        UserError: the file cannot be written.
    """
    store, message = in_one_line(_writable(summary.uri)), in_one_line(_writable(summary.message), MESSAGE_LETTERS)
    try:
        tracked = Tracked(
            store=store,
            page=summary.page,
            experiment_id=summary.experiment_id,
            runs=summary.run_ids,
            message=message,
        )
    except ValidationError:
        tracked = Tracked(store=store, message=message or "the server's names of experiments and runs are none")
    with whole_file(path) as staging:
        staging.write_text(tracked.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")  # JSON can name halves of letters, which no file can hold


def read_tracked(path: Path = TRACKED) -> Tracked:
    """Read it; a file that is missing or damaged is a store without runs, whose message says why."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            return Tracked(store="", message=f"{path} is no file")
        return Tracked.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Tracked(store="", message="the runs were not mirrored yet")
    except (OSError, UnicodeDecodeError, ValidationError):
        return Tracked(store="", message=f"{path} is damaged")
