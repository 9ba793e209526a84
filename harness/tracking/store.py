"""The store behind the MLflow mirror: where it is, and how it is opened without harm."""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from harness.base.errors import UserError, quoted
from harness.base.files import STATE, named_path, whole_file
from harness.base.masking import masked_address, without_credentials
from harness.settings.protocol import Board
from harness.tracking.database import check_database
from harness.tracking.server import IDENTIFIER, one_line, probe

MLFLOW_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    # MLflow would print the server's address with its password.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # MLflow's own patience with a dead server is four minutes a call, or as long as the server asks for.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "30",
}
"""Environment variables under which MLflow is used; those that the user has set stay."""

LOCK_SECONDS = 600
"""How long a sync waits for another one to finish."""

SERVERS = ("http", "https")
DATABASES = ("postgresql", "mysql", "mssql")

LONGEST_EXPERIMENT = 500
"""Letters of an experiment's name that MLflow takes."""

SQLITE_OF_THE_MACHINE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
"""What SQLite says where it is not the content of a file that is wrong."""

LONGEST_CHAIN = 20
"""Errors that led to another, as far as they are looked at."""

MLFLOWS_OWN = "Default"
"""The experiment that MLflow makes in every store; in a file its artifacts lie where MLflow likes."""


@dataclass(frozen=True)
class Store:
    """Where the mirror is kept."""

    uri: str
    """As MLflow takes it."""
    shown: str
    """As people may read it: without passwords."""
    database: Path | None
    """The SQLite file; null for a server or another database."""
    artifacts: Path
    """Where artifacts go if MLflow has no server to hand them to."""
    lock: Path
    project: Path

    @property
    def is_server(self) -> bool:
        """Whether the store is reached over HTTP."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def is_own(self) -> bool:
        """Whether it is the project's own mlflow.db, in which nobody else keeps runs."""
        return self.database == self.project / "mlflow.db"

    @property
    def uri_in_its_folder(self) -> str:
        """As MLflow takes it in a process whose folder is the file's; a server has one only."""
        return _sqlite_uri(Path(self.database.name)) if self.database else self.uri

    @property
    def page(self) -> str:
        """Address of a server's page without credentials; empty for a store that `dartsboard ui` must serve."""
        return without_credentials(self.uri) if self.is_server else ""

    def check_reachable(self) -> None:
        """Find out in seconds whether a server or database answers.

        Raises:
            UserError: it does not.
        """
        if self.database is None:
            probe(self.uri, self.shown)


def find_store(board: Board, project: Path = Path()) -> Store:
    """Return the store that the board names: `tracking.uri`, or mlflow.db in the project's folder.

    Raises:
        UserError: MLflow has no such kind of store, or no such experiment can be in it.
    """
    project, uri = project.resolve(), board.tracking.uri or None
    scheme = "sqlite" if uri is None else uri.partition(":")[0].partition("+")[0]
    if scheme in (*SERVERS, *DATABASES) and uri is not None:
        _check_experiment(board.tracking.experiment)
        if reason := _not_an_address(uri):
            raise _no_store(uri, f" ({reason})")
        lock = project / STATE / "sync.lock"
        return Store(uri.rstrip("/"), masked_address(uri), None, project / "mlartifacts", lock, project)
    if scheme == "sqlite" and (name := _file_name(uri)):
        if board.tracking.experiment == MLFLOWS_OWN:
            raise UserError(
                f"params.yaml: tracking.experiment: in a file {MLFLOWS_OWN!r} is MLflow's own, expected another name"
            )
        _check_experiment(board.tracking.experiment)
        database = project / name
        lock = database.with_name(f"{database.name}-sync.lock")
        shown = f"sqlite:///{database}"
        return Store(_sqlite_uri(database), shown, database, project / "mlartifacts", lock, project)
    raise _no_store(str(uri))


def _no_store(uri: str, reason: str = "") -> UserError:
    return UserError(
        f"params.yaml: tracking.uri: {quoted(masked_address(uri), 200)} is no store of MLflow{reason}, "
        "expected null, http(s)://HOST:PORT or sqlite:///FILE"
    )


def _check_experiment(name: str) -> None:
    if not name.strip() or len(name) > LONGEST_EXPERIMENT or any(0xD800 <= ord(letter) < 0xE000 for letter in name):
        raise UserError(
            f"params.yaml: tracking.experiment: {quoted(name)} is no name of an experiment, "
            f"expected 1 to {LONGEST_EXPERIMENT} letters"
        )


def _not_an_address(uri: str) -> str:
    """Return why no server can be asked at this address; empty if one can."""
    if not uri.isprintable() or re.search(r"[\s\\]", uri):
        return "it holds a blank or the like; a password belongs into MLFLOW_TRACKING_PASSWORD"
    try:
        address, whole = urlsplit(without_credentials(uri)), urlsplit(uri)
        host, port, said = address.hostname, address.port, whole.hostname
    except ValueError:  # whose text may hold a part of the password
        return "host or port cannot be read"
    if not host or port == 0 or not re.match(r"[\w+]+://", uri):
        return "it names no host"
    if said != host:
        return "user or password hold what ends a host's name: they belong into MLFLOW_TRACKING_USERNAME, ..._PASSWORD"
    return ""


