"""A large pickle read piece by piece, in memory that does not grow with the file.

An unpickler remembers every object that it builds, because any later part may refer to it: loading a file as a whole
needs several times its size. Here the file is cut instead. The items of a dictionary that lie `CUT_DEPTH` marks deep,
as those of each dictionary in a dictionary in a dictionary do, become a small pickle of their own, a piece, which the
C unpickler reads and forgets. The little that remains is the outline, a pickle too, in which a `Placeholder` stands for
each piece.

Pieces are found by reading every token of the file with a regular expression. Each piece numbers its own objects anew.
An object that a piece shares with an earlier part is fetched from there once, and kept.
"""

import re
import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.base.errors import UserError
from harness.untrusted.memory_limit import memory_limited
from harness.untrusted.restricted_pickle import Allowed, RestrictedUnpickler, told_in_one_sentence
from harness.untrusted.torch_file import Section

CUT_DEPTH = 3
LARGEST_PIECE = 64 * 2**20
"""Bytes; those of the benchmark have 0.4 million."""
LARGEST_OUTLINE = 64 * 2**20
MOST_SHARED = 200_000

# Opcodes of the pickle protocols 2 and 3, see the standard library's pickletools. First those that cut or number.
_MARK, _STOP = b"(", b"."
_ITEMS, _CLOSERS = b"u", (b"u", b"e", b"t")  # a mark ends with the items of a dictionary, of a list, or of a tuple
_PUT, _LONG_PUT, _GET, _LONG_GET = b"q", b"r", b"h", b"j"
_ARGUMENT_BYTES = {b"K": 1, b"M": 2, b"J": 4, b"G": 8, b"\x80": 1} | dict.fromkeys(
    [b"}", b"]", b")", b"N", b"\x88", b"\x89", b"s", b"a", b"R", b"b", b"Q", b"\x81", b"\x85", b"\x86", b"\x87"], 0
)
_COUNT_BYTES = {b"X": 4, b"T": 4, b"U": 1, b"B": 4, b"C": 1, b"\x8a": 1, b"\x8b": 4}  # length first, then as many bytes
_GLOBAL = b"c"
_LONG_NUMBERS = 256  # smaller memo numbers take one byte
_LONGEST_GLOBAL = 1000

# The pattern reads texts up to this length; the first few are by far the most frequent.
_TEXT_LENGTHS = (*range(8, 15), *range(8), *range(15, 128))


def _alternatives(parts: list[bytes]) -> bytes:
    return b"(?:" + b"|".join(parts) + b")"


_PLAIN = _alternatives(
    [
        b"G.{8}",
        b"X" + _alternatives([re.escape(length.to_bytes(4, "little")) + b"." * length for length in _TEXT_LENGTHS]),
        b"K.G.{8}",  # a curve, {epoch: value}
        rb"c[^\n]{0,99}\n[^\n]{0,99}\n",
        *(re.escape(opcode) + b"." * size for opcode, size in _ARGUMENT_BYTES.items()),
    ]
).replace(b".{8}", b"." * 8)
# A bound, because a matcher that may go back keeps every repetition in memory. (A possessive quantifier would not, but
# Python 3.11.2, that of Debian 12, gets it wrong.)
_MANY = b"{0,1000}"
_PLAINS = re.compile(_PLAIN + _MANY, re.DOTALL)
# One token that cuts or numbers, and the plain ones that follow it. Typed so for its method scanner: it gives match
# after match, each where the one before ended, which finditer does not promise.
_STRETCH: Any = re.compile(b"(?:[rj]....|[qh].|[(uet])" + _PLAIN + _MANY, re.DOTALL)


@dataclass(frozen=True)
class Placeholder:
    """The key that stands in a dictionary of the outline for the items that are the piece of this number."""

    number: int


class Piece(NamedTuple):
    """A part of a pickle, which can be loaded anywhere: it may travel to another process."""

    data: bytes
    shared: list[Any]
    """The objects of earlier parts that it refers to."""


class _Home(NamedTuple):
    # A piece whose objects others may refer to: its first and last memo number, and its bytes in the section.
    first: int
    last: int
    start: int
    end: int


