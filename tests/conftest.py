import copy
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from harness.images.decoded import IMAGES, decode, write_cached
from harness.settings.protocol import load_board
from harness.testing import TINY_PROTOCOL
from harness.truth.sources import import_truth
from harness.truth.table import TRUTH_FILE

ROOT = Path(__file__).resolve().parent.parent
os.environ["DVC_TEST"] = "true"
"""Else each command of DVC leaves a process behind, for its usage report, that writes into a project a test removes."""


LONGEST = ("test_pipeline.py", "test_conformance.py", "test_named_files.py", "test_page.py", "test_group.py")
"""Files whose tests take longest: begun first, so that no process has to wait for them in the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files; within each, tests stay as they are written."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


def slow_but_for(at_once: Iterable[str], names: Iterable[str]) -> list[Any]:
    """Return parameters of which only some are tested at once, and all by `make slow`."""
    return [pytest.param(name, marks=() if name in at_once else pytest.mark.slow) for name in names]


def _folder(variable: str, fallback: Path) -> Path:
    folder = Path(os.environ.get(variable, fallback))
    if not folder.is_dir():
        pytest.skip(f"needs the reference material in {variable} or {fallback.name}/ beside the project")
    return folder


@pytest.fixture(scope="session")
def reference_data() -> Path:
    return _folder("DARTSBOARD_TEST_DATA", ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def reference_tools() -> Path:
    return _folder("DARTSBOARD_TEST_TOOLS", ROOT.parent / "shared" / "tools")


def tiny_params(**changes: Any) -> dict[str, Any]:
    """A whole params.yaml that runs in seconds; `changes` replace top-level keys."""
    content = {
        "protocol": "tiny",
        "seeds": [0, 1],
        "reference": "darts",
        "variants": {"darts": {}, "darts-2nd": {"radius": 0.01}},
        "baselines": {"random-search": {"evaluations": 5}},
        "truth": {"source": "analog-nasbench", "path": None},
        "tracking": {"uri": None, "experiment": "dartsboard"},
        "protocols": {"tiny": copy.deepcopy(TINY_PROTOCOL)},
    }
    return {**content, **changes}


PIPELINE_PARTS = (
    *("harness", "variants", "pipelines", "reports"),
    *(".dvc/config", ".dvc/.gitignore", ".dvcignore", "dvc.yaml", "sources.json"),
)


def copy_project(folder: Path, *more: str) -> None:
    """Copy what `dvc repro` needs, and more parts of the project, into a git repository of its own."""
    for part in (*PIPELINE_PARTS, *more):
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "generated"))
        else:
            shutil.copy(source, target)
    # The stage of the theory depends on no setting, and takes most of a minute in full.
    stages = folder / "dvc.yaml"
    stages.write_text(stages.read_text().replace("-m pipelines.theory", "-m pipelines.theory small"))
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)


def write_params(folder: Path, content: dict[str, Any]) -> None:
    if folder.resolve() == ROOT:
        raise AssertionError("a test would overwrite the project's own params.yaml")
    with (folder / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(content, file)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `project` is a copy of."""
    folder = tmp_path_factory.mktemp("prepared")
    write_params(folder, tiny_params())
    board = load_board(folder / "params.yaml")
    write_cached(folder / IMAGES, decode(board.chosen.data))
    import_truth(board.truth, folder / TRUTH_FILE)
    return folder


@pytest.fixture
def project(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny params.yaml, decoded images and the embedded truth, as the current folder."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
