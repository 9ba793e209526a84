import ast
from pathlib import Path

from tests.conftest import ROOT

REPORTS = ROOT / "reports"


def imported(path: Path) -> set[str]:
    """The modules that a file imports, by their dotted names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        if isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def test_only_figures_draw_and_they_compute_nothing_from_results():
    for path in REPORTS.rglob("*.py"):
        libraries = {name.partition(".")[0] for name in imported(path)}
        if path.parent.name in ("figures", "drawing"):
            assert "harness.results.folder.Results" not in imported(path), path
        elif path.parent.name != "generated":
            assert not libraries & {"matplotlib", "seaborn"}, path


def test_packages_stay_small_enough_to_look_over():
    for package in ("analysis", "drawing", "figures", "tables", "topics"):
        modules = [path for path in (REPORTS / package).glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= 17
        assert all(len(path.read_text().splitlines()) <= 400 for path in modules)