class _Tokens(NamedTuple):
    # The tokens of a stretch of bytes that cut or number.
    positions: NDArray[np.int64]
    opcodes: NDArray[np.uint8]
    numbers: NDArray[np.int64]  # what puts and gets carry, 0 for the others

    def part(self, first: int, last: int, origin: int) -> "_Tokens":
        return _Tokens(self.positions[first:last] - origin, self.opcodes[first:last], self.numbers[first:last])

    def which(self, *opcodes: bytes) -> NDArray[np.bool_]:
        return np.logical_or.reduce([self.opcodes == ord(opcode) for opcode in opcodes])

    def held(self) -> NDArray[np.int64]:
        # The memo numbers of the objects that the stretch makes.
        return self.numbers[self.which(_PUT, _LONG_PUT)]


def load_piece(piece: Piece, allowed: Allowed, where: str) -> Any:
    """Unpickle a piece; tensors in it become None.

    Raises:
        UserError: it names something outside `allowed`, or is damaged.
    """
    with told_in_one_sentence(where), memory_limited(len(piece.data)):
        return _PieceUnpickler(piece, allowed).load()


class _PieceUnpickler(RestrictedUnpickler):
    def __init__(self, piece: Piece, allowed: Allowed) -> None:
        super().__init__(piece.data, allowed)
        self._shared = piece.shared

    def persistent_load(self, key: Any) -> Any:
        match key:
            case int():
                return self._shared[key]
            case (int() as number,):
                return Placeholder(number)
            case _:
                return None  # the storage of a tensor, which lies elsewhere in the file


