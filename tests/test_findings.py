"""docs/findings.md says nothing that its board does not: every number stands in a table that its paragraph names."""

import re
from pathlib import Path

import pytest

from reports.publish import report_of
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "findings.md"
BOARD = ROOT / "boards" / "small-cifar-2026"
NO_NUMBERS = re.compile(r"`[^`]*`|\]\([^)]*\)|CIFAR-\d+|\d+x\d+|bfloat16|(?:small-cifar|baselines)-2026|95 %")
"""What has digits in it and is no number of the board: tables, links, names, and how sure all intervals are."""
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")


def numbers(text: str) -> list[str]:
    return [number.rstrip(",").replace(",", "") for number in NUMBER.findall(text)]


def paragraphs() -> list[str]:
    text = re.sub(r"```.*?```", "", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [part for part in re.split(r"\n\s*\n|\n(?=- )", text) if not part.startswith(("#", "!"))]


def boards_of(paragraph: str) -> set[str]:
    """Return the boards whose tables it names: this one, and those that it links to."""
    return {BOARD.name, *re.findall(r"\(\.\./boards/([^/)]+)/README\.md\)", paragraph)}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tables of each board's report."""
    names = set().union(*map(boards_of, paragraphs()))
    folder = tmp_path_factory.mktemp("reports")
    return {name: report_of(BOARD.parent / name, folder / name).parent / "tables" for name in names}


@pytest.mark.slow
@pytest.mark.parametrize("paragraph", paragraphs(), ids=lambda text: text[:30])
def test_every_number_stands_in_a_table_that_is_named_beside_it(paragraph: str, tables: dict[str, Path]) -> None:
    names = re.findall(r"`([^`]*)`", paragraph)
    places = [tables[board] / f"{name}.md" for board in boards_of(paragraph) for name in names]
    named = [path for path in places if path.is_file()]
    shown = [float(number) for path in named for number in numbers(path.read_text(encoding="utf-8"))]

    def is_shown(said: str) -> bool:
        return any(f"{value:.{len(said.partition('.')[2])}f}" == said for value in shown)

    missing = [said for said in numbers(NO_NUMBERS.sub(" ", paragraph)) if not is_shown(said)]
    assert not missing, f"{missing} stand in none of {[path.stem for path in named]}"
