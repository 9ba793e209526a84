"""The engine of this machine."""

import time
from pathlib import Path

import pytest

from harness.base.errors import UserError
from harness.board.run_lock import is_running
from harness.fleet.engine import Ended, Resources, Task
from harness.fleet.engines import create_engine
from harness.fleet.engines.local import LocalEngine
from harness.fleet.forks import PROCESSES, warm_up
from harness.fleet.group import Run
from harness.records.checkpoint import unfinished
from harness.records.record import run_folder
from tests.conftest import tiny_params, write_params
from tests.harness.fleet.test_group import wait_until

CORE, GPU = Resources(0, 1, 1), Resources(1, 1, 0)


def task(method: str, *seeds: int, resources: Resources = CORE) -> Task:
    return Task(tuple(Run(method, seed) for seed in seeds), resources, 1.0)


def wait_for(engine: LocalEngine, count: int) -> list[Ended]:
    deadline, ended = time.monotonic() + 60, []
    while len(ended) < count:
        assert time.monotonic() < deadline
        ended += engine.wait(0.2)
    return ended


def test_a_task_has_its_gpu_alone(project: Path) -> None:
    engine = LocalEngine(project, gpus=("3", "GPU-five"))
    wait_until(lambda: bool(engine.wait(0.1)) or engine.takes(GPU))
    first, second = (task("random-search", seed, resources=GPU) for seed in (0, 1))
    engine.submit(first)
    assert engine.takes(GPU)
    engine.submit(second)
    assert engine.running() == {first: "GPU 3", second: "GPU GPU-five"}
    assert not engine.takes(GPU)
    assert engine.takes(CORE)
    with pytest.raises(UserError, match="needs 3 GPUs, this machine has 2"):
        engine.takes(Resources(3, 1, 0))
    ended = wait_for(engine, 2)
    assert {end.task for end in ended} == {first, second}
    assert all(end.outcomes[0].status == "done" for end in ended)
    assert all(run_folder("random-search", seed).exists() for seed in (0, 1))
    assert engine.takes(GPU)
    engine.close()


@pytest.mark.slow
def test_runs_of_a_group_are_processes_of_their_own(project: Path) -> None:
    engine = LocalEngine(project, workers=1, gpus=())
    wait_until(lambda: bool(engine.wait(0.1)) or engine.takes(CORE))
    engine.submit(task("darts", 0, 1))
    (ended,) = wait_for(engine, 1)
    assert [(outcome.run.seed, outcome.status) for outcome in ended.outcomes] == [(0, "done"), (1, "done")]
    engine.close()


def test_as_long_as_nothing_is_known_of_the_memory_a_task_runs_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.fleet.engines.local.usable_cores", lambda: 3)
    engine = LocalEngine(project, gpus=())
    engine._memory = 1e12
    unknown = Resources(0, 1, 0)
    wait_until(lambda: bool(engine.wait(0.1)) or engine.takes(unknown))
    content = tiny_params()
    content["protocols"]["tiny"]["epochs"] = 10_000
    write_params(project, content)
    engine.submit(task("darts", 0, resources=unknown))
    assert not engine.takes(unknown)
    wait_until(lambda: engine.wait(0.2) == [] and engine.takes(unknown))  # its first epoch told
    assert not engine.takes(Resources(0, 3, 0))
    assert not engine.takes(Resources(0, 1, 10**12))
    engine.close()
    assert not is_running("darts", 0)
    assert unfinished()


def _head(folder: Path) -> None:
    engine = LocalEngine(folder, workers=1, gpus=())
    while not engine.takes(CORE):
        engine.wait(0.1)
    engine.submit(task("darts", 0))
    while True:
        engine.wait(1.0)


def test_workers_end_with_a_head_that_is_killed(project: Path) -> None:
    warm_up().join()
    content = tiny_params()
    content["protocols"]["tiny"]["epochs"] = 10_000
    write_params(project, content)
    head = PROCESSES.Process(target=_head, args=(project,))
    head.start()
    wait_until(lambda: is_running("darts", 0))
    head.kill()
    head.join()
    killed = time.monotonic()
    wait_until(lambda: not is_running("darts", 0))
    assert time.monotonic() - killed < 2


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("locale", {}, "--engine locale: did you mean 'local'"),
        ("local", {"worker": "1"}, "did you mean 'workers'"),
        ("local", {"workers": "0"}, "expected a number from 1 up"),
    ],
)
def test_a_mistake_is_one_sentence(name: str, options: dict[str, str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        create_engine(name, Path(), options)


def test_an_engine_whose_package_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.fleet.engines.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install submitit$"):
        create_engine("slurm", Path(), {})