class SplitPickle:
    """The pieces of a pickle, and after the last of them its outline."""

    def __init__(self, section: Section, allowed: Allowed, where: str) -> None:
        self._section = section
        self._allowed = allowed
        self._where = where
        self._outline: list[bytes] = []
        self._outline_size = 0
        self._outline_tokens: list[_Tokens] = []
        self._count = 0
        self._homes: list[_Home] = []
        self._last_number = -1
        self._shared: dict[int, Any] = {}

    def pieces(self) -> Iterator[Piece]:
        """Give the pieces in the order of the file, numbered from 0.

        Raises:
            UserError: the pickle is damaged, of another protocol, or has parts that are too large.
        """
        with told_in_one_sentence(self._where):
            yield from self._pieces()

    def outline(self) -> Any:
        """Return the whole object, with a `Placeholder` for each piece.

        Raises:
            UserError: it names something that is not allowed, or is damaged.
        """
        with told_in_one_sentence(self._where):
            piece = self._outline_piece(end=b"")
            with memory_limited(len(piece.data)):
                return _PieceUnpickler(piece, self._allowed).load()

    def _pieces(self) -> Iterator[Piece]:
        if self._section.read(0, 2) not in (b"\x80\x02", b"\x80\x03"):
            raise UserError("it is no pickle of protocol 2 or 3")
        buffer, origin, depth = b"", 0, 0
        for chunk in self._section.chunks():
            buffer += chunk
            tokens, reached = _read_tokens(buffer)
            steps = tokens.which(_MARK).astype(np.int64) - tokens.which(*_CLOSERS)
            depths = depth + steps.cumsum()
            opening = np.flatnonzero((depths == CUT_DEPTH) & (steps > 0))
            closing = np.flatnonzero((depths == CUT_DEPTH - 1) & (steps < 0))
            # What follows a start without an end waits for more bytes.
            done = len(depths) if len(opening) == len(closing) else int(opening[-1])
            used = int(tokens.positions[done]) if done < len(depths) else reached
            yield from self._cut(buffer[:used], origin, tokens.part(0, done, 0), zip(opening, closing, strict=False))
            if buffer[reached : reached + 1] == _STOP and used == reached:
                return
            if len(buffer) - used > LARGEST_PIECE:
                raise UserError(f"one of its parts has more than {LARGEST_PIECE:,} bytes")
            depth = int(depths[done - 1]) if done else depth
            buffer, origin = buffer[used:], origin + used
        raise UserError("it ends too early")

    def _cut(
        self, buffer: bytes, origin: int, tokens: _Tokens, marks: Iterable[tuple[np.intp, np.intp]]
    ) -> Iterator[Piece]:
        # The pieces between these marks, each the places of two tokens. All else goes to the outline.
        self._check_numbers(tokens)
        token, position = 0, 0
        for first, last in marks:
            if tokens.opcodes[last] == ord(_ITEMS):
                start, end = int(tokens.positions[first]), int(tokens.positions[last]) + 1
                self._add_to_outline(buffer[position:start], tokens.part(token, int(first), position))
                self._add_to_outline(self._stand_in(), tokens.part(0, 0, 0))
                yield self._piece(buffer[start:end], tokens.part(int(first), int(last) + 1, start), origin + start)
                token, position = int(last) + 1, end
        self._add_to_outline(buffer[position:], tokens.part(token, len(tokens.positions), position))

    def _check_numbers(self, tokens: _Tokens) -> None:
        numbers = tokens.held()
        if np.any(np.diff(numbers, prepend=self._last_number) <= 0):
            raise UserError("its objects are not numbered in their order")
        self._last_number = int(numbers[-1]) if len(numbers) else self._last_number

    def _add_to_outline(self, body: bytes, tokens: _Tokens) -> None:
        if len(tokens.positions):
            # Copies: a view would keep the tokens of all that was read with it.
            self._outline_tokens.append(
                _Tokens(tokens.positions + self._outline_size, tokens.opcodes.copy(), tokens.numbers.copy())
            )
        self._outline.append(body)
        self._outline_size += len(body)
        if self._outline_size > LARGEST_OUTLINE:
            raise UserError(f"more than {LARGEST_OUTLINE:,} of its bytes lie outside the cells")

    def _stand_in(self) -> bytes:
        # Items whose key is what persistent_load gives for a tuple of the piece's number, and whose value is None.
        return _MARK + b"J" + struct.pack("<i", self._count) + b"\x85QN" + _ITEMS

    def _piece(self, body: bytes, tokens: _Tokens, start: int) -> Piece:
        self._count += 1
        held = tokens.held()
        if len(held):
            self._homes.append(_Home(int(held[0]), int(held[-1]), start, start + len(body)))
        return self._standing_alone(b"}", body, tokens)

    def _outline_piece(self, end: bytes) -> Piece:
        return self._standing_alone(b"", b"".join(self._outline) + end, self._tokens_of_outline())

    def _tokens_of_outline(self) -> _Tokens:
        nothing = _Tokens(np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.int64))
        return _Tokens(*map(np.concatenate, zip(nothing, *self._outline_tokens, strict=True)))

    def _standing_alone(self, opener: bytes, body: bytes, tokens: _Tokens) -> Piece:
        body, foreign, slots = _renumbered(body, tokens)
        prelude = b"".join(
            b"J" + struct.pack("<i", place) + b"Qr" + struct.pack("<I", slot) + b"0" for place, slot in enumerate(slots)
        )
        return Piece(b"\x80\x03" + prelude + opener + body + _STOP, self._fetch(foreign))

    def _fetch(self, numbers: list[int]) -> list[Any]:
        # The objects of earlier parts, by their memo numbers.
        missing = [number for number in numbers if number not in self._shared]
        for home, group in groupby(missing, self._home):
            self._shared |= self._objects_of(home, list(group))
        if len(self._shared) > MOST_SHARED:
            raise UserError(f"its parts share more than {MOST_SHARED:,} objects")
        return [self._shared[number] for number in numbers]

    def _home(self, number: int) -> _Home | None:
        # The piece that holds the object of this memo number; None: the outline.
        place = bisect_right(self._homes, number, key=lambda home: home.first) - 1
        return self._homes[place] if place >= 0 and number <= self._homes[place].last else None

    def _objects_of(self, home: _Home | None, numbers: list[int]) -> dict[int, Any]:
        if home is None:
            piece = self._outline_piece(end=b"N")
            held = self._tokens_of_outline().held()
        else:
            body = self._section.read(home.start, home.end)
            tokens, _ = _read_tokens(body)
            piece = self._standing_alone(b"}", body, tokens)
            held = tokens.held()
        unpickler = _PieceUnpickler(piece, self._allowed)
        with memory_limited(len(piece.data)):
            unpickler.load()
        memo = unpickler.memo.copy()
        slots = _slots(np.array(numbers), np.searchsorted(held, numbers))
        return {number: memo[slot] for number, slot in zip(numbers, slots.tolist(), strict=True)}


