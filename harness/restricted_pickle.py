"""Unpickling that runs no code: only the names on a short list can be built."""

import gc
import io
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from harness.errors import UserError

Allowed = Mapping[tuple[str, str], Any]
"""(module, name) as the pickle spells it, and the object that it stands for."""


class _RestrictedUnpickler(pickle.Unpickler):
    def __init__(self, data: bytes, allowed: Allowed, encoding: str) -> None:
        super().__init__(io.BytesIO(data), encoding=encoding)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._allowed:
            raise UserError(f"it names {module}.{name}, which such a file never holds")
        return self._allowed[module, name]


def load_restricted(data: bytes, allowed: Allowed, where: str, encoding: str = "ASCII") -> Any:
    """Unpickle `data`; every global name outside `allowed` is refused before anything is called.

    `encoding` is that of the byte strings of Python 2; `latin1` where they hold arrays.

    Raises:
        UserError: a name is refused, or `data` is truncated or no pickle.
    """
    try:
        return _RestrictedUnpickler(data, allowed, encoding).load()
    except UserError as error:
        raise UserError(f"{where} is damaged or of another kind: {error}") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise UserError(f"{where} is damaged or of another kind: it is no complete pickle") from error


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the cyclic garbage collector, which walks the millions of new objects again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
