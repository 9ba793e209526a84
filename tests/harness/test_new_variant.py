import importlib.util
import resource
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.search.variant import Variant
from tests.conftest import ROOT

FOLDERS = ("variants", "tests/variants", "docs/variants")


@pytest.fixture
def skeleton(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders of the project that a new variant goes into, with its params.yaml, as the current folder."""
    for folder in (*FOLDERS, "harness"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "harness" / "__init__.py").touch()
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def loaded(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of a file, importable by its name during the test."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_it_writes_a_file_that_runs_its_test_its_page_and_its_settings(
    skeleton: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(skeleton)
    result = CliRunner().invoke(main, ["new-variant", "my-variant"])
    assert result.exit_code == 0, result.output
    after = content(skeleton)
    new = {"variants/my_variant.py", "tests/variants/test_my_variant.py", "docs/variants/my-variant.md"}
    assert set(after) - set(before) == new
    assert all("$name" not in after[path] and "$class" not in after[path] for path in new)
    entry = "  my-variant: {temperature: 2.0}\n"
    assert after["params.yaml"].count(entry) == 1
    assert after["params.yaml"].replace(entry, "") == before["params.yaml"]

    module = loaded(skeleton / "variants" / "my_variant.py", "variants.my_variant", monkeypatch)
    assert issubclass(module.MyVariant, Variant)
    test = loaded(skeleton / "tests" / "variants" / "test_my_variant.py", "test_my_variant", monkeypatch)
    (check,) = [value for name, value in vars(test).items() if name.startswith("test_")]
    check()
    monkeypatch.setattr(module.MyVariant, "op_weights", Variant.op_weights)
    with pytest.raises(AssertionError):
        check()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("darts", "there is a method named 'darts' already: choose another name"),
        ("random-search", "there is a method named 'random-search' already: choose another name"),
        ("My Variant", "'My Variant' is no name for a variant, expected at most 60 small letters, digits and hyphens"),
        ("../escape", "'../escape' is no name for a variant"),
        ("my_variant", "'my_variant' is no name for a variant"),
        ("class", "'class' is no name for a variant"),
        (
            "a" * 61,
            "'" + "a" * 59 + "... is no name for a variant, expected at most 60 small letters, digits and hyphens",
        ),
        ("none", "'none' would be the class None, which means something else: choose another name"),
        ("true", "'true' would be the class True"),
        ("phase", "'phase' would be the class Phase"),
        ("tensor", "'tensor' would be the class Tensor"),
        ("page-only", "docs/variants/page-only.md exists already: choose another name"),
    ],
)
def test_a_name_that_will_not_do_is_one_sentence_and_changes_nothing(skeleton: Path, name: str, sentence: str) -> None:
    (skeleton / "docs" / "variants" / "page-only.md").touch()
    before = content(skeleton)
    result = CliRunner().invoke(main, ["new-variant", name])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {sentence}")
    assert result.stderr.count("\n") == 1
    assert content(skeleton) == before


def test_outside_the_project_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["new-variant", "fresh-one"])
    assert (result.exit_code, result.stderr) == (
        2,
        "error: params.yaml is missing: run dartsboard in the project's folder\n",
    )
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    result = CliRunner().invoke(main, ["new-variant", "fresh-one"])
    assert (result.exit_code, result.stderr) == (
        2,
        "error: variants is missing: run dartsboard in the project's folder\n",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_when_a_file_cannot_be_written_the_others_go(skeleton: Path) -> None:
    before = content(skeleton)
    assert len(before["params.yaml"]) > 3000
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))  # params.yaml, which is written last, is larger
    try:
        result = CliRunner().invoke(main, ["new-variant", "my-variant"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (result.exit_code, result.stderr) == (2, "error: params.yaml could not be written: File too large\n")
    assert content(skeleton) == before
