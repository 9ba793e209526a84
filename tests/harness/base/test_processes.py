"""Other processes give what this one would give, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from harness.base.errors import UserError
from harness.base.processes import WAITING, Background, map_in_processes, start_process


def test_one_process_computes_it_itself() -> None:
    assert list(map_in_processes(abs, iter([-1, 2, -3]), 0)) == [1, 2, 3]


def test_results_come_in_order_and_items_are_drawn_as_they_are_worked_off() -> None:
    drawn = []

    def numbers() -> Iterator[int]:
        for number in range(40):
            drawn.append(number)
            yield -number

    results = map_in_processes(abs, numbers(), 2)
    assert next(results) == 0
    assert len(drawn) <= 2 * WAITING + 1
    assert list(results) == list(range(1, 40))


def test_the_error_of_an_item_arrives() -> None:
    with pytest.raises(FileNotFoundError):
        list(map_in_processes(os.stat, ["absent" * 9], 1))


def test_a_process_that_is_killed_is_one_sentence() -> None:
    with pytest.raises(UserError, match="was killed, perhaps because memory ran out"):
        list(map_in_processes(kill_this_process, range(3), 1))


def kill_this_process(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_whatever_a_background_process_raises_is_a_sentence_with_its_reason() -> None:
    with pytest.raises(UserError, match=r"^listdir: FileNotFoundError: .*'absent'$"):
        Background(os.listdir, "absent").result()
    with pytest.raises(UserError, match="was killed by SIGKILL, perhaps because memory ran out: try again"):
        Background(kill_this_process, 0).result()
    with pytest.raises(UserError, match="ended with status 3: try again"):
        Background(sys.exit, 3).result()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (EOFError("unexpected EOF"), "unexpected EOF"),
        (BlockingIOError(11, "Resource temporarily unavailable"), "Resource temporarily unavailable"),
    ],
)
def test_a_process_that_cannot_be_started_is_a_sentence(error: Exception, reason: str) -> None:
    class Refused(BaseProcess):
        def start(self) -> None:
            raise error

    with pytest.raises(UserError, match=rf"could not be started beside this one \({reason}\): memory or"):
        start_process(Refused())


SCRIPT = """
from harness.base.processes import map_in_processes
from tests.harness.base.test_processes import write_and_sleep
list(map_in_processes(write_and_sleep, ["{path}"], 1))
"""


def write_and_sleep(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(60)


def within_seconds(condition: Callable[[], bool]) -> bool:
    ends = time.monotonic() + 10
    while not condition() and time.monotonic() < ends:
        time.sleep(0.05)
    return condition()


def runs(process: str) -> bool:
    status = Path("/proc") / process / "status"
    return status.exists() and "State:\tZ" not in status.read_text()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes as Linux shows them")
def test_the_others_end_when_the_first_is_killed(tmp_path: Path) -> None:
    written = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", SCRIPT.format(path=written)]) as first:
        assert within_seconds(lambda: written.exists() and written.read_text() != "")
        other = written.read_text()
        assert runs(other)
        first.kill()
    assert within_seconds(lambda: not runs(other))