def _file_name(uri: str | None) -> str:
    """Return the file that an SQLite address names, read as the database layer reads it; empty if it names none."""
    if uri is None:
        return "mlflow.db"
    if "\0" in uri or "///" not in uri:
        return ""
    name = unquote(uri.partition("///")[2].partition("?")[0])
    if name.startswith("~"):
        name = str(named_path(name))
    return "" if "\0" in name or name.endswith("/") else name


def _sqlite_uri(database: Path) -> str:
    # The database layer decodes %41 to A, and takes what follows a question mark for options.
    name = re.sub(r"%(?=[0-9a-fA-F]{2})", "%25", str(database)).replace("?", "%3F")
    return f"sqlite:///{name}"


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


def load_mlflow() -> Any:
    """Return MLflow's client class; it takes seconds to import, and is told first how to behave."""
    for variable, value in MLFLOW_SETTINGS.items():
        os.environ.setdefault(variable, value)
    from mlflow import MlflowClient

    return MlflowClient


class Experiment(NamedTuple):
    """The board's experiment in a store."""

    id: str
    tags: dict[str, str]
    """What a server says they are."""


def open_experiment(store: Store, name: str) -> tuple[Any, Experiment]:
    """Return an MLflow client of the store and the experiment; what is missing is made.

    Raises:
        UserError: the store cannot be used.
    """
    artifacts = None if store.is_server else store.artifacts.as_uri()
    try:
        client = open_client(store)
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            return client, Experiment(_checked_id(client.create_experiment(name, artifact_location=artifacts)), {})
        if experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment.experiment_id)
    except UserError:
        raise
    except Exception as error:
        raise UserError(_unusable(store, one_line(error), _is_of_the_machine(error))) from None
    # MLflow keeps absolute paths: in a moved project the artifacts would go to the old place.
    if store.is_own and experiment.artifact_location != artifacts:
        raise UserError(_unusable(store, f"its artifacts lie in {experiment.artifact_location}"))
    return client, Experiment(_checked_id(experiment.experiment_id), experiment.tags)


def open_client(store: Store) -> Any:
    """Return an MLflow client of the store; a missing file is made."""
    client_class = load_mlflow()
    if store.database is not None and not (store.database.exists() and store.database.stat().st_size):
        _make_database(store.database)
    client = client_class(tracking_uri=store.uri)
    if store.database is not None:
        _remove_stray_folder(store)
    return client


def _make_database(path: Path) -> None:
    # MLflow makes it in many steps, and cannot go on with one that was left half-made: so it gets its name when whole.
    with whole_file(path) as staging:
        load_mlflow()(tracking_uri=_sqlite_uri(staging)).search_experiments()


def _remove_stray_folder(store: Store) -> None:
    # MLflow takes the address for a path, and makes its folder: an empty one, where the address is not the path.
    stray = Path(store.uri.removeprefix("sqlite:///")).parent
    if store.database is not None and stray != store.database.parent:
        with suppress(OSError):
            os.removedirs(stray)


def _checked_id(identifier: Any) -> str:
    if not isinstance(identifier, str) or not re.fullmatch(IDENTIFIER, identifier):
        raise UserError(f"the tracking server calls the experiment {quoted(identifier)}, expected a number")
    return identifier


def _unusable(store: Store, reason: str, of_the_machine: bool = False) -> str:
    if store.database is None:
        return f"the tracking server {store.shown} cannot be used ({reason})"
    again = "move it away and run dartsboard sync, which builds it anew"
    if of_the_machine:
        again = "it may be whole; make room on the disk or lift the limit or lock in the way, and run it again"
    return f"{store.database} cannot be used ({reason})" + (f": {again}" if store.database.exists() else "")


def _is_of_the_machine(error: BaseException | None) -> bool:
    """Whether the disk, a limit, a right or another process is the reason, by the first error that says so."""
    met = 0
    while error is not None and met < LONGEST_CHAIN:
        code = getattr(error, "sqlite_errorcode", None)
        if isinstance(error, OSError | MemoryError) or (isinstance(code, int) and code & 0xFF in SQLITE_OF_THE_MACHINE):
            return True
        error, met = error.__cause__ or error.__context__, met + 1
    return False


def check_usable(store: Store, experiment: str) -> Experiment | None:
    """Check that the store can be opened as it is; a missing file is made, on a server nothing is.

    Returns:
        The experiment in a file; null for other stores.

    Raises:
        UserError: it cannot be reached or used, or is damaged.
    """
    if store.database is None:
        store.check_reachable()
        try:
            open_client(store).get_experiment_by_name(experiment)
        except Exception as error:
            raise UserError(_unusable(store, one_line(error))) from None
        return None
    with exclusive(store):
        if damage := check_database(store.database, store.is_own):
            raise UserError(f"{store.database} is damaged ({damage}): dartsboard sync puts it aside and builds it anew")
        return open_experiment(store, experiment)[1]
