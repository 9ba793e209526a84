from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import whole_board
from benchmarks.whole_board import Times, Way, boards, main, summary
from tests.benchmarks.pages import quick_page

OLD = """
protocol: quick
reference: gone
seeds: [0, 1]
variants: {gone: {}, darts: {}, drnas: {anchor: old}}
baselines: {random-search: {}, gone-too: {}}
"""
NEW = """
protocol: quick
reference: darts
seeds: [0, 1]
variants: {darts: {}, new: {}, drnas: {anchor: new}}
baselines: {random-search: {signal: trial}}
"""


@pytest.fixture
def revisions(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    texts = {"1a": OLD, "2b": NEW}
    monkeypatch.setattr(whole_board, "git", lambda show, what: texts[what.removesuffix(":params.yaml")])
    return set(texts)


def test_the_boards_have_the_methods_of_all_revisions_with_their_own_settings(revisions: set[str]) -> None:
    old, new = boards(revisions, quick=False).values()
    assert list(old["variants"]) == list(new["variants"]) == ["darts", "drnas"]
    assert (old["variants"]["drnas"], new["variants"]["drnas"]) == ({"anchor": "old"}, {"anchor": "new"})
    assert list(old["baselines"]) == list(new["baselines"]) == ["random-search"]
    assert (old["reference"], new["reference"]) == ("darts", "darts")
    assert old["seeds"] == [0, 1]


def test_a_quick_board_has_one_of_each(revisions: set[str]) -> None:
    for params in boards(revisions, quick=True).values():
        assert (list(params["variants"]), list(params["baselines"]), params["seeds"]) == (
            ["darts"],
            ["random-search"],
            [0],
        )


def test_each_way_is_compared_with_the_first_by_medians() -> None:
    first, second = Way("1a", "sweep"), Way("2b", "repro")
    times = {
        first: [Times(100, 60), Times(110, 80), Times(500, 90)],
        second: [Times(50, 30), Times(55, 20), Times(60, 10)],
    }
    table = summary([first, second], times)
    assert list(table["command"]) == ["dartsboard sweep", "dvc repro"]
    assert list(table["times the first"]) == [1, 0.5]
    assert list(table["n"]) == [3, 3]
    assert table.iloc[0][["seconds", "fastest", "slowest", "to the last run", "from there on"]].tolist() == [
        *(110, 100, 500),
        *(80, 40),
    ]


@pytest.mark.parametrize(
    ("way", "answer"),
    [
        ("HEAD:swep", "did you mean 'sweep'"),
        ("HEAD", "expected REVISION:COMMAND"),
        ("no-such-revision:sweep", "git rev-parse"),
        ("--all:sweep", "git rev-parse"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_sentence(way: str, answer: str) -> None:
    result: Any = CliRunner().invoke(main, ["--quick", "--", way])
    assert result.exit_code == 1
    assert answer in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_board_is_made_from_nothing_by_both_commands(tmp_path: Path) -> None:
    _, table = quick_page(main, tmp_path, "HEAD:sweep", "HEAD:repro")
    assert list(table["command"]) == ["dartsboard sweep", "dvc repro"]
    assert (table["seconds"] > table["to the last run"]).all()
    assert (table["to the last run"] > 0).all()
