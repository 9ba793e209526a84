"""A package of somebody else's: built, installed, and its methods listed, run and held to the contract."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.records.record import read_record, run_folder
from tests.conftest import ROOT, tiny_params, write_params

PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "other-methods"
version = "1.0"

[project.entry-points."dartsboard.variants"]
elsewhere = "{module}"

[tool.setuptools]
packages = ["other_methods"]
"""

METHOD = '''
"""A method of another package."""

from harness.api import Variant


class Elsewhere(Variant):
    """DARTS under another name."""

    name = "elsewhere"
    citation = "Somebody. Something. 2026."
    axis = "none"
    family = "relaxation"
'''

TESTS = """
from harness.testing import Conformance
class TestConformance(Conformance, package="other_methods"): ...
"""


def write_package(folder: Path, module: str = "other_methods.elsewhere", method: str = METHOD) -> Path:
    """Write what its author keeps in a repository."""
    (folder / "other_methods").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT.format(module=module))
    (folder / "other_methods" / "__init__.py").touch()
    (folder / "other_methods" / "elsewhere.py").write_text(method)
    (folder / "test_methods.py").write_text(TESTS)
    return folder


def install(package: Path, site: Path) -> None:
    """Build it and install it beside Dartsboard, without what it depends on."""
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(package)], check=True)


def run(site: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)


def dartsboard(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(site, folder, "-c", f"from harness.cli import main; main({list(arguments)!r})")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_package(tmp_path_factory.mktemp("repository") / "other-methods")


@pytest.fixture(scope="module")
def site(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    install(package, folder)
    return folder


@pytest.mark.slow
def test_its_method_is_listed(site: Path) -> None:
    result = dartsboard(site, ROOT, "variants")
    assert result.returncode == 0, result.stderr
    assert re.search(r"RELAXATION: .*\n  elsewhere +1  -     none\n", result.stdout, re.DOTALL)


def test_its_method_is_run(site: Path, project: Path) -> None:
    write_params(project, tiny_params(seeds=[0], variants={"elsewhere": {}}, reference="elsewhere"))
    result = dartsboard(site, project, "search", "elsewhere", "--seed", "0")
    assert result.returncode == 0, result.stderr
    record = read_record(run_folder("elsewhere", 0))
    assert (record.status, record.epochs) == ("done", 3)


def test_two_lines_hold_it_to_the_contract(site: Path, package: Path) -> None:
    result = run(site, package, "-m", "pytest", "-p", "no:cacheprovider", "-rp", "test_methods.py")
    assert result.returncode == 0, result.stdout
    passed = [line for line in result.stdout.splitlines() if line.startswith("PASSED")]
    assert len(passed) >= 10
    assert all(line.endswith("[elsewhere]") for line in passed)


@pytest.mark.slow
def test_a_method_that_breaks_the_contract_is_told_what_it_wants(tmp_path: Path) -> None:
    broken = METHOD.replace(" 2026.", "").replace('axis = "none"', 'axis = "none"\n    passes_per_step = 7.0')
    package, site = write_package(tmp_path / "other-methods", method=broken), tmp_path / "site"
    install(package, site)
    selected = ["-k", "comes_from or declares"]
    result = run(site, package, "-m", "pytest", "-p", "no:cacheprovider", *selected, "test_methods.py")
    assert result.returncode == 1
    assert "elsewhere: the contract wants that the citation has a year" in result.stdout
    assert "passes_per_step is what a step costs: 7.0 are declared, 2 were counted" in result.stdout


@pytest.mark.slow
def test_a_module_may_be_named_with_its_class(tmp_path: Path) -> None:
    install(write_package(tmp_path / "other-methods", "other_methods.elsewhere:Elsewhere"), tmp_path / "site")
    assert "elsewhere" in dartsboard(tmp_path / "site", ROOT, "variants").stdout


def test_a_package_that_cannot_be_imported_is_one_sentence(tmp_path: Path) -> None:
    install(write_package(tmp_path / "other-methods", "other_methods.absent"), tmp_path / "site")
    result = dartsboard(tmp_path / "site", ROOT, "variants")
    assert result.returncode == 2
    assert result.stderr.startswith("error: the variant file other_methods.absent cannot be imported: ModuleNotFound")
    assert result.stderr.count("\n") == 1
