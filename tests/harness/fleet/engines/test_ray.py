"""The Ray engine on a cluster of two nodes, one of which is killed."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.base.errors import UserError
from harness.board.runner import run_method
from harness.fleet.engine import Ended, Resources, Task
from harness.fleet.group import Run
from harness.fleet.schedule import Schedule
from harness.records.checkpoint import unfinished
from harness.settings.protocol import load_board
from tests.faults.searching import assert_nothing_half_written, assert_same, prepare, result

pytest.importorskip("ray", reason="needs the extra dartsboard[ray]")
pytestmark = pytest.mark.slow

EPOCHS = 60
SMALL = Resources(gpus=0, cores=1, memory_bytes=0)


@pytest.fixture
def two_nodes() -> Iterator:
    """A cluster whose head takes no task, and two nodes that take one each."""
    from harness.fleet.engines import ray as engine  # first: it says how ray is to behave

    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        yield cluster, [cluster.add_node(num_cpus=1) for _ in range(2)]
    finally:
        engine.ray.shutdown()
        cluster.shutdown()


def test_a_board_survives_the_loss_of_a_node(project: Path, two_nodes, tmp_path_factory, monkeypatch) -> None:
    from harness.fleet.engines.ray import create

    cluster, nodes = two_nodes
    prepare(EPOCHS)
    runs = [*(Run("darts", seed) for seed in range(4)), Run("random-search", 0)]
    engine = create(project, {"address": cluster.address})
    begun: list[Task] = []
    submit = engine.submit
    monkeypatch.setattr(engine, "submit", lambda task: (begun.append(task), submit(task)))
    schedule = Schedule(engine, [Task((run,), SMALL, 1.0) for run in runs])
    killed = False
    at_once: list[int] = []
    deadline = time.monotonic() + 300
    while not schedule.done:
        assert time.monotonic() < deadline
        schedule.step(0.2)
        at_once.append(len(engine.running()))
        if not killed and len([found for found in unfinished() if found.epochs >= 5]) == 2:
            lost = nodes[0]
            cluster.remove_node(lost, allow_graceful=False)
            killed = True
    engine.close()
    assert killed
    assert max(at_once) == 2
    assert {run: outcome.status for run, outcome in schedule.outcomes.items()} == dict.fromkeys(runs, "done")
    assert len(begun) == len(runs) + 1  # what was on the lost node, once more; nothing else twice
    assert_nothing_half_written()

    alone = tmp_path_factory.mktemp("alone")
    for part in ("params.yaml", "data"):
        (alone / part).symlink_to(project / part)
    disturbed = {run: result(*run) for run in runs}
    monkeypatch.chdir(alone)
    for run in runs:
        run_method(load_board(), *run)
        assert_same(result(*run), disturbed[run])


def test_the_task_of_a_node_that_was_given_up_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray itself waits minutes for the answer of a host that is cut off, and that it calls dead."""
    from harness.fleet.engines import ray as module

    node, stream, cancelled = {"NodeID": "0123456789", "Alive": True}, iter(["0123456789"]), []
    told = SimpleNamespace(
        remote=lambda **how: lambda work: SimpleNamespace(options=lambda **needs: task_of_ray),
        wait=lambda streams, **how: ([], streams) if engine.running() else (streams, []),
        get=lambda said: said,
        nodes=lambda: [node],
        cancel=lambda lost, force: cancelled.append(lost),
        exceptions=module.ray.exceptions,
    )
    task_of_ray = SimpleNamespace(remote=lambda *what: stream)
    monkeypatch.setattr(module, "ray", told)
    monkeypatch.setattr(module, "_connect", lambda address: None)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    engine = module.create(tmp_path, {})
    task = Task((Run("darts", 0),), SMALL, 1.0)
    engine.submit(task)
    assert engine.wait(0.0) == []
    assert engine.running() == {task: "node 01234567"}
    node["Alive"] = False
    assert engine.wait(0.0) == [Ended(task, cause="node 01234567 is lost")]
    assert engine.running() == {}
    assert cancelled == [stream]


def test_this_machine_without_a_cluster(project: Path) -> None:
    from harness.fleet.engines.ray import create

    engine = create(project, {})
    try:
        assert not engine.gpus
        assert engine.takes(SMALL)
        with pytest.raises(UserError, match=r"no node has 0 GPUs, 1000000 cores"):
            engine.takes(Resources(0, 1_000_000, 0))
        tasks = [Task((Run("random-search", 0),), SMALL, 1.0), Task((Run("no-such-method", 0),), SMALL, 1.0)]
        for task in tasks:
            engine.submit(task)
        ended = []
        while len(ended) < 2:
            ended += engine.wait(60)
        statuses = {found.task: found.outcomes[0].status for found in ended}
        assert statuses == {tasks[0]: "done", tasks[1]: "refused"}
    finally:
        engine.close()
        engine.close()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"adress": "auto"}, "did you mean 'address'"),
        ({"autoscaling": "maybe"}, "expected yes or no"),
        ({"address": "127.0.0.1:1"}, "no cluster answers at 127.0.0.1:1"),
    ],
)
def test_bad_options_are_one_sentence(options: dict[str, str], sentence: str, tmp_path: Path) -> None:
    from harness.fleet.engines.ray import create

    with pytest.raises(UserError, match=sentence):
        create(tmp_path, options)
