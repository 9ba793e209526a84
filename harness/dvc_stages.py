"""What DVC is told of work that was done outside it, and asked for instead of doing it again.

DVC's commands read and write the whole of dvc.lock once a stage, which on a board of hundreds of runs takes longer than
the runs. So this uses its Python interface, which takes many stages at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def commit(*names: str) -> bool:
    """Tell DVC that the outputs of stages are up to date, so that `dvc repro` does not make them again.

    Outside a DVC project there is nobody to tell. Returns whether DVC took it in.
    """
    if not names or not Path(".dvc").is_dir():
        return False
    from dvc.exceptions import DvcException

    try:
        with _stages(names) as stages:
            for stage in stages:
                stage.save()
                stage.commit()
            _record(stages)
    except DvcException:  # dvc.yaml of another form, a stage without its outputs: `dvc repro` will run it
        return False
    return True


def restore(*names: str) -> list[str]:
    """Bring back the outputs that stages had earlier with the same inputs; return the stages that DVC has none for."""
    from dvc.stage.cache import RunCacheNotFoundError

    absent, restored = [], []
    with _stages(names) as stages:
        for stage in stages:
            try:
                stage.repo.stage_cache.restore(stage)
            except RunCacheNotFoundError:
                absent.append(stage.name)
                continue
            stage.save()
            stage.commit()
            restored.append(stage)
        _record(restored)
    return absent


@contextmanager
def _stages(names: tuple[str, ...]) -> Iterator[list[Any]]:
    # As `dvc commit` does it: one at a time works on the project, others wait.
    from dvc.repo import Repo, lock_repo

    with Repo(_wait_for_lock=True) as repo, lock_repo(repo):
        found = {stage.name: stage for stage in repo.index.stages if stage.name in names}
        yield [found[name] for name in names]


def _record(stages: list[Any]) -> None:
    if stages:
        stages[0].dvcfile.dump_stages(stages, update_pipeline=False)
