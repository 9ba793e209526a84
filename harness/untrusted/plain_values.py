"""What the names of numpy stand for in a pickle from outside: small functions, and inert objects of our own.

numpy's own types and arrays take state from a pickle, and believe it: a type may be told that it holds no objects while
it does, and bytes of the file are then taken for pointers. So nothing of numpy is built by a pickle. What stands here
accepts exactly what real files hold, a type of a fixed list and a flat buffer of it, and refuses all else.
"""

import math
from typing import Any, NoReturn

import numpy as np

from harness.base.errors import UserError
from harness.untrusted.restricted_pickle import stand_in

PLAIN_TYPES = ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
MOST_DIMENSIONS = 4

ARRAY_TYPE = object()
"""What `numpy.ndarray` stands for: it can be named, and nothing else."""


class PlainType:
    """A type of the list, little-endian. A pickle's state of it may repeat what a plain type has, nothing else."""

    __slots__ = ("dtype", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.dtype = np.dtype(f"<{name}")

    def __reduce__(self) -> tuple[type["PlainType"], tuple[str]]:
        """Travel to another process without a state."""
        return PlainType, (self.name,)

    def __setstate__(self, state: Any) -> None:
        match state:
            case (3 | 4, "<" | "|" | "=", None, None, None, -1, -1, 0):
                return
        _refuse("a type with a state that a plain one does not have")


class PlainArray:
    """An array of a plain type; `values` is None until its state comes."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        match state:
            case (1, tuple(shape), PlainType() as kind, bool(by_columns), bytes() | bytearray() | str() as data):
                content = data.encode("latin1") if isinstance(data, str) else bytes(data)
                self.values = _array(content, kind, shape, "F" if by_columns else "C")
            case _:
                _refuse("an array whose state is not that of a plain one")


@stand_in
def plain_type(name: Any, align: Any = False, copy: Any = True) -> PlainType:
    """Stand for `numpy.dtype`.

    Raises:
        UserError: the type is none of the list.
    """
    if not (isinstance(name, str) and name in PLAIN_TYPES and align in (False, 0) and copy in (True, 1)):
        _refuse("a type other than plain numbers")
    return PlainType(name)


@stand_in
def plain_scalar(kind: Any, data: Any) -> np.generic:
    """Stand for numpy's function that makes one number of its bytes.

    Raises:
        UserError: the type is no plain one, or the bytes are not those of one number.
    """
    if not (isinstance(kind, PlainType) and isinstance(data, bytes) and len(data) == kind.dtype.itemsize):
        _refuse("a number that is none")
    value: np.generic = np.frombuffer(data, kind.dtype)[0]
    return value


@stand_in
def plain_reconstruct(array_type: Any, shape: Any, code: Any) -> PlainArray:
    """Stand for numpy's function that begins an array, whose state comes next.

    Raises:
        UserError: it asks for something other than an empty array.
    """
    if array_type is not ARRAY_TYPE or shape != (0,) or code not in (b"b", "b"):
        _refuse("an array of another kind")
    return PlainArray()


@stand_in
def plain_from_buffer(buffer: Any, kind: Any, shape: Any, order: Any) -> PlainArray:
    """Stand for numpy's function that makes an array of a buffer, as pickles of protocol 5 do.

    Raises:
        UserError: the type is no plain one, or the buffer has another size.
    """
    known = isinstance(buffer, bytes | bytearray) and isinstance(kind, PlainType) and isinstance(shape, tuple)
    if not known or order not in ("C", "F"):
        _refuse("an array of another kind")
    array = PlainArray()
    array.values = _array(bytes(buffer), kind, shape, order)
    return array


@stand_in
def plain_bytes(text: Any, encoding: Any) -> bytes:
    """Stand for `_codecs.encode`, by which pickles of protocol 2 hold bytes.

    Raises:
        UserError: it is no text, or another encoding.
    """
    if not isinstance(text, str) or encoding != "latin1":
        _refuse("bytes in an encoding other than latin1")
    return text.encode("latin1")


class PlainDictionary(dict[Any, Any]):
    """Stands for `collections.OrderedDict`; the attributes that a pickle would give it are ignored."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        pass


@stand_in
def plain_dictionary() -> PlainDictionary:
    """Stand for `collections.OrderedDict`, whose entries come next."""
    return PlainDictionary()


def _array(data: bytes, kind: PlainType, shape: tuple[Any, ...], order: Any) -> np.ndarray:
    counts = all(type(length) is int and length >= 0 for length in shape)
    if not counts or len(shape) > MOST_DIMENSIONS or math.prod(shape) * kind.dtype.itemsize != len(data):
        _refuse("an array whose shape is not that of its bytes")
    return np.frombuffer(data, kind.dtype).reshape(shape, order=order)


def _refuse(what: str) -> NoReturn:
    raise UserError(f"it holds {what}, which such a file never does")


NUMBERS = {
    ("numpy", "dtype"): plain_type,
    ("numpy.core.multiarray", "scalar"): plain_scalar,
    ("numpy._core.multiarray", "scalar"): plain_scalar,
    ("_codecs", "encode"): plain_bytes,
}
"""What the pickle of numpy's numbers names, under the old and the new layout of numpy."""

ARRAYS = {
    ("numpy", "ndarray"): ARRAY_TYPE,
    ("numpy", "dtype"): plain_type,
    ("numpy.core.multiarray", "_reconstruct"): plain_reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): plain_reconstruct,
    ("numpy.core.numeric", "_frombuffer"): plain_from_buffer,
    ("numpy._core.numeric", "_frombuffer"): plain_from_buffer,
    ("_codecs", "encode"): plain_bytes,
}
"""What the pickle of an array names; what it becomes is a `PlainArray`."""
