"""Unpickling that runs no code: only the names on a short list can be built."""

import io
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from harness.base.errors import UserError
from harness.untrusted.memory_limit import memory_limited

Allowed = Mapping[tuple[str, str], Any]
"""(module, name) as the pickle spells it, and the object that it stands for."""


Function = TypeVar("Function", bound=Callable[..., Any])


def stand_in(function: Function) -> Function:
    """Let a pickle call this function, but give it no state: attributes and defaults would last for the next file."""
    vars(function)["__setstate__"] = _refuse_state
    return function


def _refuse_state(state: object) -> NoReturn:
    raise UserError("it holds a state for a function, which such a file never does")


class RestrictedUnpickler(pickle.Unpickler):
    """Refuses every global name outside `allowed` with a UserError, before anything is called."""

    def __init__(self, data: bytes | io.BytesIO, allowed: Allowed, encoding: str = "ASCII") -> None:
        super().__init__(io.BytesIO(data) if isinstance(data, bytes) else data, encoding=encoding)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        """Return what the list has under this name."""
        if (module, name) not in self._allowed:
            raise UserError(f"it names {module}.{name}, which such a file never holds")
        return self._allowed[module, name]


@contextmanager
def told_in_one_sentence(where: str) -> Iterator[None]:
    """Turn whatever a damaged pickle raises into one UserError that says where it is."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where} is damaged or of another kind: {error}") from None
    except MemoryError:
        raise UserError(f"{where} is damaged or of another kind: it claims far more than it holds") from None
    except Exception as error:
        raise UserError(f"{where} is damaged or of another kind: it is no complete pickle") from error


def load_restricted(data: bytes, allowed: Allowed, where: str, encoding: str = "ASCII") -> Any:
    """Unpickle `data`; every global name outside `allowed` is refused before anything is called.

    `encoding` is that of the byte strings of Python 2; `latin1` where they hold arrays.

    Raises:
        UserError: a name is refused, or `data` is truncated or no pickle.
    """
    with told_in_one_sentence(where), memory_limited(len(data)):
        return RestrictedUnpickler(data, allowed, encoding).load()
