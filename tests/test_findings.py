"""The pages of findings say nothing that their board does not: every number stands in a table named beside it."""

import re
from pathlib import Path

import pytest

from harness.results.folder import load_results
from harness.space.cell import SKIP
from reports.publish import report_of
from tests.conftest import ROOT

PAGES = [ROOT / "docs" / "findings.md", ROOT / "docs" / "findings-in-detail.md"]
BOARD = ROOT / "boards" / "small-cifar-2026"
NO_NUMBERS = re.compile(r"`[^`]*`|\]\([^)]*\)|CIFAR-\d+|\d+x\d+|bfloat16|(?:small-cifar|baselines)-2026|95 %")
"""What has digits in it and is no number of the board: tables, links, names, and how sure all intervals are."""
NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?")


def numbers(text: str) -> list[str]:
    return [number.rstrip(",").replace(",", "") for number in NUMBER.findall(text)]


def text() -> str:
    """Return what the pages say, without commands."""
    return "\n\n".join(re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL) for page in PAGES)


def paragraphs() -> list[str]:
    return [part for part in re.split(r"\n\s*\n|\n(?=- )", text()) if not part.startswith(("#", "!", "|"))]


def table_rows() -> list[tuple[str, str]]:
    """Return each row of a table on the pages behind the head that names the report's tables."""
    found = re.findall(r"(?:^\|.*\n)+", text(), re.MULTILINE)
    return [(head, row) for head, _, *rows in map(str.splitlines, found) for row in rows]


def boards_of(paragraph: str) -> set[str]:
    """Return the boards whose tables it names: this one, and those that it links to."""
    return {BOARD.name, *re.findall(r"\(\.\./boards/([^/)]+)/README\.md\)", paragraph)}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tables of each board's report."""
    names = set().union(*map(boards_of, paragraphs()))
    folder = tmp_path_factory.mktemp("reports")
    return {name: report_of(BOARD.parent / name, folder / name).parent / "tables" for name in names}


def tables_named_in(part: str, folder: Path) -> str:
    """Return the report's tables in `folder` that the part names."""
    paths = [folder / f"{name}.md" for name in re.findall(r"`([^`]*)`", part)]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths if path.is_file())


def not_shown(part: str, shown: str) -> list[str]:
    """Return the numbers of the part that are none of those `shown`, rounded as the part writes them.

    A number with a sign must have that sign there; one without may have any, for "5.2 fewer" is -5.2.
    """
    values = [float(number) for number in numbers(shown)]

    def is_shown(said: str) -> bool:
        form = f"{'+' if said[0] in '+-' else ''}.{len(said.partition('.')[2])}f"
        return any(format(value if said[0] in "+-" else abs(value), form) == said for value in values)

    return [said for said in numbers(NO_NUMBERS.sub(" ", part)) if not is_shown(said)]


@pytest.mark.slow
@pytest.mark.parametrize("paragraph", paragraphs(), ids=lambda text: text[:30])
def test_every_number_stands_in_a_table_that_is_named_beside_it(paragraph: str, tables: dict[str, Path]) -> None:
    shown = [tables_named_in(paragraph, tables[board]) for board in boards_of(paragraph)]
    assert not not_shown(paragraph, "\n".join(shown))


@pytest.mark.slow
@pytest.mark.parametrize(("head", "row"), table_rows(), ids=lambda text: text[:30])
def test_every_number_of_a_row_stands_in_the_rows_of_its_method(head: str, row: str, tables: dict[str, Path]) -> None:
    method = row.split("|")[1].strip()
    lines = tables_named_in(head, tables[BOARD.name]).splitlines()
    assert not not_shown(row, "\n".join(line for line in lines if line.split("|")[1:2] == [f" {method} "]))


def test_the_answers_with_skips_are_counted_right() -> None:
    finished = load_results(BOARD / "results").finished.query("kind == 'search'")
    counted = (finished[f"count_{SKIP}"] >= 4).groupby(finished["variant"]).sum()
    said = {row.split("|")[1].strip(): row.split("|")[-2].strip() for _, row in table_rows()}
    assert {method: number for method, number in said.items() if number != "–"} == counted.astype(str).to_dict()


def test_what_is_said_of_skip_penalty_without_its_handicap_is_so() -> None:
    alpha = load_results(BOARD / "results").alpha.query("variant == 'skip-penalty' and epoch == epoch.max()")
    leading = alpha.loc[alpha.groupby(["seed", "edge"])["alpha"].idxmax()]
    skips = (leading["operation"] == SKIP).groupby(leading["seed"]).sum()
    assert (skips >= 4).sum() == 9
    assert "skip-penalty would have collapsed in nine runs" in " ".join(text().split())
