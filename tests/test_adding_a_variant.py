"""docs/adding-a-variant.md, walked word for word in a copy of the project."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import ROOT, copy_project, tiny_params, write_params


def output(folder: Path, command: str) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    return result.stdout


@pytest.mark.slow
def test_every_command_of_the_page_works_and_ends_with_a_row_in_the_report(tmp_path: Path) -> None:
    copy_project(tmp_path, "tests", "docs", "pyproject.toml")
    write_params(tmp_path, tiny_params(seeds=[0], variants={"darts": {}}, baselines={}))
    page = (ROOT / "docs" / "adding-a-variant.md").read_text()
    commands = [line for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    assert len(commands) == 7
    outputs = {command: output(tmp_path, command) for command in commands}
    assert "my-variant" in outputs["dartsboard variants"]
    assert "1 passed" in outputs["pytest tests/variants/test_my_variant.py"]
    assert re.search(r"\b1\d passed, \d+ deselected", outputs["pytest tests/test_conformance.py -k my-variant"])
    runs = pd.read_parquet(tmp_path / "results" / "runs.parquet")
    assert list(zip(runs["variant"], runs["status"], strict=True)) == [("darts", "done"), ("my-variant", "done")]
    assert "my-variant" in (tmp_path / "reports" / "generated" / "report.html").read_text()
