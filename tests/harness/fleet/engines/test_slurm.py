"""The Slurm engine: with submitit's local and debug executors, and with small stand-ins for Slurm's commands."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from submitit.local.debug import DebugExecutor

from harness.base.errors import UserError
from harness.board.runner import run_method
from harness.fleet.engine import Ended, Resources, Task
from harness.fleet.engines import slurm, slurm_queues
from harness.fleet.engines.slurm import SlurmEngine, Work, create
from harness.fleet.engines.slurm_options import job_options
from harness.fleet.group import Run
from harness.records.checkpoint import unfinished
from harness.settings.protocol import load_board
from tests.faults.searching import Result, assert_nothing_half_written, assert_same, prepare, result

SMALL = Resources(gpus=0, cores=1, memory_bytes=0)


def task(*seeds: int, method: str = "darts", resources: Resources = SMALL) -> Task:
    return Task(tuple(Run(method, seed) for seed in seeds), resources, 1.0)


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_for_all(engine: SlurmEngine, count: int) -> list[Ended]:
    ended: list[Ended] = []
    deadline = time.monotonic() + 120
    while len(ended) < count:
        assert time.monotonic() < deadline
        ended += engine.wait(1.0)
    return ended


def undisturbed(*runs: Run) -> dict[Run, Result]:
    """What runs of the current folder find; nothing is left of them."""
    found = {}
    for run in runs:
        run_method(load_board(), *run)
        found[run] = result(*run)
    shutil.rmtree("runs")
    return found


@pytest.fixture
def small_slurm(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand-ins for Slurm's commands; their state is in this folder."""
    commands, state = tmp_path_factory.mktemp("bin"), tmp_path_factory.mktemp("slurm")
    for name in ("sbatch", "srun", "squeue", "scancel", "scontrol"):
        script = commands / name
        script.write_text(f"#!{sys.executable}\n" + Path(__file__).with_name("slurm_commands.py").read_text())
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setenv("SMALL_SLURM", str(state))
    monkeypatch.setenv("SLURM_JOB_ID", "7")  # the head is in a job itself
    monkeypatch.setenv("SLURM_CONF", str(state / "slurm.conf"))  # on a cluster that has it elsewhere than in /etc
    monkeypatch.setattr(slurm_queues.SlurmQueue, "listing_seconds", 0.2)
    monkeypatch.setattr(slurm_queues.SlurmQueue, "patience", 0.5)
    monkeypatch.setattr(slurm, "LOOK_SECONDS", 0.1)
    yield state
    for path in state.glob("job-*"):
        os.killpg(int(path.read_text().split()[1]), signal.SIGKILL)


def test_a_new_head_takes_over_the_jobs_of_one_that_was_killed(project: Path, small_slurm: Path) -> None:
    tasks = [task(seed, method="random-search") for seed in (0, 1)]
    take_over(project, small_slurm, tasks, lambda: (small_slurm / "hold").touch(), lambda: True)


@pytest.mark.slow
def test_a_new_head_takes_over_searches(project: Path, small_slurm: Path) -> None:
    prepare(epochs=60)
    take_over(project, small_slurm, [task(0), task(1)], lambda: None, lambda: len(unfinished()) == 2)


def take_over(
    project: Path, small_slurm: Path, tasks: list[Task], before: Callable[[], None], halfway: Callable[[], bool]
) -> None:
    expected = undisturbed(*(each.runs[0] for each in tasks))
    before()
    killed = create(project, {"gpus": "no"})
    for each in tasks:
        killed.submit(each)
    assert not killed.wait(0)
    assert [path.name for path in small_slurm.glob("submitted-*")] == ["submitted-100.sh"]  # one array
    until(halfway)

    engine = create(project, {"gpus": "no"})
    for each in tasks:
        engine.submit(each)
    (small_slurm / "hold").unlink(missing_ok=True)
    ended = wait_for_all(engine, 2)
    assert {found.task for found in ended} == set(tasks)
    assert [outcome.status for found in ended for outcome in found.outcomes] == ["done", "done"]
    assert len(list(small_slurm.glob("submitted-*"))) == 1  # nothing ran twice
    assert not engine.running()
    engine.close()
    for run, found in expected.items():
        assert_same(result(*run), found)
    assert not list((project / slurm.JOBS).glob("*.pkl"))


