"""The wheel, installed away from the project: nothing is missing, and a board of one's own begins with it."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("harness", "variants", "pipelines", "reports")
SOURCES = [ROOT / part for part in (*PACKAGES, "pyproject.toml", "README.md", "LICENSE")]
"""What it is built from."""
GENERATED = ("__pycache__", "generated")

OWN = """
from harness.api import Variant
from variants.helpers import AXIS


class Mine(Variant):
    \"\"\"DARTS under another name.\"\"\"

    name = "mine"
    citation = "Nobody. Nothing. 2026."
    axis = AXIS
    family = "schedule"
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, for what is built is left beside the sources."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    subprocess.run(["cp", "-r", *map(str, SOURCES), str(source)], check=True)
    options = [
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--disable-pip-version-check",
        "--wheel-dir",
        str(folder),
    ]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True)
    (found,) = folder.iterdir()
    return found


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What it installs, without what it depends on: a wheel is an archive of that."""
    folder = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def run(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def dartsboard(site: Path, folder: Path, *arguments: str) -> str:
    result = run(site, folder, "-c", f"from harness.cli import run; import sys; sys.argv[1:] = {arguments!r}; run()")
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_it_has_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {path.relative_to(ROOT) for part in PACKAGES for path in (ROOT / part).rglob("*") if path.is_file()}
    assert names == {str(path) for path in files if not {*path.parts} & {*GENERATED}}


def test_a_board_elsewhere_has_its_own_methods_and_the_versions_of_its_stages(site: Path, tmp_path: Path) -> None:
    assert dartsboard(site, tmp_path, "init", "my-board").startswith("wrote my-board; DVC is set up in it")
    board = tmp_path / "my-board"
    (board / "variants" / "mine.py").write_text(OWN)
    (board / "variants" / "helpers.py").write_text("AXIS = 'none'\n")
    result = run(site, board, "-c", "from pipelines import code, sources; sources.main(); code.main()")
    assert result.returncode == 0, result.stderr
    written = {path.stem for path in (board / "data" / "code").iterdir()}
    assert {"darts", "random-search", "mine", "pipelines.truth", "pipelines.report"} < written
    assert len(json.loads((board / "sources.json").read_text())["code"]["sha256"]) == 64
