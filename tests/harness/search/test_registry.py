import sys
from pathlib import Path

import pytest

import variants
from harness.base.errors import UserError
from harness.board.runner import run_search
from harness.search import registry
from harness.settings.protocol import Board
from harness.settings.validation import validate
from harness.testing import TINY_PROTOCOL
from tests.conftest import tiny_params


def board(**changes) -> Board:
    return validate(Board, tiny_params(**changes), where="params.yaml")


def under(variant: str, *keys: str, value) -> dict:
    """The whole board is one variant, under the tiny protocol with another value."""
    content = tiny_params(variants={variant: {}}, baselines={})
    section = content["protocols"]["tiny"]
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    return content


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"reference": "dart"}, "reference: there is no variant 'dart', did you mean 'darts'?"),
        ({"variants": {"dart": {}}}, "params.yaml, variants: there is no variant 'dart', did you mean 'darts'?"),
        (
            {"protocol": "lr0.05", "protocols": {"lr0.05": TINY_PROTOCOL}},
            "params.yaml, protocol: DVC finds no name with '.', '[' or ']', as in 'lr0.05'",
        ),
        ({"variants": {"random-search": {}}, "baselines": {}}, "'random-search' is a baseline"),
        ({"variants": {}, "baselines": {"darts": {}}}, "'darts' is a search variant"),
        (
            {"variants": {"darts-2nd": {"radios": 1}}},
            "variants.darts-2nd: unknown key 'radios', did you mean 'radius'?",
        ),
        ({"variants": {"darts-2nd": {"radius": -1}}}, "variants.darts-2nd: radius: input should be greater than"),
        ({"variants": {"darts-2nd": {"radius": 1e300}}}, "variants.darts-2nd: radius: input should be less than"),
        (
            {"variants": {"zo-darts-plus": {"temperature_decay": 1e-9}}},
            "variants.zo-darts-plus: temperature: expected 1e-05 or more in the last of the temperature_periods",
        ),
        ({"baselines": {"regularized-evolution": {"tournament": 10**12}}}, "regularized-evolution: tournament: input"),
        ({"baselines": {"random-search": {"evaluations": 0}}}, "baselines.random-search: evaluations"),
    ],
)
def test_mistakes_on_the_board_are_found_before_anything_runs(changes, sentence) -> None:
    with pytest.raises(UserError) as caught:
        registry.check_board(board(**changes))
    assert sentence in str(caught.value)


UNFIT = [
    (under("darts-pt", "epochs", value=1), "protocol epochs: darts-pt needs at least 2 epochs"),
    (under("p-darts", "epochs", value=2), "protocol epochs: a search in 3 stages needs at least 3 epochs, not 2"),
    (under("lambda-darts", "precision", value="bfloat16"), "protocol precision: expected float32 or float64"),
    (under("lambda-darts", "precision", value="tf32"), "protocol precision: expected float32 or float64"),
    (under("pc-darts", "network", "channels", value=6), "protocol network.channels: expected a multiple of 4"),
]


@pytest.mark.parametrize(("content", "sentence"), UNFIT)
def test_a_protocol_that_a_method_cannot_work_under_is_refused_before_anything_runs(content, sentence) -> None:
    (name,) = content["variants"]
    checked = validate(Board, content, where="params.yaml")
    beginning = f"params.yaml: {name} cannot search under the protocol tiny: {sentence}"
    with pytest.raises(UserError) as caught:
        registry.check_board(checked)
    assert str(caught.value).startswith(beginning)
    # As well where the method stands on no board.
    with pytest.raises(UserError) as caught:
        run_search(checked.model_copy(update={"variants": {}}), name, seed=0)
    assert str(caught.value).startswith(beginning)


def test_a_tournament_may_be_larger_than_the_population_that_it_is_drawn_from() -> None:
    registry.check_board(board(baselines={"regularized-evolution": {"population": 2, "tournament": 9}}))


def test_a_package_that_a_baseline_needs_is_told_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    method = registry.baseline("random-search")
    monkeypatch.setattr(method, "needs", {"no_such_package": "dartsboard[nothing]"})
    with pytest.raises(UserError) as caught:
        registry.check_board(board())
    assert str(caught.value) == (
        "params.yaml, baselines: random-search needs the package no_such_package: pip install 'dartsboard[nothing]'"
    )
    assert registry.method("random-search") is method  # a report names it nevertheless
    monkeypatch.setattr(method, "needs", {"numpy": "numpy"})
    registry.check_board(board())


def test_settings_of_a_silent_board_are_the_defaults() -> None:
    settings = registry.settings_of(board(variants={"darts-2nd": {}}), "darts-2nd")
    assert settings.model_dump() == {"radius": 0.01}


OWN = """
from harness.api import Variant

class Mine(Variant):
    name = "mine"
    citation = "Nobody. Nothing. 2026."
    axis = "none"
    family = "schedule"
"""


class TestMethodsOfABoardElsewhere:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The board's folder of methods, where the package looks too."""
        (tmp_path / "variants").mkdir()
        monkeypatch.setattr(variants, "__path__", [*variants.__path__, str(tmp_path / "variants")])
        monkeypatch.delitem(sys.modules, "variants.mine", raising=False)
        return tmp_path / "variants"

    def test_they_are_found_beside_the_others(self, folder: Path) -> None:
        (folder / "mine.py").write_text(OWN)
        assert {"mine", "darts"} < set(registry.methods.__wrapped__())

    def test_a_file_of_the_same_name_would_count_for_nothing(self, folder: Path) -> None:
        (folder / "darts.py").write_text(OWN)
        with pytest.raises(
            UserError, match=r"^variants/darts.py: Dartsboard has a file of this name, expected another$"
        ):
            registry.methods.__wrapped__()

    def test_a_package_there_would_hide_the_others(self, folder: Path) -> None:
        (folder / "__init__.py").touch()
        with pytest.raises(
            UserError, match=r"^variants/__init__.py hides the methods of the installed Dartsboard: rem"
        ):
            registry.methods.__wrapped__()
