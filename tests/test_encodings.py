"""Every text that the project reads or writes says its encoding: the locale's may be another."""

import ast
from collections.abc import Iterator

from tests.conftest import ROOT

PARTS = ("harness", "variants", "pipelines", "reports", "benchmarks")


def text_operations(tree: ast.AST) -> Iterator[ast.Call]:
    """The calls that read or write text by an encoding."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_of_text(node))


def _is_of_text(node: ast.Call) -> bool:
    of_an_object = isinstance(node.func, ast.Attribute)
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in ("read_text", "write_text"):
        return of_an_object
    if name in ("run", "Popen", "check_output"):
        return any(keyword.arg == "text" for keyword in node.keywords)
    if name != "open" or any("b" in mode for mode in _modes(node)):
        return False
    return not of_an_object or bool(_modes(node)) or not node.args


def _modes(node: ast.Call) -> list[str]:
    values = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
    return [value for value in values if isinstance(value, str) and set(value) <= set("rwabx+t")]


def test_each_says_its_encoding() -> None:
    silent = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for part in PARTS
        for path in sorted((ROOT / part).rglob("*.py"))
        for call in text_operations(ast.parse(path.read_text(encoding="utf-8")))
        if not any(keyword.arg == "encoding" for keyword in call.keywords)
    ]
    assert not silent


def test_one_that_does_not_is_seen() -> None:
    tree = ast.parse("Path('x').read_text()\nopen('x', 'w')\npath.open('a+')\npath.open()\nrun(['x'], text=True)")
    assert len(list(text_operations(tree))) == 5
    assert not list(
        text_operations(ast.parse("path.open('rb')\nopen('x', 'wb')\nread_text(path)\nZipFile.open(entry)"))
    )
