"""The lists of methods that come with the project: params.yaml, and boards/ for `dartsboard use`."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.board.costs import search_passes
from harness.cli import main
from harness.publishing.folder import read_published
from harness.search import registry
from harness.search.variant import SearchLength, Variant
from harness.settings.protocol import Board, load_board
from harness.settings.strategy import FAMILIES
from harness.settings.validation import read_yaml, validate
from tests.conftest import ROOT, tiny_params, write_params

ALL_METHODS = ROOT / "boards" / "all-methods.yaml"
CHEAPER = {"shapley-nas": {"orders": 3, "images": 64}, "darts-es": {"images": 8}}
"""What would take most of the time of the quick board with the defaults."""
MOST_METHODS = 24
"""On the board of params.yaml, which is to be there within ten minutes on two cores."""
QUICK = SearchLength(epochs=30, steps=4, batch_size=64)
DEAREST = 3.0
"""Cost of a search on the quick board, in units of DARTS."""


def all_methods() -> Board:
    return validate(Board, {**read_yaml(ROOT / "params.yaml"), **read_yaml(ALL_METHODS)}, where=str(ALL_METHODS))


@pytest.mark.parametrize("folder", sorted(path.parent for path in ROOT.glob("boards/*/published.json")), ids=str)
def test_the_boards_that_the_project_publishes_can_be_read_and_are_listed(folder: Path) -> None:
    board = read_published(folder)
    assert len(board.load().finished) == len(board.board.runs)
    assert f"({folder.name}/README.md)" in (folder.parent / "README.md").read_text()
    assert board.manifest.code.has_changes is False


def test_the_board_of_the_project_is_short_and_shows_every_family() -> None:
    board = load_board(ROOT / "params.yaml")
    registry.check_board(board)
    names = [*board.variants, *board.baselines]
    assert len(names) <= MOST_METHODS
    assert {registry.method(name).family for name in names} == set(FAMILIES)


def test_boards_state_all_settings_and_they_are_the_defaults() -> None:
    for board, others in ((load_board(ROOT / "params.yaml"), {}), (all_methods(), CHEAPER)):
        for name, given in {**board.variants, **board.baselines}.items():
            wanted = {**registry.method(name).Settings().model_dump(), **others.get(name, {})}
            assert registry.settings_of(board, name).model_dump() == wanted, name
            assert set(given) == set(wanted), name


def test_the_board_of_all_methods_lacks_none() -> None:
    board = all_methods()
    registry.check_board(board)
    own = {name for name, method in registry.methods().items() if method.__module__.startswith("variants.")}
    # The embedded table of the quick board has one training length.
    own -= {name for name in own if getattr(registry.method(name), "lengths", 1) > 1}
    missing = own - {*board.variants, *board.baselines}
    assert not missing, f"add {sorted(missing)} to {ALL_METHODS}"


def test_no_search_of_the_board_of_all_methods_takes_all_its_time() -> None:
    board = all_methods()
    costs = {
        name: search_passes(registry.variant(name), registry.settings_of(board, name), QUICK) for name in board.variants
    }
    darts = Variant.passes_per_step * QUICK.epochs * QUICK.steps
    assert {name for name, cost in costs.items() if cost > DEAREST * darts} <= {"sdarts-adv"}


class TestUse:
    def test_it_replaces_keys_and_leaves_the_rest(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        original = (ROOT / "params.yaml").read_text()
        (tmp_path / "params.yaml").write_text(original)
        result = CliRunner().invoke(main, ["use", str(ALL_METHODS)])
        assert result.exit_code == 0, result.output
        found, wanted = load_board(tmp_path / "params.yaml"), all_methods()
        assert found == wanted
        assert result.stdout.splitlines()[1] == (
            f"{len(wanted.variants)} searches and {len(wanted.baselines)} baselines, {len(wanted.runs)} runs"
        )
        assert original[original.index("truth:") :] in (tmp_path / "params.yaml").read_text()

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            ("", "other.yaml is empty or no mapping, expected keys of params.yaml, such as variants"),
            ("a: [", "other.yaml is no YAML: "),
            ("variantz: {}", "params.yaml with other.yaml: unknown key 'variantz', did you mean 'variants'?"),
            ("variants: {dart: {}}", "params.yaml, variants: there is no variant 'dart', did you mean 'darts'?"),
            ("variants: {darts-2nd: {radios: 1}}", "params.yaml, variants.darts-2nd: unknown key 'radios', did you "),
            (None, "other.yaml is missing, expected a file with keys of params.yaml, such as boards/all-methods.yaml"),
        ],
    )
    def test_a_mistake_is_one_sentence_and_changes_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, sentence: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        write_params(tmp_path, tiny_params())
        before = Path("params.yaml").read_bytes()
        if content is not None:
            Path("other.yaml").write_text(content)
        result = CliRunner().invoke(main, ["use", "other.yaml"])
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"error: {sentence}")
        assert result.stderr.count("\n") == 1
        assert Path("params.yaml").read_bytes() == before

    def test_a_file_may_name_a_single_word(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
        Path("other.yaml").write_text("protocol: small-cifar\ncosts: null\n")
        result = CliRunner().invoke(main, ["use", "other.yaml"])
        assert result.exit_code == 0, result.output
        assert load_board(tmp_path / "params.yaml").protocol == "small-cifar"

    def test_a_name_that_no_file_can_have_is_one_sentence(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        write_params(tmp_path, tiny_params())
        result = CliRunner().invoke(main, ["use", "x" * 300])
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
        assert "is no name of a file: File name too long" in result.stderr

    def test_outside_a_project_it_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        result = CliRunner().invoke(main, ["use", str(ALL_METHODS)])
        assert (result.exit_code, result.stderr) == (
            2,
            "error: params.yaml is missing: run dartsboard in the project's folder\n",
        )
