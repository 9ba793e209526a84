import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.fleet.calling_dvc import CallingDvc, calling_dvc, demand

ALL = ["search@darts-0", "search@darts-1", "search@darts-2nd-0", "baseline@tpe-0"]


@pytest.mark.parametrize(
    ("arguments", "stages"),
    [
        ([], ALL),
        (["report"], ALL),
        (["lookup", "search@darts-0"], ALL),
        (["boards/mine/dvc.yaml"], ALL),
        (["search"], ALL[:3]),
        (["baseline"], ALL[3:]),
        (["-s", "search@darts-0"], ALL[:1]),
        (["search@darts-0", "baseline@tpe-0"], [ALL[0], ALL[3]]),
        (["mine/dvc.yaml:search@darts-1"], ALL[1:2]),
        (["--glob", "search@darts-?"], ALL[:2]),
        (["--force", "--glob", "search@darts-*"], ALL[:3]),
    ],
)
@pytest.mark.parametrize("command", [["repro"], ["--wait-for-lock", "repro", "-k"]])
def test_a_command_leads_to_what_its_targets_name(command: list[str], arguments: list[str], stages: list[str]) -> None:
    found = demand([*command, *arguments], ("search", "baseline"))
    assert found is not None
    assert [stage for stage in ALL if found.covers(stage)] == stages
    assert (found.again, found.run_cache) == ("--force" in arguments, True)


def test_experiments_and_the_cache() -> None:
    found = demand(["exp", "run", "-S", "seeds=[0]"], ("search", "baseline"))
    assert found is not None and found.patterns == ()
    without = demand(["repro", "--no-run-cache"], ("search", "baseline"))
    assert without is not None and not without.run_cache


def test_what_dvc_does_not_understand_is_no_demand(capsys: pytest.CaptureFixture[str]) -> None:
    assert demand(["repro", "--no-such-option"], ("search",)) is None
    assert demand(["--help"], ("search",)) is None


def test_only_a_stage_has_a_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    assert calling_dvc() is None
    monkeypatch.setenv("DVC_STAGE", "search@darts-0")
    assert calling_dvc() is None  # whoever runs these tests is no DVC


@pytest.mark.parametrize("before", [(), ("-m",)])
def test_it_is_found_above_a_shell_with_what_it_was_asked_for(tmp_path, before: tuple[str, ...]) -> None:
    program = tmp_path / ("dvc.py" if before else "dvc")
    inner = "from harness.fleet.calling_dvc import calling_dvc as dvc; print(dvc().arguments, dvc().forces)"
    shell = f"true; {sys.executable} -c '{inner}'; true"
    program.write_text(f"import subprocess\nsubprocess.run(['sh', '-c', {shell!r}])")
    environment = {**os.environ, "DVC_STAGE": "x", "PYTHONPATH": f"{tmp_path}:{Path.cwd()}"}
    command = [sys.executable, *before, "dvc" if before else str(program), "repro", "-f"]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout == "('repro', '-f') True\n", answer.stderr


def test_a_later_process_of_the_same_number_is_another() -> None:
    own = psutil.Process()
    assert CallingDvc(own.pid, own.create_time(), ()).alive
    assert not CallingDvc(own.pid, own.create_time() - 1, ()).alive
    child = subprocess.Popen([sys.executable, "-c", ""])
    started = psutil.Process(child.pid).create_time()
    child.wait()
    assert not CallingDvc(child.pid, started, ()).alive
