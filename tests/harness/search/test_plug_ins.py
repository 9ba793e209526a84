"""Whatever a package of methods does while it is imported: one sentence that names it, and nothing on the output."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from harness.base.errors import UserError
from harness.base.interruption import EndingSignalError
from harness.search import registry

METHOD = """
from harness.api import Variant

class Elsewhere(Variant):
    name = "elsewhere"
    citation = "Somebody. Something. 2026."
    axis = "none"
    family = "relaxation"
"""
BASELINE = METHOD.replace("Variant", "Baseline") + "    strategy = 'random'\n"
BAD = {
    "raises over several lines": "raise RuntimeError('a\\nb\\x1b[31m\\u202e')",
    "ends the program": "import sys\nsys.exit(0)",
    "ends a generator": "raise GeneratorExit",
    "raises what has no text": "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd",
    "is no Python": "def",
    "nests too deep": "x = " + "(" * 300 + ")" * 300,
    "recurses": "def f(): f()\nf()",
    "has no axis": METHOD.replace('axis = "none"', "pass"),
    "has an axis that is no text": METHOD.replace('axis = "none"', "axis = 5"),
    "has no citation": METHOD.replace("citation =", "note ="),
    "has no family": METHOD.replace('family = "relaxation"', "pass"),
    "has a family of None": METHOD.replace('"relaxation"', "None"),
    "has a family that there is not": METHOD.replace("relaxation", "relaxed"),
    "has a strategy of None": METHOD + "    strategy = None\n",
    "has a strategy that there is not": METHOD + "    strategy = 'intuition'\n",
    "has departures that are none": METHOD + "    departures = 5\n",
    "has settings that are none": METHOD + "    Settings = dict\n",
    "has passes that are no number": METHOD + "    passes_per_step = 'two'\n",
    "has passes without end": METHOD + "    passes_per_step = float('inf')\n",
    "has needs that are none": BASELINE + "    needs = ['optuna']\n",
    "has needs without what to install": BASELINE + "    needs = {'optuna': None}\n",
    "is interrupted": "raise KeyboardInterrupt",
    "raises no Exception": "class Odd(BaseException): pass\nraise Odd('a\\nb')",
    "raises what ends the program": "class Odd(Exception):\n    def __str__(self): raise SystemExit(0)\nraise Odd",
    "raises a sentence of ours": "from harness.base.errors import UserError\nraise UserError('a\\nb')",
    "cannot be looked at": "def __dir__(): raise RuntimeError('a\\nb')",
}


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that is registered as a package of methods, still empty."""
    monkeypatch.syspath_prepend(str(tmp_path))
    point = EntryPoint("x", "other_methods_of_a_test", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    monkeypatch.delitem(sys.modules, "other_methods_of_a_test", raising=False)
    return tmp_path / "other_methods_of_a_test.py"


@pytest.mark.parametrize("name", BAD)
def test_a_bad_one_is_one_sentence(plug_in: Path, name: str) -> None:
    plug_in.write_text(BAD[name], encoding="utf-8")
    with pytest.raises(UserError) as caught:
        registry.methods.__wrapped__()
    sentence = str(caught.value)
    assert "other_methods_of_a_test" in sentence and sentence.isprintable()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("pass", "does not say its family, expected one of gradient estimator, relaxation, regulariser, selection, "),
        ("family = 'relaxing'", "has the family 'relaxing', did you mean 'relaxation'?"),
    ],
)
def test_a_method_without_a_family_is_told_which_there_are(plug_in: Path, line: str, sentence: str) -> None:
    plug_in.write_text(METHOD.replace('family = "relaxation"', line), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        registry.methods.__wrapped__()
    assert str(caught.value).startswith(f"other_methods_of_a_test: the method Elsewhere {sentence}")


def test_what_one_prints_does_not_stand_in_the_output(plug_in: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plug_in.write_text("print('hello')\n" + METHOD, encoding="utf-8")
    assert "elsewhere" in registry.methods.__wrapped__()
    assert capsys.readouterr() == ("", "hello\n")


@pytest.mark.parametrize(
    "said",
    ["import os; os.write(1, b'hello')", "import os; os.system('echo hello')", "print('hello', file=sys.__stdout__)"],
)
def test_nor_does_what_one_says_below_print(plug_in: Path, capfd: pytest.CaptureFixture[str], said: str) -> None:
    plug_in.write_text(f"import sys\n{said}\n{METHOD}", encoding="utf-8")
    assert "elsewhere" in registry.methods.__wrapped__()
    assert "hello" not in capfd.readouterr().out


def test_a_signal_that_asks_to_end_is_no_fault_of_the_file_that_it_met(plug_in: Path) -> None:
    plug_in.write_text("from harness.base.interruption import EndingSignalError\nraise EndingSignalError(15)")
    with pytest.raises(EndingSignalError):
        registry.methods.__wrapped__()


@pytest.mark.parametrize("value", ["", "no_such_module_of_a_test", "a b", "x:y:z", "..up", "é\x1b"])
def test_an_entry_that_leads_nowhere_is_one_sentence(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    point = EntryPoint("x", value, registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    with pytest.raises(UserError, match="cannot be imported") as caught:
        registry.methods.__wrapped__()
    assert str(caught.value).isprintable()
