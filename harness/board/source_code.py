"""The version of the code that a run depends on: a hash of the project's files that its method can reach.

Only imports are followed, never executed, so this is quick and needs no torch. A name that a method takes from the
public door is followed to the file that it comes from: what else the door offers is no part of the method.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("harness", "variants")
DOOR = "harness.api"
SEARCH_ENTRIES = (ROOT / "harness" / "search" / "loop.py", ROOT / "harness" / "search" / "derivation_study.py")
BASELINE_ENTRIES = (ROOT / "harness" / "search" / "baseline.py",)


def code_hash(*entries: Path) -> str:
    """Return the SHA-256 of these files and of all project files they import, directly or not."""
    digest = hashlib.sha256()
    for label, content in sorted(reached_files(*entries).items()):
        digest.update(f"{label}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def reached_files(*entries: Path) -> dict[str, bytes]:
    """Return the content of these files and of all project files they import, by their path in the project."""
    reached: dict[str, bytes] = {}
    waiting = list(entries)
    while waiting:
        path = waiting.pop()
        label = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
        if label in reached:
            continue
        reached[label] = path.read_bytes()
        waiting.extend(_files(_imported_modules(reached[label])))
    return reached


def _files(modules: Iterable[str]) -> list[Path]:
    candidates = [ROOT.joinpath(*module.split(".")).with_suffix(".py") for module in modules]
    return [path for path in candidates if path.is_file()]


@cache  # most files are reached by every method
def _imported_modules(source: bytes) -> tuple[str, ...]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            origins = _behind_the_door() if node.module == DOOR else {}
            for alias in node.names:
                names |= (
                    {origins[alias.name]} if alias.name in origins else {node.module, f"{node.module}.{alias.name}"}
                )
    return tuple(name for name in names if name.split(".")[0] in PACKAGES)


def _behind_the_door() -> dict[str, str]:
    """Return the module of each name that the public door offers."""
    (path,) = _files([DOOR])
    found: dict[str, str] = {}
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {alias.asname or alias.name: node.module for alias in node.names}
    return found
