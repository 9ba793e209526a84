"""Many searches at once. Each process costs the start of torch, so that few tests share few groups."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from click.testing import CliRunner

from harness.base.errors import UserError
from harness.board.protocol_file import write_protocol
from harness.board.run_lock import is_running, run_lock
from harness.board.runner import run_search
from harness.cli import main
from harness.fleet import forks, group
from harness.fleet.group import Outcome, Run, StoppedError, parse_seeds, run_together
from harness.images.decoded import IMAGES, decode, write_cached
from harness.records.checkpoint import CHECKPOINTS
from harness.records.record import TIMING_COLUMNS, read_record, read_table, run_folder
from harness.search import registry
from harness.settings.protocol import load_board
from pipelines.code import main as write_code_versions
from tests.conftest import ROOT, copy_project, tiny_params, write_params

MISHAPS = '''
"""A variant that comes to grief in its second epoch, by its seed."""

import os
import signal

import torch

from harness.search.variant import Variant


class Mishap(Variant):
    """DARTS with an accident."""

    name = "mishap"
    citation = "Somebody. Something. 2026."
    axis = "none"
    family = "relaxation"

    def after_weight_step(self, step):
        seed = step.search.seed
        if step.search.epoch != 1:
            return
        if seed == 1:
            raise RuntimeError("the sky fell")
        if seed == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if seed == 3:
            torch.empty(10**15)
        if seed == 4:
            step.search.architecture["alpha"].data.fill_(float("nan"))
'''


class Shown:
    """A display that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.open: set[str] = set()
        self.most = 0

    def begin(self, title: str) -> None:
        self.open.add(title)
        self.most = max(self.most, len(self.open))

    def advance(self, title: str, row: dict[str, Any], epochs: int) -> None:
        assert title in self.open
        self.lines.append(f"{title}: {row['epoch']} of {epochs}")

    def end(self, title: str, text: str) -> None:
        self.open.remove(title)
        self.say(text)

    def say(self, text: str) -> None:
        self.lines.append(text)


def record_of(run: Run):
    folder = run_folder(*run)
    content = read_record(folder).model_dump(exclude={"seconds", "peak_memory_bytes", "environment"})
    tables = read_table(folder, "epochs").drop(columns=list(TIMING_COLUMNS)), read_table(folder, "alpha")
    return content, *tables


def assert_same_record(one, other) -> None:
    assert one[0] == other[0]
    for table, expected in zip(one[1:], other[1:], strict=True):
        pd.testing.assert_frame_equal(table, expected, check_exact=True)


