"""What every registered method must keep to, those of installed packages included."""

import ast
import inspect
import re
from pathlib import Path

import pytest

from harness.search import registry
from harness.testing import Conformance
from tests.conftest import ROOT

METHODS = registry.methods()
OWN = [name for name, method in METHODS.items() if method.__module__.startswith("variants.")]
"""Those of the project itself, whose files and pages are here."""

LONGEST_FILE = 150


class TestConformance(Conformance):
    """Every method."""


@pytest.mark.parametrize("name", OWN)
class TestFiles:
    def test_its_page_names_every_setting_and_how_to_run_it(self, name: str) -> None:
        page = (ROOT / "docs" / "variants" / f"{name}.md").read_text()
        missing = [key for key in METHODS[name].Settings.model_fields if f"`{key}`" not in page]
        assert not missing
        assert f"dartsboard search {name} --seed" in page
        assert re.search(r"published", page, re.IGNORECASE)

    def test_its_file_says_its_family(self, name: str) -> None:
        assert "family" in vars(METHODS[name])

    def test_its_file_states_a_difference_and_copies_no_loop(self, name: str) -> None:
        source = Path(inspect.getfile(METHODS[name])).read_text()
        assert len(source.splitlines()) <= LONGEST_FILE
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.For | ast.comprehension):
                names = {part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)}
                assert not names & {"epoch", "step"}, "the loop over epochs and steps is the harness's"
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("run_epoch", "backward"), f"{node.attr} belongs to the harness"


def test_the_harness_knows_no_method_by_name() -> None:
    paths = sorted((ROOT / "harness").rglob("*.py"))
    assert len(paths) > 100
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant):
                assert node.value not in METHODS, f"{path}, line {node.lineno}"
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("variants"), f"{path}, line {node.lineno}"
