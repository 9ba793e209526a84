"""The store behind the MLflow mirror: where it is, whether it answers, and how it is opened without harm."""

import os
import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.base.errors import UserError
from harness.base.files import whole_file
from harness.base.masking import masked, without_credentials
from harness.settings.protocol import Board

MLFLOW_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    # MLflow would print the server's address with its password.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # MLflow's own patience with a dead server is four minutes a call.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "30",
}
"""Environment variables under which MLflow is used; those that the user has set stay."""

PROBE_SECONDS = 3
LOCK_SECONDS = 600
"""How long a sync waits for another one to finish."""

DATABASES = ("postgresql", "mysql", "mssql")


@dataclass(frozen=True)
class Store:
    """Where the mirror is kept."""

    uri: str
    database: Path | None
    """The SQLite file; null for a server or another database."""
    artifacts: Path
    """Where artifacts go if MLflow has no server to hand them to."""
    lock: Path

    @property
    def is_server(self) -> bool:
        """Whether the store is reached over HTTP."""
        return self.uri.startswith(("http://", "https://"))


def find_store(board: Board, project: Path = Path()) -> Store:
    """Return the store that the board names: `tracking.uri`, or mlflow.db in the project's folder.

    Raises:
        UserError: MLflow has no such kind of store.
    """
    project = project.resolve()
    uri, artifacts = board.tracking.uri or "sqlite:///mlflow.db", project / "mlartifacts"
    scheme = uri.partition(":")[0].partition("+")[0]
    if scheme == "sqlite" and "///" in uri:
        database = project / uri.partition("///")[2].partition("?")[0]
        return Store(f"sqlite:///{database}", database, artifacts, database.with_name(f"{database.name}-sync.lock"))
    if scheme in ("http", "https", *DATABASES) and re.match(r"[\w+]+://[^/\s]", uri):
        return Store(uri.rstrip("/"), None, artifacts, project / ".dartsboard" / "sync.lock")
    raise UserError(
        f"params.yaml: tracking.uri: {masked(uri)!r} is no store of MLflow, "
        "expected null, http(s)://HOST:PORT or sqlite:///FILE"
    )


def one_line(error: Exception) -> str:
    """Return type and first line of an error, masked."""
    return masked(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}")


@contextmanager
def exclusive(store: Store) -> Iterator[None]:
    """Keep other syncs away from the store.

    Raises:
        UserError: another one holds it for too long, or its lock cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(store.lock)
    try:
        store.lock.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout:
        raise UserError(f"another sync holds {store.lock} for {LOCK_SECONDS} s: nothing was mirrored") from None
    except OSError as error:
        raise UserError(f"{store.lock} could not be written: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()


def open_experiment(store: Store, name: str) -> tuple[Any, str]:
    """Return an MLflow client of the store and the experiment's id; what is missing is made.

    Raises:
        UserError: the store cannot be used.
    """
    for variable, value in MLFLOW_SETTINGS.items():
        os.environ.setdefault(variable, value)
    from mlflow import MlflowClient

    artifacts = None if store.is_server else store.artifacts.as_uri()
    try:
        if store.database is not None and not (store.database.exists() and store.database.stat().st_size):
            _make_database(store.database)
        client = MlflowClient(tracking_uri=store.uri)
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            return client, client.create_experiment(name, artifact_location=artifacts)
        if experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment.experiment_id)
    except UserError:
        raise
    except Exception as error:
        if store.database is not None:
            raise UserError(_unusable(store.database, one_line(error))) from None
        raise UserError(f"the tracking server {masked(store.uri)} cannot be used ({one_line(error)})") from None
    # MLflow keeps absolute paths: in a moved project the artifacts would go to the old place.
    if store.database == store.artifacts.with_name("mlflow.db") and experiment.artifact_location != artifacts:
        raise UserError(_unusable(store.database, f"its artifacts lie in {experiment.artifact_location}"))
    return client, experiment.experiment_id


def _make_database(path: Path) -> None:
    # MLflow makes it in many steps, and cannot go on with one that was left half-made: so it gets its name when whole.
    from mlflow import MlflowClient

    with whole_file(path) as staging:
        MlflowClient(tracking_uri=f"sqlite:///{staging}").search_experiments()


def _unusable(path: Path, reason: str) -> str:
    return f"{path} cannot be used ({reason}): move it away and run dartsboard sync, which builds it anew"


# Faults


def check_reachable(store: Store) -> None:
    """Find out in seconds whether a server answers; MLflow would try for minutes.

    Raises:
        UserError: it does not.
    """
    try:
        if store.is_server:
            _probe_server(store.uri)
        elif store.database is None and (address := urlsplit(store.uri)).port:
            socket.create_connection((address.hostname, address.port), PROBE_SECONDS).close()
    except OSError as error:
        reason = "no answer in time" if "timed out" in str(error) else "it does not answer"
        raise UserError(
            f"the tracking server {masked(store.uri)} could not be reached ({reason}): nothing is lost, "
            "run dartsboard sync when it is back"
        ) from None


def _probe_server(uri: str) -> None:
    import requests

    try:
        # Any answer will do: what it means is for MLflow to find out, with its own credentials.
        requests.get(f"{without_credentials(uri)}/health", timeout=PROBE_SECONDS, allow_redirects=False)
    except requests.exceptions.SSLError:
        return


def check_usable(store: Store, experiment: str) -> None:
    """Check that the store can be opened as it is; a missing one is made.

    Raises:
        UserError: it cannot be reached or used, or is damaged.
    """
    check_reachable(store)
    with exclusive(store):
        if store.database is not None and (damage := _damage(store.database)):
            raise UserError(f"{store.database} is damaged ({damage}): dartsboard sync puts it aside and builds it anew")
        open_experiment(store, experiment)


def put_aside_if_damaged(store: Store) -> str:
    """Give a damaged SQLite file another name, so that a new one is made; return what happened in one sentence.

    Raises:
        UserError: the file cannot be opened or renamed.
    """
    path = store.database
    damage = _damage(path) if path is not None else None
    if path is None or damage is None:
        return ""
    aside = next(free for number in count(1) if not (free := path.with_name(f"{path.name}-damaged-{number}")).exists())
    try:
        path.rename(aside)  # what SQLite left beside it, the look above has removed
    except OSError as error:
        raise UserError(f"{path} is damaged ({damage}) and cannot be renamed: {error.strerror or error}") from None
    return f"{path} was damaged ({damage}) and is now {aside.name}; it was built anew"


def _damage(path: Path) -> str | None:
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path)) as connection:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        raise UserError(f"{path} cannot be opened ({error})") from None
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else " ".join(found.split())
