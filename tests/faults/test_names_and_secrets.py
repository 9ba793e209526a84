"""Names that would lead out of the run folder, and passwords that would be written down."""

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from harness.base.errors import UserError
from harness.cli import main
from harness.records.record import run_folder
from harness.search import registry
from harness.search.variant import Variant
from harness.truth.sources import import_nats_bench
from tests.conftest import tiny_params, write_params
from tests.harness.tracking.runs import board_of, counts, synced, write_one

ESCAPING = ["../x", "a/b", "/etc", "..", ".", "", "a\0b", "a\nb", "x" * 300, "-x", "a\\b", " darts"]
SECRET = "http://user:p@ss/w0rd@127.0.0.1:9/mlflow?token=t0ken"
PARTS = ("p@ss", "w0rd", "t0ken")


@pytest.mark.parametrize("name", ESCAPING)
def test_a_name_that_leads_out_of_the_run_folder_is_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="is no name of a method, expected letters, digits and hyphens") as caught:
        run_folder(name, 0, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*ESCAPING, 5])
def test_a_method_of_such_a_name_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module = ModuleType("other_package")
    module.Odd = type("Odd", (Variant,), {"name": name, "__module__": "other_package"})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(registry, "_modules", lambda: [module.__name__])
    with pytest.raises(
        UserError, match=r"other_package: the method Odd is named .*, expected at most 60 letters"
    ) as caught:
        registry.methods.__wrapped__()
    assert "\n" not in str(caught.value)


def test_params_and_commands_with_such_a_name_are_one_sentence(project: Path) -> None:
    before = sorted(project.parent.rglob("*"))
    for name in ESCAPING:
        if "\0" in name:  # neither YAML nor a command line can hold it
            continue
        write_params(project, tiny_params(variants={"darts": {}, name: {}}))
        for command in (["search", "--seed", "0", "--", name], ["status"], ["new-variant", "--", name]):
            result = CliRunner().invoke(main, command)
            assert result.exit_code == 2 and result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert sorted(project.parent.rglob("*")) == before


@pytest.mark.slow
def test_a_board_with_such_a_name_mirrors_nothing_from_outside(tmp_path: Path) -> None:
    write_one(tmp_path, "darts", 0)
    (tmp_path / "runs" / "darts").rename(tmp_path / "outside")
    content = board_of().model_dump()
    board = board_of().model_validate(content | {"variants": {"../outside": {}, "pc-darts": {}}})
    summary = synced(tmp_path, board)
    assert counts(summary) == {"failed": 2}
    assert summary.message.startswith("'../outside' is no name of a method")


def test_a_pipe_among_the_files_of_a_benchmark_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "000011.pickle.pbz2")
    with pytest.raises(UserError, match=r"000011.pickle.pbz2 is no regular file"):
        import_nats_bench(tmp_path, allow_partial=True)


def test_a_password_in_params_is_never_shown(project: Path) -> None:
    for tracking in (
        {"uri": SECRET, "experiment": "x"},
        {"uri": SECRET.replace("http", "ftp"), "experiment": "x"},
        {"uri": [SECRET], "experiment": "x"},
        {"uri": SECRET, "experiment": [SECRET]},
        SECRET,
    ):
        write_params(project, tiny_params(tracking=tracking))
        for command in (["sync"], ["ui"], ["status"], ["doctor"], ["search", "random-search", "--seed", "0"]):
            result = CliRunner().invoke(main, command)
            assert "Traceback" not in result.output
            assert not [part for part in PARTS if part in result.output], (tracking, command)
        files = [path for path in project.rglob("*") if path.is_file() and path.name != "params.yaml"]
        assert not [path for path in files for part in PARTS if part.encode() in path.read_bytes()]


def test_a_password_in_a_file_that_is_no_yaml_is_never_shown(project: Path) -> None:
    (project / "params.yaml").write_text(f"tracking:\n  uri: {SECRET}: : [\n")
    result = CliRunner().invoke(main, ["status"])
    assert result.exit_code == 2 and not [part for part in PARTS if part in result.output]
