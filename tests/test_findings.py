"""docs/findings.md says nothing that its board does not: every number stands in a table that its paragraph names."""

import re
from pathlib import Path

import pytest

from reports.publish import report_of
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "findings.md"
BOARD = ROOT / "boards" / "small-cifar-2026"
NO_NUMBERS = re.compile(r"`[^`]*`|\]\([^)]*\)|CIFAR-\d+|\d+x\d+|bfloat16|small-cifar-2026|of 95 %")
"""What has digits in it and is no number of the board: tables, links, names, and how sure all intervals are."""
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")


def numbers(text: str) -> list[str]:
    return [number.rstrip(",").replace(",", "") for number in NUMBER.findall(text)]


def paragraphs() -> list[str]:
    text = re.sub(r"```.*?```", "", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [part for part in re.split(r"\n\s*\n|\n(?=- )", text) if not part.startswith(("#", "!"))]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report_of(BOARD, tmp_path_factory.mktemp("report") / "report").parent / "tables"


@pytest.mark.slow
@pytest.mark.parametrize("paragraph", paragraphs(), ids=lambda text: text[:30])
def test_every_number_stands_in_a_table_that_is_named_beside_it(paragraph: str, tables: Path) -> None:
    named = [path for name in re.findall(r"`([^`]*)`", paragraph) if (path := tables / f"{name}.md").is_file()]
    shown = [float(number) for path in named for number in numbers(path.read_text(encoding="utf-8"))]

    def is_shown(said: str) -> bool:
        return any(f"{value:.{len(said.partition('.')[2])}f}" == said for value in shown)

    missing = [said for said in numbers(NO_NUMBERS.sub(" ", paragraph)) if not is_shown(said)]
    assert not missing, f"{missing} stand in none of {[path.stem for path in named]}"
