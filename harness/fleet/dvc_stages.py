"""What DVC is told of work that was done outside it, and asked for instead of doing it again.

DVC's commands read and write the whole of dvc.lock once a stage, and read params.yaml three times, which on a board of
hundreds of runs takes longer than the runs. So this uses its Python interface, which takes many stages at once.
"""

import functools
import logging
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.base.errors import UserError, in_one_line
from harness.base.files import whole_file
from harness.board.sources import write_sources
from harness.settings.protocol import load_board

if TYPE_CHECKING:
    from dvc.repo import Repo

FIRST = ("code", "data", "truth")
"""Stages that every run waits for."""
LOCK_FILE = Path("dvc.lock")
ASIDE = Path("dvc.lock-damaged")


def stale(*targets: str) -> list[str]:
    """Return the stages among the targets, or among all, whose inputs, command or outputs have changed.

    Raises:
        UserError: DVC cannot say.
    """
    with _told(), _project() as repo:
        changes = repo.status(targets=list(targets) or None)
    return [name for name, reasons in changes.items() if reasons != ["always changed"]]


def commit(*names: str) -> None:
    """Tell DVC that the outputs of stages are up to date, so that `dvc repro` does not make them again.

    Outside a DVC project there is nobody to tell, and of a stage that dvc.yaml does not have nothing.
    """
    if not names or not Path(".dvc").is_dir():
        return
    from dvc.exceptions import DvcException

    with suppress(DvcException, UserError), _project() as repo:  # what DVC does not take in, `dvc repro` runs
        write_sources(load_board())
        _record(_stages(repo, names))


def restore(*names: str, from_remote: bool = False) -> list[str]:
    """Bring back the outputs that stages had earlier with the same inputs; return the stages that DVC has none for.

    Args:
        names: of the stages.
        from_remote: whether to look into DVC's remote as well.

    Raises:
        UserError: there is no remote, or it does not answer.
    """
    with _told(), _project() as repo:
        if from_remote:
            cache = repo.stage_cache
            cache.transfer(_remote(repo), repo.cache.legacy, force=False)  # the lists of outputs; entries never change
        restored = [stage for stage in _stages(repo, names) if _restored(stage, from_remote)]
        _record(restored)
    held = {stage.name for stage in restored}
    return [name for name in names if name not in held]


def _restored(stage: Any, from_remote: bool) -> bool:
    from dvc.stage.cache import RunCacheNotFoundError

    try:
        stage.repo.stage_cache.restore(stage, pull=from_remote)
    except RunCacheNotFoundError:
        return False
    return True


def push(*names: str) -> None:
    """Commit the outputs of stages, and bring them to DVC's remote together with what they were made from.

    Raises:
        UserError: there is no remote, or it does not take them.
    """
    if not names:
        return
    with _told(), _project() as repo:
        _record(_stages(repo, names))
        repo.push(targets=list(names))
        repo.stage_cache.transfer(repo.cache.legacy, _remote(repo), force=False)


def _remote(repo: "Repo") -> Any:
    return repo.cloud.get_remote_odb(None, "sweep --store dvc", hash_name="md5-dos2unix")  # that of the run cache


@contextmanager
def _project() -> Iterator["Repo"]:
    # As `dvc commit` does it: one at a time works on the project, others wait.
    from dvc.repo import Repo, lock_repo

    with Repo(_wait_for_lock=True) as repo, lock_repo(repo), _params_read_once():
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
    param.load_path = functools.cache(original)
    try:
        yield
    finally:
        param.load_path = original


@contextmanager
def _told() -> Iterator[None]:
    """Turn an error of DVC into a sentence."""
    from dvc.exceptions import DvcException

    try:
        yield
    except DvcException as error:
        raise UserError(f"DVC: {in_one_line(error)}") from None


def _stages(repo: "Repo", names: tuple[str, ...]) -> list[Any]:
    wanted = set(names)
    return [stage for stage in repo.index.stages if stage.name in wanted]


def _record(stages: list[Any]) -> None:
    from dvc.dvcfile import Lockfile

    for stage in stages:
        stage.save()
        stage.commit()
    if not stages:
        return
    logging.getLogger("dvc.dvcfile").setLevel(logging.WARNING)  # it would tell of the file beside
    with whole_file(LOCK_FILE) as staging:  # DVC would write into the file itself, and half of it if it were killed
        if LOCK_FILE.exists():
            shutil.copy(LOCK_FILE, staging)
        Lockfile(stages[0].repo, str(staging)).dump_stages(stages)