@pytest.mark.slow
def test_a_job_that_must_make_room_goes_on_where_it_was(project: Path) -> None:
    prepare(epochs=60)
    expected = undisturbed(Run("darts", 0))
    engine = create(project, {"cluster": "local"})
    try:
        engine.submit(task(0))
        assert not engine.wait(0)
        until(lambda: bool(unfinished()))
        (number,) = engine._queue._processes("submitit.core._submit")  # type: ignore[attr-defined]
        os.kill(int(number), signal.SIGUSR2)
        (ended,) = wait_for_all(engine, 1)
        assert [outcome.status for outcome in ended.outcomes] == ["done"]
    finally:
        engine.close()
    assert_same(result("darts", 0), expected[Run("darts", 0)])
    assert_nothing_half_written()


def test_the_work_of_a_job_can_be_done_in_this_process(project: Path) -> None:
    work = Work(project, task(0))
    job = DebugExecutor(project / "debug").submit(work)
    assert [outcome.status for outcome in job.result()] == ["done"]
    assert work.checkpoint().function == work


def test_what_sbatch_is_given(project: Path, small_slurm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"partition": "gpu", "time": "1-2:30", "account": "nas", "mail-type": "END", "exclusive": ""}
    engine = create(project, options)
    assert engine.gpus
    (small_slurm / "refuse").touch()
    engine.submit(task(0, resources=Resources(gpus=1, cores=4, memory_bytes=2 * 2**30)))
    with pytest.raises(UserError, match=r"does not take the jobs: sbatch: error: .* policy"):
        engine.wait(0)
    assert capsys.readouterr().err == ""  # the sentence is all
    executor, folder = engine._queue.executor, project / slurm.JOBS
    assert (
        executor._make_submission_file_text("COMMAND", "")
        == f"""#!/bin/bash

# Parameters
#SBATCH --account=nas
#SBATCH --cpus-per-task=4
#SBATCH --error={folder}/%j_0_log.err
#SBATCH --exclusive
#SBATCH --gpus-per-node=1
#SBATCH --job-name={engine._queue.name}
#SBATCH --mail-type=END
#SBATCH --mem=3072MB
#SBATCH --nodes=1
#SBATCH --open-mode=append
#SBATCH --output={folder}/%j_0_log.out
#SBATCH --partition=gpu
#SBATCH --requeue
#SBATCH --signal=USR2@60
#SBATCH --time=1590
#SBATCH --wckey=submitit

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output {folder}/%j_%t_log.out --error {folder}/%j_%t_log.err COMMAND
"""
    )


