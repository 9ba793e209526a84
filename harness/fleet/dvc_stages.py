"""What DVC is told of work that was done outside it, and asked for instead of doing it again.

DVC's commands read and write the whole of dvc.lock once a stage, and read params.yaml three times, which on a board of
hundreds of runs takes longer than the runs. So this uses its Python interface, which takes many stages at once.
"""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.base.errors import UserError
from harness.board.protocol_file import write_protocol
from harness.board.sources import write_sources
from harness.fleet.dvc_project import LOCK_FILE, STAGES_FILE, check_stages_file, dvc_folder, dvc_project
from harness.fleet.lock_file import write_stages
from harness.settings.protocol import load_board

if TYPE_CHECKING:
    from dvc.repo import Repo

FIRST = ("code", "protocol", "data", "truth")
"""Stages that every run waits for."""


@dataclass(frozen=True)
class Look:
    """How the stages stand."""

    stale: list[str]
    """Those that `dvc repro` would run."""
    elsewhere: list[str]
    """Those of them that dvc.lock knows with the same inputs, and whose outputs are neither here nor in DVC's cache."""
    remote: str | None
    """DVC's remote, by name; it may hold them."""


def look(*targets: str) -> Look:
    """Return how the stages among the targets stand, or all of dvc.yaml.

    Raises:
        UserError: DVC cannot say.
    """
    check_stages_file()
    with dvc_project() as repo:
        status = repo.status(targets=list(targets) or [str(STAGES_FILE)])  # in a folder above there may be others
        stale = [name for name, changes in status.items() if changes != ["always changed"]]
        elsewhere = [name for name in stale if _is_elsewhere(status[name])]
        return Look(stale, elsewhere, repo.config["core"].get("remote"))


def stale(*targets: str) -> list[str]:
    """Return the stages among the targets, or all of dvc.yaml, that `dvc repro` would run.

    Raises:
        UserError: DVC cannot say.
    """
    return look(*targets).stale


def _is_elsewhere(changes: list[Any]) -> bool:
    # In DVC's words, such as [{"changed outs": {path: "not in cache"}}]; a changed setting has a table instead.
    if not all(isinstance(change, dict) for change in changes):
        return False
    words = [word for change in changes for paths in change.values() for word in paths.values()]
    outs = [path for change in changes for path in change.get("changed outs", {})]
    absent = not any(Path(path).exists() for path in outs)
    return absent and "not in cache" in words and all(word in ("deleted", "not in cache") for word in words)


def commit(*names: str) -> None:
    """Tell DVC that the outputs of stages are up to date, so that `dvc repro` does not make them again.

    Outside a DVC project there is nobody to tell, and of a stage that dvc.yaml does not have nothing. Where DVC does
    not take it in, a line on stderr says why: what was done stands.
    """
    if not names or dvc_folder() is None:
        return
    try:
        record(*names)
    except UserError as error:
        print(f"DVC could not be told, `dvc repro` would make it again: {error}", file=sys.stderr)


def record(*names: str) -> None:
    """Tell DVC that the outputs of stages are up to date.

    Raises:
        UserError: it does not take them in.
    """
    with dvc_project() as repo:
        # Inputs of others, which must be those that were used.
        if _stages(repo, {"sources"}):
            write_sources(load_board())
        if _stages(repo, {"protocol"}):
            write_protocol(load_board())
        _record(_stages(repo, set(names)))


def restore(*names: str, from_remote: bool = False) -> list[str]:
    """Bring back the outputs that stages had earlier with the same inputs; return the stages that DVC has none for.

    Args:
        names: of the stages.
        from_remote: whether to look into DVC's remote as well.

    Raises:
        UserError: there is no remote, or it does not answer.
    """
    with dvc_project() as repo:
        if from_remote:
            cache = repo.stage_cache
            cache.transfer(_remote(repo), repo.cache.legacy, force=False)  # the lists of outputs; entries never change
        restored = [stage for stage in _stages(repo, set(names)) if _restored(stage, from_remote)]
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


def cached(*names: str) -> list[str]:
    """Return the stages whose outputs DVC has in its cache with the inputs that they have now.

    Raises:
        UserError: DVC cannot say.
    """
    from dvc.stage.cache import RunCacheNotFoundError
    from dvc_data.hashfile.hash_info import HashInfo

    def is_cached(stage: Any) -> bool:
        if any(dep.changed() for dep in stage.deps):
            stage.save_deps()  # which a dry look leaves out
            for out in stage.outs:
                out.hash_info = HashInfo()  # what dvc.lock says of it belongs to the inputs of then
        try:
            stage.repo.stage_cache.restore(stage, dry=True)
        except RunCacheNotFoundError:
            return False
        return True

    with dvc_project() as repo:
        logging.getLogger("dvc.stage.cache").setLevel(logging.WARNING)  # it would tell of what it does not do
        return [stage.name for stage in _stages(repo, set(names)) if is_cached(stage)]


def push(*names: str) -> None:
    """Commit the outputs of stages, and bring them to DVC's remote together with what they were made from.

    Raises:
        UserError: there is no remote, or it does not take them.
    """
    if not names:
        return
    with dvc_project() as repo:
        _record(_stages(repo, set(names)))
        repo.push(targets=list(names))
        repo.stage_cache.transfer(repo.cache.legacy, _remote(repo), force=False)


def _remote(repo: "Repo") -> Any:
    return repo.cloud.get_remote_odb(None, "sweep --store dvc", hash_name="md5-dos2unix")  # that of the run cache


def _stages(repo: "Repo", names: set[str]) -> list[Any]:
    path = str(STAGES_FILE.absolute())
    return [stage for stage in repo.index.stages if stage.name in names and stage.path == path]


def _record(stages: list[Any]) -> None:
    for stage in stages:
        stage.save()
        stage.commit()
    changed = _not_locked(stages)
    logging.getLogger("dvc.dvcfile").setLevel(logging.WARNING)  # it would tell of the file beside
    write_stages(changed, LOCK_FILE)


def _not_locked(stages: list[Any]) -> list[Any]:
    """Return the stages of which dvc.lock says something else than it would be told."""
    from dvc.dvcfile import Lockfile
    from dvc.stage.serialize import to_lockfile

    if not stages:
        return []
    # Once for all: each stage, asked for it, would read the whole file.
    held = Lockfile(stages[0].repo, str(LOCK_FILE)).load().get("stages", {})
    return [stage for stage in stages if held.get(stage.name) != to_lockfile(stage)[stage.name]]
