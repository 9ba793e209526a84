"""DVC's project that this folder belongs to: found as DVC finds it, opened, and what ails it told in a sentence."""

import copy
import functools
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.base.errors import UserError, in_one_line
from harness.board.stage_code import STAGES_FILE

if TYPE_CHECKING:
    from dvc.repo import Repo

LOCK_FILE = Path("dvc.lock")
ASIDE = Path("dvc.lock-damaged")


def dvc_folder() -> Path | None:
    """Return the folder of the DVC project around the current one, which may be one above; None if there is none."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".dvc").is_dir():
            return folder
        if folder.is_mount():  # DVC looks no further
            return None
    return None


def check_dvc() -> None:
    """Check that DVC can work here: that there is a project, that its files can be read and its cache be used.

    Raises:
        UserError: it cannot, and why.
    """
    from dvc.repo import Repo

    with told(), Repo() as repo:
        _check_files()
        check_stages_file()
        _check_cache(repo)
        _ = repo.scm, repo.index


def check_stages_file() -> None:
    """Check that this folder has stages.

    Raises:
        UserError: it has none.
    """
    if not STAGES_FILE.exists():
        raise UserError(f"{STAGES_FILE} is missing: run dartsboard in the project's folder")


def _check_files() -> None:
    # DVC says of a folder that it is missing, and waits for ever for a pipe.
    for path in (STAGES_FILE, LOCK_FILE):
        if os.path.lexists(path) and not path.is_file():
            raise UserError(f"{path} is no file: move it away")


def _check_cache(repo: "Repo") -> None:
    # DVC itself says so when it comes to the file, which may be after hours.
    for folder in _folders_of_the_cache(Path(repo.cache.local_cache_dir)):
        if not folder.is_dir():
            raise UserError(f"DVC's cache {folder} is no folder: move it away, or set another (dvc config cache.dir)")
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise UserError(f"DVC's cache {folder} cannot be used: there is no right to read and write there")


def _folders_of_the_cache(cache: Path) -> Iterator[Path]:
    yield from (folder for folder in (cache, cache / "runs", cache / "files") if os.path.lexists(folder))
    hashes = cache / "files" / "md5"
    if os.path.lexists(hashes):
        yield hashes
        yield from (path for path in hashes.iterdir() if len(path.name) == 2)  # of a group, each by who needed it first


@contextmanager
def dvc_project() -> Iterator["Repo"]:
    """Give DVC's project, for this process alone: others wait, as this one waits for them.

    Raises:
        UserError: DVC cannot work here, or not do what is asked of it inside.
    """
    from dvc.repo import Repo, lock_repo

    with told():
        _check_files()
        with Repo(_wait_for_lock=True) as repo, lock_repo(repo), _params_read_once():
            _check_cache(repo)
            _put_aside_if_damaged(repo)
            yield repo


def _put_aside_if_damaged(repo: "Repo") -> None:
    # What a DVC leaves that was killed while it wrote. Nothing is lost by it: its cache knows what each stage made.
    from dvc.dvcfile import Lockfile
    from dvc.exceptions import DvcException

    try:
        _ = repo.index  # reads the file, and is kept: to read it for this alone takes seconds on a large board
    except DvcException:
        try:
            Lockfile(repo, str(LOCK_FILE)).load()
        except DvcException:
            LOCK_FILE.rename(ASIDE)
            print(f"{LOCK_FILE} was damaged and is now {ASIDE}; DVC finds in its cache what it said", file=sys.stderr)


@contextmanager
def _params_read_once() -> Iterator[None]:
    from dvc.dependency import param

    original = param.load_path
    read = functools.cache(original)
    # A copy each time: of what two stages share, dvc.lock would say that they do.
    param.load_path = lambda *where, **how: copy.deepcopy(read(*where, **how))
    try:
        yield
    finally:
        param.load_path = original


@contextmanager
def told() -> Iterator[None]:
    """Turn what DVC raises into a sentence. It lets through what the system, its databases and its libraries raise."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(_sentence(error)) from None


def _sentence(error: Exception) -> str:
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.lock import LockError
    from dvc.scm import SCMError

    if isinstance(error, NotDvcRepoError):
        return "this folder is no DVC project: run `dvc init` (with --no-scm outside git)"
    if isinstance(error, SCMError):
        return f"DVC: {in_one_line(error)}: run `git init`, or `dvc config core.no_scm true` to do without git"
    if isinstance(error, LockError):
        return busy() or f"DVC: {in_one_line(error)}"
    if isinstance(error, OSError) and error.strerror:
        return f"DVC: {error.strerror}" + (f": {error.filename}" if error.filename else "")
    kind = "" if isinstance(error, DvcException) else f"{type(error).__name__}: "
    cause = f" ({in_one_line(error.__cause__)})" if error.__cause__ else ""
    return f"DVC: {kind}{in_one_line(error)}{cause}"


def busy() -> str | None:
    """Return which other processes of DVC are at work in this project, in a sentence; None if there is none."""
    folder = dvc_folder()
    owners = _owners(folder / ".dvc" / "tmp") if folder else {}
    if not owners:
        return None
    names = ", ".join(f"process {number}" + (f", {in_one_line(name, 80)}" if name else "") for number, name in owners)
    return f"DVC is at work in this project already ({names}): wait for its end"


def _owners(state: Path) -> list[tuple[int, str]]:
    """Return the number and command of the living processes that hold locks of DVC, without this one."""
    found = {**_holders(state / "lock"), **_holders(state / "rwlock.lock"), **_entries(state / "rwlock")}
    return [(number, name) for number, name in found.items() if number != os.getpid() and _is_alive(number)]


def _holders(lock: Path) -> dict[int, str]:
    """Return the process that holds a lock of the system; DVC writes its number there."""
    import fcntl

    try:
        with lock.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return {int(file.read()): ""}
    except (OSError, ValueError):
        pass
    return {}


def _entries(locks: Path) -> dict[int, str]:
    """Return the processes that DVC's list of locks names."""
    try:
        content: dict[str, Any] = json.loads(locks.read_text(encoding="utf-8"))
        entries = [*content["write"].values(), *chain.from_iterable(content["read"].values())]
        return {int(entry["pid"]): str(entry["cmd"]) for entry in entries}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none is there, or it is damaged
        return {}


def _is_alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