def memo_positions(body: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where a part of a pickle, of whole tokens, states memo numbers of four bytes, and these numbers."""
    tokens, _ = _read_tokens(body)
    long = tokens.which(_LONG_PUT, _LONG_GET)
    return tokens.positions[long] + 1, tokens.numbers[long]


def _read_tokens(buffer: bytes) -> tuple[_Tokens, int]:
    # The tokens that cut or number, and where reading ended: at the stop, or at a token that `buffer` has no whole of.
    starts = [_end_of_plains(buffer, 0)]
    while True:
        starts += [stretch.end() for stretch in iter(_STRETCH.scanner(buffer, starts[-1]).match, None)]
        end = _end_of_plains(buffer, starts[-1])  # of a stretch with more plain ones than the pattern takes
        if end == starts[-1]:
            rare = _rare_token_end(buffer, end)
            if rare is None:
                break
            end = _end_of_plains(buffer, rare)
        starts[-1] = end
    reached = starts.pop()
    content = np.frombuffer(buffer, np.uint8)
    positions = np.array(starts, np.int64)
    tokens = _Tokens(positions, content[positions], np.zeros(len(starts), np.int64))
    for opcodes, size in (((_PUT, _GET), 1), ((_LONG_PUT, _LONG_GET), 4)):
        chosen = tokens.which(*opcodes)
        tokens.numbers[chosen] = _integers(content, positions[chosen] + 1, size)
    return tokens, reached


def _end_of_plains(buffer: bytes, start: int) -> int:
    while (plains := _PLAINS.match(buffer, start)) and plains.end() > start:
        start = plains.end()
    return start


def _rare_token_end(buffer: bytes, start: int) -> int | None:
    # Where a token ends that the pattern does not read; None: it is the stop, or the buffer has no whole token.
    opcode = buffer[start : start + 1]
    if opcode in _COUNT_BYTES:
        count = buffer[start + 1 : start + 1 + _COUNT_BYTES[opcode]]
        end = start + 1 + _COUNT_BYTES[opcode] + int.from_bytes(count, "little")
        return end if end <= len(buffer) else None
    if opcode == _GLOBAL and len(buffer) - start > _LONGEST_GLOBAL:
        raise UserError("it holds a name that is too long")
    known = (b"", _STOP, _MARK, _PUT, _LONG_PUT, _GET, _LONG_GET, _GLOBAL, *_CLOSERS, *_ARGUMENT_BYTES)
    if opcode not in known:
        raise UserError("it holds what no pickle of protocol 2 or 3 holds")
    return None


def _integers(content: NDArray[np.uint8], positions: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    return np.sum([content[positions + byte].astype(np.int64) << 8 * byte for byte in range(size)], axis=0)


def _renumbered(body: bytes, tokens: _Tokens) -> tuple[bytes, list[int], list[int]]:
    # The body with memo numbers that count its own objects; the numbers in the file that it takes from elsewhere, and
    # the numbers under which the body expects these.
    puts, gets = tokens.which(_PUT, _LONG_PUT), tokens.which(_GET, _LONG_GET)
    held, wanted = tokens.numbers[puts], tokens.numbers[gets]
    places = np.searchsorted(held, wanted)
    own = np.append(held, -1)[places] == wanted
    foreign = np.unique(wanted[~own])
    slots = np.zeros_like(tokens.numbers)
    slots[puts] = _slots(held, np.arange(len(held)))
    slots[gets] = _slots(wanted, np.where(own, places, len(held) + np.searchsorted(foreign, wanted)))
    long = tokens.which(_LONG_PUT, _LONG_GET)
    content = np.frombuffer(bytearray(body), np.uint8)
    for byte in range(4):
        content[tokens.positions[long] + 1 + byte] = slots[long] >> 8 * byte & 255
    return content.tobytes(), foreign.tolist(), _slots(foreign, len(held) + np.arange(len(foreign))).tolist()


def _slots(numbers: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    # Memo numbers within a part, by those in the file. The short opcodes have no room for another than their own.
    return np.where(numbers < _LONG_NUMBERS, numbers, _LONG_NUMBERS + places)
