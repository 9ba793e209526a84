import pytest

from harness.board.costs import Cost
from harness.fleet.engine import Resources
from harness.fleet.group import Run
from harness.fleet.tasks import BASELINE_MEMORY, group_runs
from harness.settings.protocol import Board
from harness.testing import TINY_PROTOCOL
from tests.conftest import tiny_params

RUNS = [*(Run("darts", seed) for seed in range(10)), *(Run("random-search", seed) for seed in range(3))]
UNKNOWN = {"darts": None, "random-search": None}


def board(device: str) -> Board:
    return Board.model_validate(tiny_params(protocols={"tiny": TINY_PROTOCOL | {"device": device, "threads": 3}}))


@pytest.mark.parametrize(("device", "gpus"), [("cpu", True), ("auto", False)])
def test_on_cores_each_run_is_a_task(device: str, gpus: bool) -> None:
    tasks = group_runs(board(device), RUNS, UNKNOWN, gpus)
    assert [task.runs for task in tasks] == [(run,) for run in RUNS]
    assert {task.resources for task in tasks[:10]} == {Resources(0, 3, 0)}
    assert {task.resources for task in tasks[10:]} == {Resources(0, 1, BASELINE_MEMORY)}


@pytest.mark.parametrize(("device", "gpus"), [("cuda", False), ("auto", True)])
def test_on_gpus_the_seeds_of_a_method_share_one(device: str, gpus: bool) -> None:
    tasks = group_runs(board(device), RUNS, UNKNOWN, gpus)
    assert [len(task.runs) for task in tasks] == [3, 3, 4, 1, 1, 1]
    assert [run for task in tasks for run in task.runs] == RUNS
    assert tasks[2].resources == Resources(1, 12, 0)
    assert str(tasks[0]) == "darts seeds 0, 1, 2"
    assert [len(task.runs) for task in group_runs(board(device), RUNS[:10], UNKNOWN, gpus, together=2)] == [2] * 5


def test_what_was_measured_is_expected() -> None:
    costs = {"darts": Cost(60.0, 1000, "cpu", "", True), "random-search": Cost(2.0, None, "cpu", "", True)}
    search, *_, baseline = group_runs(board("cpu"), RUNS, costs, gpus=False)
    assert (search.seconds, search.resources.memory_bytes, baseline.seconds) == (60.0, 1250, 2.0)
    on_card = {"darts": Cost(60.0, 1000, "Card", "", True), "random-search": None}
    assert group_runs(board("cuda"), RUNS, on_card, gpus=True)[0].resources.memory_bytes == 0  # no need of the host's
