import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PRINT = "from harness.base.output import tolerant_output\nwith tolerant_output():\n    {}"


def printed(what: str, redirected: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        f'"{sys.executable}" -c "$0" {redirected}'.replace("$0", "$PROGRAM"),
        shell=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PROGRAM": PRINT.format(what)} | environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_letters_that_the_output_lacks_are_question_marks(encoding: str) -> None:
    answer = printed(r"print('a \u2212 b', '\udcff')", PYTHONIOENCODING=encoding)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "a ? b ?\n", "")


def test_a_full_disk_behind_the_output_is_a_sentence() -> None:
    answer = printed("print('x' * 10)", ">/dev/full")
    assert (answer.returncode, answer.stderr) == (
        2,
        "error: the output could not be written: No space left on device\n",
    )


@pytest.mark.parametrize("redirected", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_an_output_that_is_closed_is_none(redirected: str) -> None:
    assert printed("import sys; print('x'); sys.stderr.isatty()", redirected).returncode == 0


def test_the_number_of_a_closed_output_is_no_file_of_ours(tmp_path: Path) -> None:
    done = printed(f"import os; open({str(tmp_path / 'mine')!r}, 'w'); os.system('echo other')", ">&-")
    assert done.returncode == 0
    assert (tmp_path / "mine").read_text() == ""


@pytest.mark.parametrize(("what", "status"), [("print('x', file=sys.stderr)", 2), ("sys.stderr.write('x')", 0)])
def test_errors_that_cannot_be_told_give_no_status_of_pythons_own(what: str, status: int) -> None:
    assert printed(f"import sys; {what}", "2>/dev/full", PYTHONUNBUFFERED="").returncode == status


def test_another_error_stays_what_it_is() -> None:
    answer = printed("raise OSError('a mistake of ours')")
    assert "Traceback" in answer.stderr and "a mistake of ours" in answer.stderr
