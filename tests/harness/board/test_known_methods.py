"""What is known of a board's methods never outlives what it was made from."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.base.errors import UserError
from harness.board import known_methods as module
from harness.board import stage_code
from harness.board.identity import Inputs, fingerprint_of
from harness.board.known_methods import KNOWN_METHODS, known_methods
from harness.board.runner import fingerprint, run_method
from harness.search import registry
from harness.search.baseline import Baseline
from harness.settings.protocol import load_board
from tests.conftest import ROOT, tiny_params, write_params

ALL = registry.methods()


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows each time that methods are loaded to be looked at; each look is as that of a new process."""
    monkeypatch.setattr(module, "_are_loaded", lambda: False)
    times: list[str] = []
    look = module._looked_at
    monkeypatch.setattr(module, "_looked_at", lambda board: times.append("loaded") or look(board))
    return times


def test_fingerprints_from_what_is_known_are_those_of_loaded_methods(project: Path, loads: list[str]) -> None:
    baselines = [name for name, method in ALL.items() if issubclass(method, Baseline) and not registry.lacking(method)]
    searches = [name for name, method in ALL.items() if not issubclass(method, Baseline)]
    variants: dict[str, dict[str, Any]] = {name: {} for name in searches}
    write_params(project, tiny_params(variants=variants, baselines={name: {} for name in baselines}))
    board = load_board()
    assert set(known_methods(board)) == {*searches, *baselines}
    known, inputs = known_methods(board), Inputs(board)
    assert loads == ["loaded"]
    for name in known:
        assert fingerprint_of(board, name, known[name], 1, inputs) == fingerprint(board, name, 1)


def test_a_second_look_needs_no_pytorch(project: Path) -> None:
    run_method(load_board(), "darts", 0)
    code = "import sys; from harness.cli import main; main(standalone_mode=False); print('torch' in sys.modules)"

    def look() -> list[str]:
        command = [sys.executable, "-c", code, "status"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.splitlines()

    first, second = look(), look()
    assert (first[-1], second[-1]) == ("True", "False")
    assert first[:-1] == second[:-1]
    assert first[-2].startswith("1 done")


def change_setting(project: Path) -> None:
    write_params(project, tiny_params(variants={"darts": {}, "darts-2nd": {"radius": 0.02}}))


def damage(project: Path) -> None:
    (project / KNOWN_METHODS).write_text('{"made_from": ')


def change_what_is_known(project: Path) -> None:
    content = json.loads((project / KNOWN_METHODS).read_text())
    content["methods"]["darts-2nd"]["settings"]["radius"] = math.nan
    (project / KNOWN_METHODS).write_text(json.dumps(content))


@pytest.mark.parametrize("change", [change_setting, damage, change_what_is_known])
def test_methods_are_looked_at_anew(project: Path, loads: list[str], change: Callable[[Path], None]) -> None:
    known_methods(load_board())
    known_methods(load_board())
    assert len(loads) == 1
    change(project)
    known_methods(load_board())
    known_methods(load_board())
    assert len(loads) == 2


@pytest.fixture
def code(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for all code."""
    installed = tmp_path_factory.mktemp("installed")
    for part in ("harness", "variants"):
        (installed / part).mkdir()
    monkeypatch.setattr(stage_code, "RUNNING", installed)
    file = installed / "harness" / "loop.py"
    file.write_text("before = 1\n")
    return file


def test_changed_code_is_looked_at_anew(project: Path, loads: list[str], code: Path) -> None:
    known_methods(load_board())
    code.write_text("after = 2\n")
    known_methods(load_board())
    known_methods(load_board())
    assert len(loads) == 2


def test_code_that_changes_during_a_look_is_not_taken_for_what_was_seen(
    project: Path, code: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    look = module._looked_at
    monkeypatch.setattr(module, "_looked_at", lambda board: code.write_text("after = 2\n") and look(board))
    known_methods(load_board())
    code.write_text("before = 1\n")
    known_methods(load_board())
    assert len(loads) == 2


def test_a_process_that_has_methods_asks_these(
    project: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known_methods(load_board())
    monkeypatch.undo()
    monkeypatch.chdir(project)
    monkeypatch.setattr(module, "_read", lambda made_from: pytest.fail("it may be of other code"))
    monkeypatch.setattr(module, "_write", lambda *found: pytest.fail("files may hold other code"))
    assert set(known_methods(load_board())) == {"darts", "darts-2nd", "random-search"}


@pytest.mark.parametrize("what", ["python_version", "version"])
def test_another_python_or_pytorch_looks_anew(
    project: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    known_methods(load_board())
    place: Any = module.platform if what == "python_version" else module
    monkeypatch.setattr(place, what, lambda *name: "another")
    known_methods(load_board())
    assert len(loads) == 2


@pytest.mark.parametrize(
    "wrong", ["{radus: 0.01}", "{radius: .nan}", "{radius: 2026-11-29}", "{radius: !!binary /w==}"]
)
def test_wrong_settings_are_refused_though_the_board_was_known(project: Path, loads: list[str], wrong: str) -> None:
    known_methods(load_board())
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("{radius: 0.01}", wrong))
    assert wrong in (project / "params.yaml").read_text()
    for _ in range(2):
        with pytest.raises(UserError, match=r"darts-2nd"):
            known_methods(load_board())


def test_a_value_that_json_has_no_word_for_is_told_from_none(project: Path, loads: list[str]) -> None:
    def with_threshold(value: float | None) -> None:
        write_params(project, tiny_params(variants={"darts": {}, "fair-darts": {"threshold": value}}))

    with_threshold(None)
    known_methods(load_board())
    with_threshold(math.nan)
    with pytest.raises(UserError, match="threshold"):
        known_methods(load_board())


def test_methods_of_ones_own_are_always_looked_at(project: Path, loads: list[str]) -> None:
    (project / "variants").mkdir()
    known_methods(load_board())
    (project / "elsewhere").mkdir()
    (project / "elsewhere" / "__init__.py").touch()
    (project / "variants" / "mine").symlink_to(project / "elsewhere")
    known_methods(load_board())
    known_methods(load_board())
    assert len(loads) == 3


def test_methods_of_other_packages_are_always_looked_at(
    project: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "entry_points", lambda group: ["a method of another package"])
    known_methods(load_board())
    known_methods(load_board())
    assert len(loads) == 2
    assert not (project / KNOWN_METHODS).exists()


def test_a_folder_that_cannot_be_written_costs_only_time(project: Path, loads: list[str]) -> None:
    KNOWN_METHODS.mkdir(parents=True)
    assert set(known_methods(load_board())) == {"darts", "darts-2nd", "random-search"}
    known_methods(load_board())
    assert len(loads) == 2