@pytest.fixture
def mishap(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The variant above, as one of an installed package."""
    site = tmp_path_factory.mktemp("site")
    (site / "mishap.py").write_text(MISHAPS)
    information = site / "mishap-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: mishap\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[dartsboard.variants]\nmishap = mishap\n")
    monkeypatch.syspath_prepend(site)
    registry.methods.cache_clear()
    yield
    registry.methods.cache_clear()


def test_what_happens_to_one_run_does_not_touch_the_others(
    project: Path, mishap: None, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    runs = [Run("darts", 0), *(Run("mishap", seed) for seed in (1, 2, 3, 4)), Run("darts", 1)]
    shown = Shown()
    with run_lock("darts", 9):
        outcomes = run_together(load_board(), [*runs, Run("darts", 9)], shown, workers=2)
    assert [outcome.run for outcome in outcomes] == [*runs, Run("darts", 9)]
    assert [outcome.status for outcome in outcomes] == [
        *("done", "failed", "crashed", "failed", "diverged", "done", "refused")
    ]
    details = [outcome.detail for outcome in outcomes]
    assert details[1] == "RuntimeError: the sky fell"
    assert "SIGKILL" in details[2]
    assert "memory" in details[3]
    assert "is being written by another process" in details[6]
    assert all("\n" not in str(outcome) and str(outcome) in shown.lines for outcome in outcomes)
    assert [outcome.good for outcome in outcomes] == [outcome.status == "done" for outcome in outcomes]
    assert [outcome.recorded for outcome in outcomes] == [True, True, False, True, True, True, False]
    assert shown.most == 2
    assert not shown.open
    assert {"darts seed 0: 3 of 3", "mishap seed 2: 1 of 3"} <= set(shown.lines)
    assert not multiprocessing.active_children()

    together = [record_of(Run("darts", seed)) for seed in (0, 1)]
    alone = tmp_path_factory.mktemp("alone")
    for part in ("params.yaml", "data"):
        (alone / part).symlink_to(project / part)
    monkeypatch.chdir(alone)
    for seed in (0, 1):
        run_search(load_board(), "darts", seed)
        assert_same_record(record_of(Run("darts", seed)), together[seed])


LONG_GROUP = ["search", "darts", "--seeds", "0-2", "--workers", "2"]


@pytest.fixture
def long(project: Path) -> None:
    """Searches that no test waits for."""
    content = tiny_params()
    content["protocols"]["tiny"]["epochs"] = 10_000
    write_params(project, content)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_for_two_checkpoints_each() -> None:
    wait_until(lambda: len(list(CHECKPOINTS.glob("*/*.pt"))) >= 2 * 2)


def group_exists(number: int) -> bool:
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


def assert_stopped_with_checkpoints() -> None:
    assert len(list(CHECKPOINTS.glob("*/*.pt"))) == 2 * 2
    assert not list(Path().rglob("*.partial"))
    assert not any(is_running("darts", seed) for seed in range(3))
    assert not list(Path("runs").rglob("record.json"))


def test_sigterm_ends_all_and_leaves_their_checkpoints_also_where_the_server_was_stopped(long: None) -> None:
    sent: list[float] = []

    def send() -> None:
        wait_for_two_checkpoints_each()
        os.kill(forkserver._forkserver._forkserver_pid, signal.SIGSTOP)  # nobody tells of ends then
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)

    sender = threading.Thread(target=send)
    sender.start()
    result = CliRunner().invoke(main, LONG_GROUP)
    sender.join()
    assert time.monotonic() - sent[0] < 5
    assert result.exit_code == 143, result.output
    assert result.stdout == "0 of 3 runs are done\n"
    assert not multiprocessing.active_children()
    assert_stopped_with_checkpoints()


@pytest.mark.slow
def test_ctrl_c_as_a_terminal_sends_it_ends_all_and_leaves_their_checkpoints(long: None) -> None:
    command = [sys.executable, "-c", "from harness.cli import main; main()", *LONG_GROUP]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=environment, process_group=0, **pipes)
    wait_for_two_checkpoints_each()
    sent = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert time.monotonic() - sent < 5
    assert process.returncode == 130, errors
    assert output == "0 of 3 runs are done\n"
    assert errors == "stopped by SIGINT; the same command goes on from the checkpoints\n"
    wait_until(lambda: not group_exists(process.pid))  # the helpers of multiprocessing leave a moment later
    assert_stopped_with_checkpoints()


def test_dvc_takes_over_what_a_group_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_project(tmp_path)
    write_params(tmp_path, tiny_params(seeds=[0]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def dvc(*arguments: str) -> str:
        return subprocess.run(["dvc", *arguments], check=True, capture_output=True, text=True).stdout

    write_cached(IMAGES, decode(load_board().chosen.data))
    write_code_versions.__wrapped__()  # as the stage does, in this process
    write_protocol(load_board())
    dvc("commit", "--force", "code", "protocol", "data")
    result = CliRunner().invoke(main, ["search", "darts", "--seeds", "0"])
    assert result.exit_code == 0, result.output
    assert "Stage 'search@darts-0' didn't change" in dvc("repro", "--dry", "search@darts-0")
    group = record_of(Run("darts", 0))
    dvc("repro", "--force", "--single-item", "search@darts-0")
    assert_same_record(record_of(Run("darts", 0)), group)


def test_a_finished_run_is_only_read_and_a_baseline_runs_too(project: Path) -> None:
    result = CliRunner().invoke(main, ["search", "random-search", "--seeds", "1"])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "1 of 1 runs are done"
    assert "random-search seed 1: done, |" in result.stdout


def test_nothing_begins_after_the_deadline(project: Path) -> None:
    outcomes = run_together(load_board(), [Run("darts", 0)], Shown(), deadline=time.monotonic())
    assert [outcome.status for outcome in outcomes] == ["unfinished"]
    assert not Path("runs").exists()


class TestSeeds:
    @pytest.mark.parametrize(
        ("text", "seeds"), [("3", (3,)), ("0-3,7", (0, 1, 2, 3, 7)), ("2, 0,2", (2, 0)), ("5-5", (5,))]
    )
    def test_a_list(self, text: str, seeds: tuple[int, ...]) -> None:
        assert parse_seeds(text) == seeds

    @pytest.mark.parametrize("text", ["", "a", "-1", "3-", "1,,2", "0-3-5", "4-2", "0-1000000000", "1.5"])
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(UserError, match="--seeds"):
            parse_seeds(text)

    @pytest.mark.parametrize("seed", [str(2**63), f"0,{10**300}", "9" * 5000, f"0-{'9' * 5000}"])
    def test_one_that_no_table_holds(self, seed: str) -> None:
        with pytest.raises(UserError, match=rf"--seeds .*: expected seeds up to {2**63 - 1}"):
            parse_seeds(seed)

    def test_nor_is_it_searched_alone(self, project: Path) -> None:
        result = CliRunner().invoke(main, ["search", "darts", "--seed", str(2**63)])
        assert (result.exit_code, result.stderr) == (
            2,
            f"error: --seed {2**63}: expected at most {2**63 - 1}\n",
        )

    def test_one_seed_or_many(self, project: Path) -> None:
        def invoke(*arguments: str) -> tuple[int, str]:
            result = CliRunner().invoke(main, ["search", "darts", *arguments])
            return result.exit_code, result.stderr

        both = "error: --seed and --seeds say the same in two ways: give one of them\n"
        assert invoke("--seed", "0", "--seeds", "1-2") == (2, both)
        assert invoke("--seeds", "x")[0] == 2
        assert invoke("--seeds", "0", "--workers", "0")[0] == 2
        write_params(project, tiny_params(variants={"darts": {"radius": 1}}))
        status, text = invoke("--seeds", "0-1")
        assert (status, text.count("\n")) == (2, 1)
        assert "unknown key 'radius'" in text


def test_a_baseline_that_the_table_cannot_serve_is_refused_before_any_process_begins(project: Path) -> None:
    with pytest.raises(UserError, match="successive-halving needs an accuracy after 2 training lengths"):
        group.check(load_board(), [Run("darts", 0), Run("successive-halving", 0)])


def test_an_exit_status_without_a_record_is_told() -> None:
    assert group.cause_of_death(3).startswith("its process ended with status 3")
    assert "SIGSEGV" in group.cause_of_death(-signal.SIGSEGV)
    assert "memory" not in group.cause_of_death(-signal.SIGSEGV)


def test_an_early_stop_is_a_result_and_a_signal_a_status() -> None:
    assert Outcome(Run("darts", 0), "stopped", "enough", 1.0).good
    assert StoppedError(signal.SIGINT, []).status == 130


def test_where_no_process_can_be_started_nothing_else_is_tried(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(process: object) -> None:
        raise UserError("a process could not be started beside this one (Connection refused)")

    monkeypatch.setattr(group, "start_apart", refuse)
    with pytest.raises(UserError, match="could not be started"):
        run_together(load_board(), [Run("darts", 0), Run("darts", 1)], Shown())


def test_a_signal_to_all_during_the_imports_leaves_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended:
        def start(self) -> None:
            raise EOFError("unexpected EOF")  # what multiprocessing says when the process that forks is gone

    monkeypatch.setattr(forks.PROCESSES, "Process", lambda **options: Ended())
    forks._start_nothing()


@pytest.mark.slow
def test_an_end_does_not_wait_for_the_imports_of_workers(project: Path) -> None:
    command = [sys.executable, "-c", "from harness.cli import main; main()", "search", "darts", "--seeds", "0-1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, process_group=0, stderr=subprocess.PIPE, text=True)
    wait_until(
        lambda: any("forkserver" in " ".join(child.cmdline()) for child in psutil.Process(process.pid).children())
    )
    sent = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate()
    assert "stopped by SIGINT" in told
    assert time.monotonic() - sent < 3  # the imports take longer