def test_jobs_that_slurm_refuses_are_offered_again_while_others_run(
    project: Path, small_slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create(project, {"gpus": "no"})
    try:
        engine.submit(task(0))
        engine.wait(0)
        (small_slurm / "refuse").touch()
        engine.submit(task(1))
        engine.wait(0)
        (small_slurm / "refuse").unlink()
        engine.wait(0)
        assert len(list(small_slurm.glob("submitted-*"))) == 1  # not at once
        monkeypatch.setattr(slurm, "RETRY_SECONDS", 0.0)
        engine.wait(0)
        assert len(list(small_slurm.glob("submitted-*"))) == 2
    finally:
        engine.close()
    assert not list(small_slurm.glob("job-*"))


def test_jobs_that_slurm_will_never_begin_are_told(
    project: Path, small_slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "LOOK_SECONDS", 0.05)
    (small_slurm / "hold").write_text("PartitionTimeLimit")
    engine = create(project, {"gpus": "no"})
    engine.submit(task(0))
    sentence = "Slurm does not begin job 100 as it is, and no other of this sweep: PartitionTimeLimit"
    with pytest.raises(UserError, match=sentence):
        engine.wait(30)
    (small_slurm / "hold").write_text("Priority")  # what others wait for, and this one after somebody has changed it
    assert engine.wait(1.5) == []
    engine.close()
    assert not list(small_slurm.glob("job-*"))


def test_a_job_that_was_put_back_is_cancelled_when_its_lost_node_brings_the_result(
    project: Path, small_slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create(project, {"gpus": "no"})
    cancelled: list[str] = []
    monkeypatch.setattr(engine._queue, "cancel", cancelled.extend)
    engine.submit(task(0))
    until(lambda: engine.wait(0) == [] and engine.running())
    (small_slurm / "hold").write_text("BeginTime")  # for squeue it waits again, and it works on
    (ended,) = wait_for_all(engine, 1)
    assert [outcome.status for outcome in ended.outcomes] == ["done"]
    assert cancelled == ["100"]


def test_a_job_that_vanishes_is_told_with_its_last_words(project: Path, small_slurm: Path) -> None:
    engine = create(project, {"gpus": "no"})
    engine.submit(task(0))
    engine.wait(0)
    until(lambda: engine.wait(0) == [] and engine.running())
    assert engine.running() == {task(0): "job 100 on node1"}
    (small_slurm / "silent").touch()  # nothing is concluded from silence
    assert engine.wait(1.0) == []
    (project / slurm.JOBS / "100_0_log.err").write_text("slurmstepd: error: Detected 1 oom_kill event\n")
    slurm_queues.SlurmQueue(project / slurm.JOBS, 1).cancel(["100"])
    (small_slurm / "silent").unlink()
    (ended,) = wait_for_all(engine, 1)
    assert ended.task == task(0)
    assert ended.cause == (
        "job 100 ended without a result; its last line: slurmstepd: error: Detected 1 oom_kill event"
    )


def test_jobs_that_do_something_else_are_ended_first(project: Path, small_slurm: Path) -> None:
    killed = create(project, {"gpus": "no"})
    killed.submit(task(0, 1))
    killed.wait(0)
    engine = create(project, {"gpus": "no"})
    engine.submit(task(1))  # the schedule divides the runs in another way
    assert not list(small_slurm.glob("job-*"))
    engine.wait(0)
    assert [path.name for path in small_slurm.glob("job-*")] == ["job-101"]
    (project / slurm.JOBS / slurm.LEDGER).unlink()  # the head died between sbatch and the ledger
    create(project, {"gpus": "no"})
    assert not list(small_slurm.glob("job-*"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"time": "soon"}, "time=soon: expected minutes"),
        ({"time": "1"}, "time=1: expected at least 2 minutes"),
        ({"gpus": "2"}, "gpus=2: expected yes or no"),
        ({"array": "0-3"}, "array of sbatch is set by the sweep itself"),
        ({"job-name": "x"}, "job_name of sbatch is set by the sweep itself"),
        ({"cluster": "locl"}, "did you mean 'local'"),
    ],
)
def test_bad_options_are_one_sentence(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        job_options(options)


@pytest.mark.parametrize(
    ("text", "minutes"), [("90", 90), ("1:30", 2), ("2:00:00", 120), ("1-0", 1440), ("1-2:30", 1590), ("0-0:1:1", 2)]
)
def test_time_limits_are_read_as_sbatch_reads_them(text: str, minutes: int) -> None:
    assert job_options({"time": text}).minutes == minutes


def test_what_the_user_asks_for_replaces_what_is_derived() -> None:
    options = job_options({"gres": "gpu:a100:1", "mem-per-cpu": "4G"})
    parameters = options.parameters(Resources(gpus=1, cores=1, memory_bytes=1), "name")
    assert not {"gpus_per_node", "mem"} & parameters.keys()
    assert parameters["additional_parameters"] == {"requeue": True, "gres": "gpu:a100:1", "mem_per_cpu": "4G"}


def test_without_slurm_a_sentence_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match=r"command sbatch is not on this machine.*cluster=local"):
        create(tmp_path, {})
