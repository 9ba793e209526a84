"""What dvc.yaml says that its stages depend on, held against what they import."""

from pathlib import PurePath

import pytest
from ruamel.yaml import YAML

from harness.board.source_code import reached_files
from tests.conftest import ROOT

STAGES = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]

PLUMBING = {"harness/base/errors.py", "harness/base/files.py", "harness/base/parquet.py", "harness/base/processes.py"}
"""What these do cannot change a number."""
READERS = ("harness/base", "harness/records", "harness/settings", "harness/untrusted/memory_limit.py")
"""Nor does what brings the contents of files and settings, which are inputs themselves."""


def covers(dependency: str, file: str) -> bool:
    return PurePath(file).is_relative_to(dependency)


def stages_rerun_by(file: str) -> set[str]:
    return {name for name, stage in STAGES.items() if any(covers(one, file) for one in stage.get("deps", []))}


def test_theory_names_all_that_its_numbers_come_from_and_nothing_else() -> None:
    reached = reached_files(ROOT / "pipelines" / "theory.py")
    dependencies = STAGES["theory"]["deps"]
    assert not [file for file in reached if file not in PLUMBING and not any(covers(one, file) for one in dependencies)]
    assert not [one for one in dependencies if not any(covers(one, file) for file in reached)]
    assert STAGES["theory"]["outs"] == ["data/theory"]
    assert "params" not in STAGES["theory"]


def test_the_look_up_names_all_that_its_numbers_come_from_and_nothing_else() -> None:
    reached = reached_files(ROOT / "pipelines" / "lookup.py")
    code = [one for one in STAGES["lookup"]["deps"] if (ROOT / one).is_file()]
    assert sorted(file for file in reached if not any(covers(one, file) for one in READERS)) == sorted(code)


@pytest.mark.parametrize("file", ["nas_bench_201.py", "nats_bench.py", "trials.py"])
def test_a_changed_importer_reruns_the_truth_alone(file: str) -> None:
    assert stages_rerun_by(f"harness/truth/{file}") == {"code", "truth"}  # `code` then finds that no method changed
    methods = sorted((ROOT / "variants").glob("*.py"))
    search = [ROOT / "harness/search/loop.py", ROOT / "harness/search/derivation_study.py"]
    assert f"harness/truth/{file}" not in reached_files(*methods, *search, ROOT / "harness/search/baseline.py")


def test_every_dependency_on_code_is_there() -> None:
    named = {
        one
        for stage in STAGES.values()
        for one in stage.get("deps", [])
        if one.startswith(("harness", "pip", "reports"))
    }
    assert not [one for one in named if not (ROOT / one).exists()]
