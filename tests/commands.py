"""The command `dartsboard` as tests call it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from harness.cli import main
from tests.conftest import ROOT, tiny_params, write_params

COMMAND = [sys.executable, "-c", "from harness.cli import main; main()"]


def dartsboard(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def succeeds(*arguments: str) -> str:
    result = dartsboard(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def fails(*arguments: str) -> str:
    """The one line that a mistake is told in."""
    result = dartsboard(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("error: ").strip()


def in_a_process(folder: Path, *arguments: str, prepare: Callable[[], None] | None = None) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=environment, capture_output=True, text=True, preexec_fn=prepare
    )
    return result.returncode, result.stderr


def set_in_params(keys: str, value: Any) -> None:
    content = tiny_params()
    *path, last = keys.split("/")
    section = content
    for key in path:
        section = section[key]
    section[last] = value
    write_params(Path(), content)
