"""The report: self-contained HTML pages, the main one as Markdown too, and its tables and figures as files.

Every topic is a module with a function that returns a section; the main page is a list of them.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.results.folder import Results, load_results
from harness.settings.protocol import Board
from harness.tracking.tracked import Tracked
from reports.analysis import summary
from reports.drawing.picture import draw_together
from reports.methods import Description, describe
from reports.section import Block, Figures, Folded, Section
from reports.tables.markdown import escape_markdown, to_markdown
from reports.tables.table import Table
from reports.topics import (
    cells,
    collapse,
    comparison,
    costs,
    derivation,
    epochs,
    frontier,
    overview,
    protocol,
    provenance,
    ranking,
    result,
    runs,
    statistics,
    theory,
    trainings,
)
from reports.topics.variant_pages import VariantPage, variant_pages
from reports.write import VARIANTS, write_report

MAIN, MARKDOWN = "report.html", "report.md"

TOPICS = (
    overview,
    result,
    comparison,
    statistics,
    trainings,
    collapse,
    epochs,
    ranking,
    derivation,
    frontier,
    cells,
    costs,
)
"""What was found, in the order of the page: modules with a function `section(results, board, order)`."""

FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")

UNTRACKED = Tracked(store="", message="the runs were not mirrored")


def build_report(
    results: Path,
    board: Board,
    output: Path,
    tracked: Tracked = UNTRACKED,
    theory_folder: Path | None = None,
    processes: int = 0,
    described: dict[str, Description] | None = None,
) -> Path:
    """Write the report into the folder `output` and return its main page.

    It holds report.html, report.md, variants/, tables/ and figures/. The main page is the last file to appear, and an
    older report is replaced only when the new one is complete.

    Args:
        results: the look-up stage's folder.
        board: what was compared.
        output: the folder to write.
        tracked: where MLflow keeps the runs.
        theory_folder: the theory stage's folder; without it the report has no such section.
        processes: how many draw beside this one; 0: this one draws.
        described: what each method says of itself, where others than those installed here know that.

    Raises:
        UserError: the results or the theory are missing or damaged, or `output` cannot be written.
    """
    loaded = load_results(results)
    order = [str(variant) for variant in summary.comparison(loaded).index]
    methods = {name: described[name] if described else describe(board, name) for name in order}
    sections = [
        *_results_sections(loaded, board, order),
        *([section] if theory_folder and (section := theory.section(theory_folder)) else []),
        *_source_sections(loaded, board, list(methods.values()), tracked),
    ]
    pages = variant_pages(loaded, board, methods, tracked)
    shown = [*sections, *(section for page in pages for section in page.sections)]
    blocks = list(blocks_of(block for section in shown for block in section.blocks))
    shown_tables = [block for block in blocks if isinstance(block, Table)]
    pictures = [picture for block in blocks if isinstance(block, Figures) for _, picture in block.pictures]
    _check_keys(sections)
    _check_names("table", [table.name for table in shown_tables])
    _check_names("picture", [picture.name for picture in pictures])
    draw_together(pictures, processes)
    texts = _render(board, loaded, sections, pages)
    write_report(output, texts, shown_tables, pictures)
    return output / MAIN


def _results_sections(results: Results, board: Board, order: list[str]) -> list[Section]:
    """Return what was found."""
    found = [topic.section(results, board, order) for topic in TOPICS]
    return [section for section in found if section is not None]


def _source_sections(results: Results, board: Board, methods: list[Description], tracked: Tracked) -> list[Section]:
    """Return what it was made from."""
    return [
        runs.section(results, tracked),
        protocol.section(results, board, methods),
        provenance.section(results),
    ]


def blocks_of(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield blocks and what is folded in them."""
    for block in blocks:
        yield block
        if isinstance(block, Folded):
            yield from blocks_of(block.blocks)


def _check_names(kind: str, names: list[str]) -> None:
    """Raise ValueError unless every name is a file name of its own, on file systems that ignore case too."""
    for name, count in Counter(name.lower() for name in names).items():
        if count > 1:
            raise ValueError(f"{count} {kind}s of the report are named {name!r}: each needs a file name of its own")
    for name in names:
        if not FILE_NAME.fullmatch(name):
            raise ValueError(f"a {kind} of the report is named {name!r}: expected letters, digits and hyphens")


def _check_keys(sections: list[Section]) -> None:
    for key, count in Counter(section.key for section in sections).items():
        if count > 1:
            raise ValueError(f"{count} sections of the report have the key {key!r}")


def _render(board: Board, results: Results, sections: list[Section], pages: list[VariantPage]) -> dict[str, str]:
    """Return the text of every page by its path; the main page comes last."""
    environment = _environment()
    protocol = str(results.provenance.get("protocol", board.protocol))
    links = {page.variant: f"{VARIANTS}/{page.slug}.html" for page in pages}
    beside = {page.variant: f"{page.slug}.html" for page in pages}
    template = environment.get_template("page.html.jinja")
    texts = {}
    for page in pages:
        title, back = f"Dartsboard: {page.variant}", f"../{MAIN}"
        others = {name: address for name, address in beside.items() if name != page.variant}
        content: dict[str, Any] = {
            "title": title,
            "heading": page.variant,
            "lead": page.summary,
            "back": back,
            "links": others,
        }
        texts[links[page.variant]] = template.render(**content, sections=page.sections, tabs=_most_tabs(page.sections))
    main: dict[str, Any] = {"title": f"Dartsboard: {protocol}", "sections": sections, "links": links}
    texts[MARKDOWN] = environment.get_template("page.md.jinja").render(**main)
    texts[MAIN] = template.render(**main, heading="", lead="", back="", tabs=_most_tabs(sections))
    return texts


def _most_tabs(sections: list[Section]) -> int:
    blocks = blocks_of(block for section in sections for block in section.blocks)
    return max((len(block.pictures) for block in blocks if isinstance(block, Figures)), default=0)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "kind": lambda block: type(block).__name__,
        "markdown": escape_markdown,
        "markdown_table": to_markdown,
    }
    return environment
