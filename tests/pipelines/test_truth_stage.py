"""The stage as DVC runs it: a process in the project's folder."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.base.errors import UserError
from harness.truth.table import Truth
from pipelines import stage
from tests.conftest import ROOT, tiny_params, write_params


def run_stage(folder: Path, truth: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    write_params(folder, tiny_params(truth=truth))
    return subprocess.run(
        [sys.executable, "-m", "pipelines.truth"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_the_stage_writes_the_table_and_says_what_is_in_it(tmp_path: Path) -> None:
    done = run_stage(tmp_path, {"source": "analog-nasbench", "path": None})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "15,625 cells from data.anb: cifar10 test (training length not stated)\n"
    assert Truth.read(tmp_path / "data" / "truth.parquet").provenance.cells == 15_625


def test_a_mistake_of_the_user_is_one_line_and_status_2(tmp_path: Path) -> None:
    done = run_stage(tmp_path, {"source": "nats-bench", "path": "absent"})
    assert done.returncode == 2
    assert done.stderr == "error: absent is missing, expected the NATS-Bench folder\n"
    assert not (tmp_path / "data").exists()


def test_the_wrapper_lets_other_errors_through_and_passes_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[object] = []

    @stage
    def main(variant: str, seed: int = 0) -> None:
        seen.extend([variant, seed])
        raise UserError("told") if seed == 1 else ValueError("a bug")

    with pytest.raises(SystemExit) as caught:
        main("darts", seed=1)
    assert (caught.value.code, seen, capsys.readouterr().err) == (2, ["darts", 1], "error: told\n")
    with pytest.raises(ValueError, match="a bug"):
        main("darts")
