"""A variant of an installed package: listed, run, and held to the conformance tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

VARIANT = '''
"""A variant of another package."""

from harness.search.variant import Variant


class Elsewhere(Variant):
    """DARTS under another name."""

    name = "elsewhere"
    citation = "Somebody. Something. 2026."
    axis = "none"
'''


def install(site: Path, module: str) -> None:
    """Put a package with one variant into a folder of packages, the way an installer does."""
    package = site / "other_package"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "elsewhere.py").write_text(VARIANT)
    information = site / "other_package-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[dartsboard.variants]\nelsewhere = {module}\n")


def run(site: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("module", ["other_package.elsewhere", "other_package.elsewhere:Elsewhere"])
def test_it_is_listed(tmp_path: Path, module: str) -> None:
    install(tmp_path, module)
    result = run(tmp_path, "-c", "from harness.cli import main; main(['variants'])")
    assert result.returncode == 0, result.stderr
    assert "Somebody. Something. 2026." in result.stdout


def test_it_gets_the_conformance_tests_but_those_of_files_it_does_not_have(tmp_path: Path) -> None:
    install(tmp_path, "other_package.elsewhere")
    arguments = ["tests/test_conformance.py", "-k", "elsewhere", "-p", "no:cacheprovider", "-rp"]
    result = run(tmp_path, "-m", "pytest", *arguments)
    assert result.returncode == 0, result.stdout
    passed = [line for line in result.stdout.splitlines() if line.startswith("PASSED")]
    assert len([line for line in passed if "TestVariant::" in line]) >= 7
    assert len([line for line in passed if "TestDeclaration::" in line]) == 2
    assert not [line for line in passed if "TestFiles::" in line]


def test_a_package_that_cannot_be_imported_is_one_sentence(tmp_path: Path) -> None:
    install(tmp_path, "other_package.absent")
    result = run(tmp_path, "-c", "from harness.cli import main; main(['variants'])")
    assert result.returncode == 2
    assert result.stderr.startswith("error: the variant file other_package.absent cannot be imported: ModuleNotFound")
    assert result.stderr.count("\n") == 1
