"""The SQLite file behind a mirror: is it whole, is it MLflow's, and what to do with one that is not."""

import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path

from harness.base.errors import UserError

SQLITE = b"SQLite format 3\0"
"""How every SQLite file begins."""

OF_MLFLOW = "experiments"
"""A table that no database of MLflow lacks."""


def check_database(path: Path, is_own: bool) -> str:
    """Return what is damaged in a file that the mirror may use; empty if nothing is, or if it is missing.

    Only the project's own mlflow.db is the mirror's whatever it holds. What else `tracking.uri` names may be anything.

    Raises:
        UserError: it is no file of the mirror, or cannot be opened.
    """
    if not path.exists():
        return ""
    if not path.is_file():
        raise UserError(f"{path} is no regular file, expected one of SQLite, or none")
    if not is_own and not _begins_as_sqlite(path):
        raise UserError(f"{path} is no SQLite file: nothing was changed; name another in params.yaml: tracking.uri")
    try:
        with closing(sqlite3.connect(path)) as connection:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.OperationalError as error:
        raise UserError(f"{path} cannot be opened ({error})") from None
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        return " ".join(str(error).split())
    if found != "ok":
        return " ".join(found.split())
    if tables and OF_MLFLOW not in tables and not is_own:
        raise UserError(f"{path} is a database of something else than MLflow: nothing was changed")
    return ""


def put_aside_if_damaged(path: Path, is_own: bool) -> str:
    """Give a damaged SQLite file another name, so that a new one is made; return what happened in one sentence.

    Raises:
        UserError: it is no file of the mirror, or cannot be opened or renamed.
    """
    damage = check_database(path, is_own)
    if not damage:
        return ""
    aside = next(free for number in count(1) if not (free := path.with_name(f"{path.name}-damaged-{number}")).exists())
    try:
        path.rename(aside)  # what SQLite left beside it, the look above has removed
    except OSError as error:
        raise UserError(f"{path} is damaged ({damage}) and cannot be renamed: {error.strerror or error}") from None
    return f"{path} was damaged ({damage}) and is now {aside.name}; it was built anew"


def _begins_as_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(SQLITE)) in (b"", SQLITE)  # an empty file is an empty database
    except OSError as error:
        raise UserError(f"{path} cannot be opened ({error.strerror or error})") from None
