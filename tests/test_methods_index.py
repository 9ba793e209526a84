"""The lists of methods in the documentation: docs/variants/index.md, and the navigation of the site.

    python -m tests.test_methods_index

writes the page anew.
"""

from collections.abc import Iterator

from harness.board import listing
from harness.board.listing import Entry
from harness.settings.strategy import FAMILIES
from harness.settings.validation import read_yaml
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "variants" / "index.md"

HEAD = """# All methods

{count} methods in {families} families, each with a page of its own: its equations, what differs from the paper, its
settings, and what was published. A method that departs from DARTS in several places stands where its paper sees the
point.

*Cost*: forward-backward passes of a search of {epochs} published epochs with default settings, where DARTS is 1; `-`
where no network is trained. What a pass takes in seconds differs, see [speed.md](../speed.md). *Rows*: accuracies on
NAS-Bench-201 are among the published ones ([statistics.md](../statistics.md#published-results)). `dartsboard variants`
prints the same, with methods of installed packages.

[params.yaml](../../params.yaml) has some of every family; `dartsboard use boards/all-methods.yaml` puts all of them on
the board.
"""


def own_methods() -> dict[str, list[Entry]]:
    """The methods whose pages are here, by family."""
    pages = {path.stem for path in PAGE.parent.glob("*.md")}
    return {
        family: [entry for entry in members if entry.name in pages] for family, members in listing.by_family().items()
    }


def page() -> Iterator[str]:
    """The lines of the page."""
    families = own_methods()
    count = sum(map(len, families.values()))
    yield HEAD.format(count=count, families=len(families), epochs=listing.PUBLISHED_LENGTH.epochs)
    for family, members in families.items():
        yield f"## {family.capitalize()}\n\n{FAMILIES[family]}.\n"
        yield "| method | what it changes | cost | rows |\n|---|---|--:|---|"
        for entry in members:
            rows = "yes" if entry.published else "-"
            yield f"| [{entry.name}]({entry.name}.md) | {entry.axis} | {listing.cost(entry)} | {rows} |"
        yield ""


def text() -> str:
    return "\n".join(page()).strip() + "\n"


def test_the_page_of_all_methods_says_what_they_say() -> None:
    assert PAGE.read_text() == text(), "python -m tests.test_methods_index writes it anew"


def test_the_site_lists_every_page_below_its_family() -> None:
    (methods,) = [entry["Methods"] for entry in read_yaml(ROOT / "mkdocs.yml")["nav"] if "Methods" in entry]
    first, *families = methods
    assert first == "variants/index.md"
    listed = {heading: pages for family in families for heading, pages in family.items()}
    assert listed == {
        family.capitalize(): [f"variants/{entry.name}.md" for entry in members]
        for family, members in own_methods().items()
    }


if __name__ == "__main__":
    PAGE.write_text(text())
