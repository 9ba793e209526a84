"""Arguments that no command can do anything with: one sentence, exit status 2, before anything happens."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main

NO_TEXT = "\udcff"
"""What Python makes of a byte that is no UTF-8."""


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", NO_TEXT, "darts"],
        ["compare", "darts", f"a{NO_TEXT}"],
        ["cell", NO_TEXT],
        ["search", NO_TEXT, "--seed", "0"],
        ["search", "darts", "--seeds", NO_TEXT],
        ["new-variant", f"x{NO_TEXT}"],
        ["ui", "--host", NO_TEXT],
        ["sweep", "--engine", NO_TEXT],
        ["sweep", "-o", f"a={NO_TEXT}"],
        ["truth", "import", "table", f"{NO_TEXT}.csv"],
        ["truth", "import", "analog-nasbench", "--output", NO_TEXT],
        ["truth", "import", "table", "t.csv", "--cell-column", NO_TEXT],
        ["truth", "import", "table", "t.csv", "--column", f"{NO_TEXT}=cifar10/test/200"],
        ["truth", "show", NO_TEXT],
        [NO_TEXT],
        [f"--{NO_TEXT}"],
    ],
)
def test_bytes_that_are_no_text_are_told(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.exception
    assert "\\udcff" in result.stderr
    assert "is no text, expected UTF-8" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["truth", "import", "analog-nasbench", "--output", "."],
        ["truth", "import", "analog-nasbench", "--output", ""],
        ["truth", "import", "analog-nasbench", "--output", "a" * 5000],
        ["truth", "import", "nas-bench-201", "a" * 5000],
        ["truth", "import", "nats-bench", "a" * 5000],
        ["truth", "import", "table", "a/" * 2500, "--cell-column", "c", "--column", "a=cifar10/test/200"],
        ["truth", "import", "table", "t.csv", "--cell-column", "c", "--column", "c=cifar10/test/200"],
        ["truth", "import", "table", "t.csv", "--cell-column", "c", "--column", "a=cifar10/test/²"],
        ["truth", "import", "table", "t.csv", "--cell-column", "c", "--column", f"a=cifar10/test/{'1' * 5000}"],
        ["truth", "import", "table", "t.csv", "--cell-column", "c", "--column", "a=cifar10/test/3000000000"],
        ["truth", "import", "table", "t.csv", "--cell-column", "c", "--column", "a=cifar10/valid/200"],
    ],
)
def test_an_import_that_cannot_be_is_one_short_sentence(arguments: list[str], project: Path) -> None:
    before = sorted(project.rglob("*"))
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.exception
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert len(result.stderr) < 500
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "{}"],
        ["{}"],
        ["--{}"],
        ["truth", "{}"],
        ["truth", "import", "{}"],
        ["plan", "--slots", "{}"],
        ["search", "darts", "--{}"],
        ["sweep", "--store", "{}"],
        ["ui", "--port", "{}"],
    ],
)
@pytest.mark.parametrize("given", ["a\x1b[2Jb", "a\r\nb", "\u202ea", "a\tb\x00", "a" * 5000])
def test_an_argument_of_no_use_is_shown_in_a_line(arguments: list[str], given: str) -> None:
    result = CliRunner().invoke(main, [argument.format(given) for argument in arguments], color=True)
    assert result.exit_code == 2, result.exception
    said = result.stderr.splitlines()[-1]
    assert said.startswith("Error: ") and said.isprintable() and len(said) < 700
    assert "\x1b" not in result.stderr and "\u202e" not in result.stderr
