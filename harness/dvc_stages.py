"""What DVC is told of work that was done outside it, and asked for instead of doing it again.

DVC's commands read and write the whole of dvc.lock once a stage, which on a board of hundreds of runs takes longer than
the runs. So this uses its Python interface, which takes many stages at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def commit(*names: str) -> None:
    """Tell DVC that the outputs of stages are up to date, so that `dvc repro` does not make them again.

    Outside a DVC project there is nobody to tell, and of a stage that dvc.yaml does not have nothing.
    """
    if not names or not Path(".dvc").is_dir():
        return
    from dvc.exceptions import DvcException

    with suppress(DvcException), _stages(names) as stages:  # what DVC does not take in, `dvc repro` runs
        _record(stages)


def restore(*names: str) -> list[str]:
    """Bring back the outputs that stages had earlier with the same inputs; return the stages that DVC has none for."""
    from dvc.stage.cache import RunCacheNotFoundError

    restored = []
    with _stages(names) as stages:
        for stage in stages:
            with suppress(RunCacheNotFoundError):
                stage.repo.stage_cache.restore(stage)
                restored.append(stage)
        _record(restored)
    held = {stage.name for stage in restored}
    return [name for name in names if name not in held]


@contextmanager
def _stages(names: tuple[str, ...]) -> Iterator[list[Any]]:
    # As `dvc commit` does it: one at a time works on the project, others wait.
    from dvc.repo import Repo, lock_repo

    with Repo(_wait_for_lock=True) as repo, lock_repo(repo):
        yield [stage for stage in repo.index.stages if stage.name in names]


def _record(stages: list[Any]) -> None:
    for stage in stages:
        stage.save()
        stage.commit()
    if stages:
        stages[0].dvcfile.dump_stages(stages, update_pipeline=False)
