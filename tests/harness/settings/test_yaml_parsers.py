"""DVC reads params.yaml with a parser in C, for it does so once a stage; Dartsboard once, with one in Python."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from harness.base.errors import UserError
from harness.settings.project import set_params
from harness.settings.validation import read_yaml
from tests.conftest import ROOT

# fmt: off
SCALARS = [
    "1e-3", "1.5E3", "1_000", "017", "0o17", "0x1f", "+1", ".5", "5.", "-.inf", ".nan", "on", "OFF", "yes", "y", "~",
    "null", "True", "1:30", "190:20:30", "2026-01-02", "2026-01-02T03:04:05Z", "1e400", '"\\/\\x41é"', "'it''s'",
    "a#b", "[]", "{}", "{a}", "|-", ">",
]
# fmt: on


def read_by_dvc(path: Path) -> Any:
    from dvc.utils.serialize import load_yaml

    return load_yaml(str(path))


def test_dvc_has_the_parser_in_c() -> None:
    assert YAML(typ="safe").Parser is not YAML(typ="safe", pure=True).Parser, "pip install ruamel.yaml.clib"


@pytest.mark.parametrize("scalar", SCALARS)
def test_both_read_the_same(tmp_path: Path, scalar: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"a: {scalar}\nb: [1]\n", encoding="utf-8")
    assert repr(read_by_dvc(path)) == repr(read_yaml(path))


def test_both_read_the_same_of_the_board_here() -> None:
    assert read_by_dvc(ROOT / "params.yaml") == read_yaml(ROOT / "params.yaml")


@pytest.mark.parametrize("nested", ["a: " + "{a: " * 100_000, "- " * 100_000 + "x", "a: " + "[" * 100_000])
def test_what_would_crash_the_parser_in_c_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(nested)
    for read in (lambda: read_yaml(Path("params.yaml")), lambda: set_params({"protocol": "tiny"})):
        with pytest.raises(UserError, match=r"^params\.yaml is no YAML"):
            read()
