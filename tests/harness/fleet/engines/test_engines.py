"""Engines by name."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.base.errors import UserError
from harness.cli import main
from harness.fleet import engines


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_without_its_package_a_sentence_says_what_to_install(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda wanted: None)
    with pytest.raises(UserError, match=rf"needs the package {package}: pip install {package}$"):
        engines.create_engine(name, tmp_path, {})


def test_an_engine_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'slurm'"):
        engines.create_engine("slrm", tmp_path, {})


def test_a_wrong_engine_is_told_before_anything_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(main, ["sweep", "--engine", "slrm"])
    assert answer.exit_code == 2
    assert "did you mean 'slurm'" in answer.output
    assert not list(tmp_path.iterdir())
