import io
import os
import pty
import sys
from contextlib import suppress

import pytest
from rich.console import Console

from harness.fleet import sweep_display
from harness.fleet.sweep_display import State, Working, show_sweep, table

WORKING = [Working(f"darts seed {seed}", f"GPU {seed}", f"{seed} of 50", 60.0 * seed) for seed in range(1, 6)]
STATE = State(runs=9, done=3, failed=1, working=WORKING, seconds_left=7_300.0)


def shown(state: State, rows: int) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    console.print(table(state, rows))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_the_table_has_what_is_at_work_longest_first() -> None:
    heading, *rows, last = shown(STATE, rows=3)
    assert heading.split() == ["at", "work", "where", "epochs", "since"]
    assert [row.split() for row in rows] == [
        ["darts", "seed", "5", "GPU", "5", "5", "of", "50", "5.0", "min"],
        ["darts", "seed", "4", "GPU", "4", "4", "of", "50", "4.0", "min"],
        ["darts", "seed", "3", "GPU", "3", "3", "of", "50", "3.0", "min"],
    ]
    assert last == "3 of 9 runs done, 1 failed, 5 tasks at work, about 2.0 h left"


def test_with_nothing_at_work_there_is_a_line_only() -> None:
    assert shown(State(9, 0, 0, [], None), rows=3) == ["0 of 9 runs done, 0 tasks at work"]


def test_elsewhere_than_on_a_terminal_lines_come_seldom(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(sweep_display.time, "monotonic", lambda: now[0])
    with show_sweep() as display:
        for now[0] in (0.0, 29.0, 31.0, 32.0, 62.0):
            display.show(STATE)
        display.say("darts seed 1: done")
    assert capsys.readouterr().err.splitlines() == [str(STATE), str(STATE), "darts seed 1: done"]


def all_that_came(end: int) -> str:
    """What was written to the other end of a terminal, which is closed: it comes in parts."""
    parts = []
    with suppress(OSError):  # how Linux says that there is no more
        while part := os.read(end, 1 << 16):
            parts.append(part)
    return b"".join(parts).decode()


def test_on_a_terminal_the_table_stays_and_lines_go_by(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with show_sweep() as display:
            display.show(STATE)
            display.say("darts seed 0: [done], 93.1")
    seen = all_that_came(ours)
    os.close(ours)
    assert "darts seed 0: [done], 93.1" in seen
    assert "9 runs done" in seen
