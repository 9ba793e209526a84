"""What the documentation site needs beyond its tools.

The README is its home page, files outside docs/ that a page links to become pages, and formulas are set as MathML.
Links in the Markdown files stay those of the repository, so that they work where it is hosted too.
"""

import html
import posixpath
import re
from pathlib import Path

from math_core import LatexToMathML
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS, REPOSITORY = "docs/", "repository/"
"""Where pages lie in the repository, and where the rest of the repository lies on the site."""
README, HOME = "README.md", "index.md"
PICTURE = ".png"

LINK = re.compile(r"\]\(([^)#:\s]+)")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)

to_mathml = LatexToMathML()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the home page, and every file outside docs/ that a page links to."""
    files.append(File.generated(config, HOME, content=(ROOT / README).read_text()))
    waiting = list(files.documentation_pages())
    while waiting:
        page = waiting.pop()
        for link in LINK.findall(page.content_string):
            path = _in_repository(page, link)
            if path is not None and files.get_file_from_path(_on_site(path)) is None:
                added = File.generated(
                    config, _on_site(path), content=_content(path), inclusion=InclusionLevel.NOT_IN_NAV
                )
                files.append(added)
                if added.is_documentation_page():
                    waiting.append(added)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links between files of the repository lead from page to page."""

    def from_page(link: re.Match[str]) -> str:
        path = _in_repository(page.file, link[1])
        if path is None:
            return link[0]
        return f"]({posixpath.relpath(_on_site(path), posixpath.dirname(page.file.src_uri) or '.')}"

    return LINK.sub(from_page, markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Set each formula; one that cannot be set ends the build."""
    return FORMULA.sub(lambda found: _set(found[2], block=found[1] == "div"), content)


def _set(formula: str, block: bool) -> str:
    return to_mathml.convert_with_local_state(html.unescape(formula), displaystyle=block)


def _in_repository(page: File, link: str) -> str | None:
    """Return the path in the repository of the file that a link of a page leads to; None if there is no such file."""
    path = page.src_uri.removeprefix(REPOSITORY)
    if path == HOME:
        path = README
    elif path == page.src_uri:
        path = DOCS + path
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
    return target if not target.startswith("../") and (ROOT / target).is_file() else None


def _on_site(path: str) -> str:
    """Return where a file of the repository stands on the site."""
    if path == README:
        return HOME
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    return REPOSITORY + (path if path.endswith((".md", PICTURE)) else f"{path}.md")


def _content(path: str) -> str | bytes:
    if path.endswith(PICTURE):
        return (ROOT / path).read_bytes()
    text = (ROOT / path).read_text()
    return text if path.endswith(".md") else f"# {path}\n\n````{Path(path).suffix[1:]}\n{text}\n````\n"
