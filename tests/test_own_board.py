"""docs/own-board.md, walked word for word in a fresh environment, away from the project."""

import os
import re
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import ROOT
from tests.test_pipeline import ran
from tests.test_wheel import SOURCES

MINUTES = 10
"""That the page promises, on two cores that do nothing else."""


def packages_without_the_project(folder: Path) -> Path:
    """Link what this environment has installed, but for the project itself, so that nothing has to be downloaded."""
    folder.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "dartsboard" not in path.name and path.suffix != ".pth":
            (folder / path.name).symlink_to(path)
    return folder


def shell(folder: Path, deps: Path, script: str) -> str:
    surroundings = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    environment = {
        **surroundings,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),  # dvc; python3 for the venv
        "PYTHONPATH": str(deps),
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's way of saying that there is none: setuptools is among the packages
        "OMP_NUM_THREADS": "1",
    }
    result = subprocess.run(
        ["bash", "-ec", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, f"{script}\n{result.stdout}"
    return result.stdout


def test_nobody_is_sent_to_an_index_for_it() -> None:
    # Only a checkout or a wheel of it has Dartsboard; what an index has under the name is somebody else's.
    indexed = re.compile(
        r"""pip install (--\S+ )*['"]?dartsboard\b|(?<![/\w])dartsboard\[|pypi\.org/project/dartsboard"""
    )
    texts = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    for folder in ("boards", "docs", "harness", "reports", "variants"):
        texts += [path for path in (ROOT / folder).rglob("*") if path.suffix in (".md", ".py", ".yaml")]
    assert [str(path) for path in texts if indexed.search(path.read_text())] == []


@pytest.mark.slow
def test_from_a_checkout_to_a_report_with_a_method_of_ones_own(tmp_path: Path) -> None:
    deps = packages_without_the_project(tmp_path / "packages")
    (tmp_path / "dartsboard").mkdir()
    subprocess.run(["cp", "-r", *map(str, SOURCES), str(tmp_path / "dartsboard")], check=True)
    page = (ROOT / "docs" / "own-board.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    started = time.monotonic()
    output = shell(tmp_path, deps, "".join(blocks))
    assert time.monotonic() - started < 60 * MINUTES * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert re.search(r"\b1\d passed", output)
    board = tmp_path / "my-board"
    runs = pd.read_parquet(board / "results" / "runs.parquet")
    methods = {"darts", "pc-darts", "drnas", "my-variant", "random-search"}
    assert set(runs["variant"]) == methods and set(runs["status"]) == {"done"} and len(runs) == 3 * len(methods)
    report = (board / "reports" / "generated" / "report.html").read_text()
    assert all(method in report for method in methods)

    def repro(change: str = "") -> set[str]:
        return ran(shell(tmp_path, deps, f". dartsboard-env/bin/activate\n{change}\ncd my-board\ndvc repro"))

    assert repro() == set()
    # Another release, which changes one method, one stage, or nothing that a result comes from.
    (site,) = (tmp_path / "dartsboard-env").glob("lib/python*/site-packages")
    changes = {
        "variants/pc_darts.py": {
            "code",
            *(f"search@pc-darts-{seed}" for seed in range(3)),
            "lookup",
            "track",
            "report",
        },
        "reports/page.py": {"code", "report"},
        "harness/truth/nats_bench.py": {"code", "truth"},
        "harness/cli/runs.py": {"code"},
    }
    for file, stages in changes.items():
        assert repro(f"echo '# changed' >> {site / file}") == stages
