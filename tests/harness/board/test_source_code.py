import hashlib
import re
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


def test_a_method_of_a_board_elsewhere_counts_with_what_it_takes_from_others_there(
    copy: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = tmp_path_factory.mktemp("board").resolve()
    monkeypatch.chdir(board)
    (board / "variants").mkdir()
    mine, helper, near = (board / "variants" / name for name in ("mine.py", "helper.py", "near.py"))
    mine.write_text(
        "from variants.helper import help\nfrom .near import there\nfrom variants.darts_2nd import DartsSecondOrder\n"
    )
    helper.write_text("help = 1\n")
    near.write_text("from . import helper\nthere = 2\n")
    reached = set(source_code.reached_files(mine))
    assert {f"variants/{name}.py" for name in ("mine", "helper", "near", "darts_2nd")} < reached
    assert "harness/estimators/hypergradient.py" in reached
    before = code_hash(mine)
    near.write_text("there = 3\n")
    assert code_hash(mine) != before


def test_a_change_that_changes_no_result_leaves_the_versions_as_they_are(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, before = copy / "harness/networks/layers.py", hashes(copy)
    counts = hashlib.sha256(file.read_bytes()).hexdigest()
    with file.open("a") as handle:
        handle.write("\n# changed\n")
    now = hashlib.sha256(file.read_bytes()).hexdigest()
    assert set(hashes(copy).values()).isdisjoint(before.values())
    monkeypatch.setitem(source_code.SAME_RESULTS, "harness/networks/layers.py", (now, counts))
    assert hashes(copy) == before
    with file.open("a") as handle:
        handle.write("\n# changed again\n")
    assert set(hashes(copy).values()).isdisjoint(before.values())


@pytest.mark.parametrize("file", source_code.SAME_RESULTS)
def test_only_a_file_as_it_is_now_counts_as_it_was(file: str) -> None:
    now, before = source_code.SAME_RESULTS[file]
    assert hashlib.sha256((ROOT / file).read_bytes()).hexdigest() == now
    assert re.fullmatch("[0-9a-f]{64}", before)
    assert before != now
