import errno
import io
import sys

import pytest

from harness.base.progress import show_runs


class Full(io.StringIO):
    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_line_that_cannot_be_shown_ends_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Full())
    with show_runs() as display:
        display.say("epoch 1 of 3")
        display.begin("darts seed 0")
        display.end("darts seed 0", "done")
