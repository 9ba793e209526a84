"""Schema versions of the files that outlive a program."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.base.errors import UserError, quoted


def check_version(path: Path, version: Any, readable: Sequence[int], again: str) -> None:
    """Check that this program reads the schema version of a file; `again` says how to make the file anew.

    Raises:
        UserError: it does not.
    """
    if type(version) is int and version in readable:
        return
    known = " or ".join(map(str, readable))
    if type(version) is int and version > max(readable):
        raise UserError(
            f"{path} was written by a newer Dartsboard (schema version {quoted(version)}, this one reads {known}): "
            f"update Dartsboard, or {again}"
        )
    raise UserError(f"{path} has schema version {quoted(version)}, expected {known}: {again}")
