"""The methods of a board as the last look at its runs found them, so that the next one needs no PyTorch.

A method has to be loaded to check its settings and to know their defaults, which takes seconds. What was found holds as
long as params.yaml, the project's code, Python and PyTorch are the same. Methods of one's own or of other packages may
reach code that nobody knows of, so a board that can name some is looked at anew each time. It is for showing only:
what makes, publishes or removes runs asks the methods themselves.
"""

import hashlib
import json
import pkgutil
import platform
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any

from harness.base.errors import UserError
from harness.base.files import STATE, read_text, whole_file
from harness.base.source_tree import ENTRY_POINT_GROUP, is_own_board
from harness.board.identity import Method
from harness.board.stage_code import OF_METHODS, stage_version
from harness.settings.protocol import Board
from harness.settings.validation import content_hash

KNOWN_METHODS = STATE / "known-methods.json"


def known_methods(board: Board) -> dict[str, Method]:
    """Return the methods that the board names, by name, after all checks of the board's names and settings.

    Raises:
        UserError: params.yaml names an unknown method or wrong settings.
    """
    made_from = None if _are_loaded() or _some_are_from_elsewhere() else _made_from(board)
    methods = _read(made_from) if made_from else None
    if methods is None:
        methods = _looked_at(board)
        if made_from and made_from == _made_from(board):  # the code may have changed meanwhile
            _write(made_from, methods)
    return methods


def _are_loaded() -> bool:
    """Whether this process has methods already, whose files may have changed since."""
    return "harness.search.registry" in sys.modules


def _some_are_from_elsewhere() -> bool:
    own = is_own_board() and any(pkgutil.iter_modules([str(Path.cwd() / "variants")]))
    return own or bool(entry_points(group=ENTRY_POINT_GROUP))


def _looked_at(board: Board) -> dict[str, Method]:
    from harness.board.runner import identified_methods  # imports PyTorch

    return identified_methods(board)


def _made_from(board: Board) -> str | None:
    """Return a hash of what the methods' identities depend on; None where something of it cannot be read or written."""
    try:
        # Not as JSON, in which a NaN is null and a date a text.
        parts = [repr(board), stage_version(OF_METHODS), platform.python_version(), version("torch")]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()
    except (UserError, OSError, ValueError, RecursionError, PackageNotFoundError):
        return None


def _read(made_from: str) -> dict[str, Method] | None:
    """Return what was found last; None if it was made from something else, or is damaged."""
    try:
        content: Any = json.loads(read_text(KNOWN_METHODS))
        if content["made_from"] != made_from or content["sha256"] != content_hash(content["methods"]):
            return None
        return {name: Method.model_validate(each) for name, each in content["methods"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _write(made_from: str, methods: dict[str, Method]) -> None:
    found = {name: method.model_dump() for name, method in methods.items()}
    content = {"made_from": made_from, "sha256": content_hash(found), "methods": found}
    with suppress(UserError), whole_file(KNOWN_METHODS) as staging:  # without it the next look takes longer
        staging.write_text(json.dumps(content, indent=0) + "\n", encoding="utf-8")
