"""The version of the code that a run depends on: a hash of the project's files that its method can reach.

Only imports are followed, never executed, so this is quick and needs no torch. A name that a method takes from the
public door is followed to the file that it comes from: what else the door offers is no part of the method. A board that
lies outside the project has methods in its own folder `variants`; they count as those of the project do.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OWN = "variants"
PACKAGES = ("harness", OWN)
DOOR = "harness.api"
SEARCH_ENTRIES = (ROOT / "harness" / "search" / "loop.py", ROOT / "harness" / "search" / "derivation_study.py")
BASELINE_ENTRIES = (ROOT / "harness" / "search" / "baseline.py",)

SAME_RESULTS = {
    "harness/images/batches.py": (
        "fa2fa6a5429d225f50c2795f5f7d6b4281bc3c53e067f802d4bcfc9931c8ad10",
        # Methods that ask about all images of a half got them in the order of files; their own files changed with it.
        "9dc28b936301264756332c07fb0b7dbf37a199fd96ce6d8aa57b4b4de8adb48b",
    ),
    "harness/search/derivation_study.py": (
        "576a28b697d2eca65dd6110fe5353b3698514f43382361d275b9617f9769858c",
        # An exception: of its rules, two did so where `derivation.images` is null. Their cells stay as they were found;
        # what the search itself found is the same.
        "f079c55fa8ba13e31b53a469f8d77a32a664635db77ec8a6133e37a405941ab6",
    ),
    "harness/networks/compiled.py": (
        "a2a9a283aba1e3a5037c2f2ef0c249b362de353d90d00852f9f9e66edde82962",
        # Before, a search ended with an error at its first compiled cell whose edges were all `none`; and in bfloat16
        # dropout of skip connections was compiled, wrongly on CPUs. The file of the method that has it changed too.
        "f7ad041fb3878452df0323f08a3d8940905e69e9fe31271af3e43971c16ae9e4",
    ),
}
"""Files that were changed without a change of what searches find: the SHA-256 of each, and of before, which counts.

So a mended error does not make weeks of finished runs stale. A file stands here only where every search that had come
to its end before comes to the same end now, bit by bit, but for exceptions that are named here and for methods whose
own file changed with it: their runs are stale. Runs that failed by the error are not, and `dartsboard search` makes
them again; one that diverged by it counts as finished, so that its method's own file has to change.
"""


def code_hash(*entries: Path) -> str:
    """Return the SHA-256 of these files and of all project files they import, directly or not; see `SAME_RESULTS`."""
    digest = hashlib.sha256()
    for label, content in sorted(reached_files(*entries).items()):
        found = hashlib.sha256(content).hexdigest()
        now, before = SAME_RESULTS.get(label, (found, found))
        digest.update(f"{label}\0{before if found == now else found}\n".encode())
    return digest.hexdigest()


def reached_files(*entries: Path) -> dict[str, bytes]:
    """Return the content of these files and of all project files they import, by their path in the project."""
    reached: dict[str, bytes] = {}
    here = Path.cwd().resolve()
    waiting = list(entries)
    while waiting:
        path = waiting.pop()
        label = _label(path, here)
        if label in reached:
            continue
        reached[label] = path.read_bytes()
        waiting.extend(_files(_imported_modules(reached[label], ".".join(Path(label).parent.parts)), here))
    return reached


def _label(path: Path, here: Path) -> str:
    for root, folder in ((ROOT, ROOT), (here, here / OWN)):
        if path.is_relative_to(folder):
            return str(path.relative_to(root))
    return path.name


def _files(modules: Iterable[str], here: Path) -> list[Path]:
    found = []
    for module in modules:
        roots = [ROOT, *([here] if module.startswith(f"{OWN}.") else [])]
        candidates = [root.joinpath(*module.split(".")).with_suffix(".py") for root in roots]
        found += [path for path in candidates if path.is_file()][:1]
    return found


@cache  # most files are reached by every method
def _imported_modules(source: bytes, package: str) -> tuple[str, ...]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _imported_from(node, package)
            origins = _behind_the_door() if module == DOOR else {}
            for alias in node.names:
                names |= {origins[alias.name]} if alias.name in origins else {module, f"{module}.{alias.name}"}
    return tuple(name for name in names if name.split(".")[0] in PACKAGES)


def _imported_from(node: ast.ImportFrom, package: str) -> str:
    """Return the full name of the module that an import in a module of a package takes names from."""
    above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
    return ".".join([*above, *([node.module] if node.module else [])])


def _behind_the_door() -> dict[str, str]:
    """Return the module of each name that the public door offers."""
    (path,) = _files([DOOR], ROOT)
    found: dict[str, str] = {}
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {alias.asname or alias.name: node.module for alias in node.names}
    return found
