import shutil
from pathlib import Path

import pytest

from harness.board import source_code
from harness.board.source_code import ROOT, code_hash

ALL = {"darts", "darts_2nd", "drnas_progressive"}


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for package in source_code.PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(source_code, "ROOT", tmp_path)
    return tmp_path


def hashes(copy: Path) -> dict[str, str]:
    search = copy / "harness/search/loop.py"
    return {name: code_hash(search, copy / f"variants/{name}.py") for name in ALL}


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("variants/darts_2nd.py", {"darts_2nd"}),
        ("harness/networks/layers.py", ALL),
        ("harness/base/streams.py", ALL),
        ("harness/tracking/mirror.py", set()),
        ("harness/board/lookup.py", set()),
        # What comes through the public door counts where it is used, what else the door offers does not.
        ("harness/estimators/hypergradient.py", ALL),
        ("harness/networks/net2wider.py", {"drnas_progressive"}),
        ("harness/search/baseline.py", set()),
        ("harness/truth/table.py", set()),
        ("harness/api.py", set()),
        ("variants/random_search.py", set()),
    ],
)
def test_a_change_reaches_what_imports_it_and_nothing_else(copy: Path, file: str, changed: set[str]) -> None:
    before = hashes(copy)
    with (copy / file).open("a") as handle:
        handle.write("\n# changed\n")
    after = hashes(copy)
    assert {name for name in before if before[name] != after[name]} == changed


def test_the_place_of_the_project_does_not_matter(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = hashes(copy)
    monkeypatch.setattr(source_code, "ROOT", ROOT)
    assert moved == hashes(ROOT)
