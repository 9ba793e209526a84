"""Pickles that would crash numpy, hang Python or exhaust it: each is one sentence, whatever reads it."""

import bz2
import io
import os
import pickle
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.base.errors import UserError
from harness.images.sources import _imagenet16_batch
from harness.truth.nas_bench_201 import import_nas_bench_201
from harness.truth.nats_bench import import_nats_bench
from harness.untrusted.limited_reading import read_limited
from harness.untrusted.plain_values import ARRAYS, NUMBERS, PLAIN_TYPES, PlainArray
from harness.untrusted.restricted_pickle import load_restricted
from tests.harness.untrusted.readers import died_over_5, never_ends, never_ends_over_forever, raises, takes_4_gigabytes


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def of_type(name: str, flags: int = 0, byte_order: str = "|", copy: bytes = b"\x88") -> bytes:
    """`numpy.dtype(name, False, copy)` with a state."""
    state = number(3) + text(byte_order) + b"NNN" + number(-1) + number(-1) + number(flags)
    return b"cnumpy\ndtype\n" + text(name) + b"\x89" + copy + b"\x87R(" + state + b"tb"


SCALAR, RECONSTRUCT = b"cnumpy.core.multiarray\nscalar\n", b"cnumpy.core.multiarray\n_reconstruct\n"
FROM_BUFFER = b"cnumpy._core.numeric\n_frombuffer\n"
EIGHT = b"C\x08AAAAAAAA"

OBJECTS = {
    "a type of objects that says it has none": SCALAR + of_type("O8", flags=0x20) + EIGHT + b"\x86R",
    "an array of it": FROM_BUFFER + EIGHT + of_type("O8", 0x20) + number(1) + b"\x85" + text("C") + b"(" + b"0tR",
    "a plain type with flags": SCALAR + of_type("f8", flags=0x3F, byte_order="<") + EIGHT + b"\x86R",
    "a type of the other byte order": SCALAR + of_type("f8", byte_order=">") + EIGHT + b"\x86R",
    "a number without a type": SCALAR + text("f8") + EIGHT + b"\x86R",
    "a number of too few bytes": SCALAR + of_type("f8", byte_order="<") + b"C\x01A\x86R",
    "a structured type": b"cnumpy\ndtype\n" + b"](" + text("a") + text("O") + b"\x86e\x85R",
    "a type by a text of fields": b"cnumpy\ndtype\n" + text("O,f8") + b"\x85R",
    "a type of records": b"cnumpy\ndtype\n" + text("V8") + b"\x85R",
    "the class of arrays, called": b"cnumpy\nndarray\n" + number(3) + b"\x85\x85R",
    "the class of arrays, with a state": b"cnumpy\nndarray\n}" + text("shape") + number(9) + b"sb",
    "a new object of it": b"cnumpy\nndarray\n)\x81",
}

DOUBLING = b"\x80\x03})q\x00" + b"".join(b"0h%ch%c\x86q%c" % (i, i, i + 1) for i in range(60)) + b"Ns."
NESTING = b"\x80\x03})" + b"\x85" * 3_000_000 + b"Ns."
COLLIDING = pickle.dumps({index * (2**61 - 1) + 1: None for index in range(60_000)}, 3)


def as_nats(content: bytes, folder: Path) -> Callable[[], object]:
    folder.mkdir()
    (folder / "000000.pickle.pbz2").write_bytes(bz2.compress(content))
    return lambda: import_nats_bench(folder, allow_partial=True)


def as_pth(content: bytes, folder: Path) -> Callable[[], object]:
    folder.mkdir()
    buffer = io.BytesIO()
    torch.save({}, buffer, _use_new_zipfile_serialization=False)
    header = buffer.getvalue()[: -len(pickle.dumps({}, 2)) - len(pickle.dumps([], 2))]
    (folder / "bench.pth").write_bytes(header + content)
    return lambda: import_nas_bench_201(folder / "bench.pth", allow_partial=True)


def as_batch(content: bytes, folder: Path) -> Callable[[], object]:
    folder.mkdir()
    (folder / "val_data").write_bytes(content)
    return lambda: list(read_limited(_imagenet16_batch, [folder / "val_data"]))


READERS = pytest.mark.parametrize("reader", [as_nats, as_pth, as_batch])


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        read()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("what", OBJECTS)
@pytest.mark.parametrize("names", [NUMBERS, ARRAYS], ids=["numbers", "arrays"])
def test_nothing_of_numpy_is_built_by_a_pickle(what: str, names: dict[tuple[str, str], object]) -> None:
    with pytest.raises(UserError, match="is damaged or of another kind: "):
        load_restricted(b"\x80\x03}" + text("labels") + OBJECTS[what] + b"s.", names, "x")


@pytest.mark.parametrize("name", ["numpy\ndtype", "_codecs\nencode", "numpy.core.multiarray\nscalar"])
@pytest.mark.parametrize("state", [b"}" + text("x") + b"Ns", b"N}" + text("__defaults__") + b"(t" + b"s\x86"])
def test_a_function_takes_no_state_from_a_pickle(name: str, state: bytes) -> None:
    before = {str(key): vars(function) | {"defaults": function.__defaults__} for key, function in NUMBERS.items()}
    with pytest.raises(UserError, match="it holds a state for a function"):
        load_restricted(b"\x80\x03c" + name.encode() + b"\n" + state + b"b.", NUMBERS, "x")
    after = {str(key): vars(function) | {"defaults": function.__defaults__} for key, function in NUMBERS.items()}
    assert after == before


@READERS
def test_the_smallest_one_that_crashed_is_a_sentence(reader: Callable, tmp_path: Path) -> None:
    content = b"\x80\x03" + OBJECTS["a type of objects that says it has none"] + b"."
    assert "is damaged or of another kind" in refusal(reader(content, tmp_path / "files"))


@READERS
@pytest.mark.parametrize("content", [DOUBLING, NESTING, COLLIDING], ids=["doubling", "nesting", "colliding"])
@pytest.mark.slow
def test_keys_that_never_end_are_a_sentence(reader: Callable, content: bytes, tmp_path: Path) -> None:
    started = time.process_time()
    assert "damaged or of another kind" in refusal(reader(content, tmp_path / "files"))
    assert time.process_time() - started < 5  # this process only waits


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("pause", [0.0, 0.1])
def test_the_file_that_a_reader_died_over_is_named(processes: int, pause: float, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}" for number in range(40)]
    for file in files:
        file.touch()
    found = read_limited(died_over_5, files, processes)
    for number in range(5):
        assert next(found) == str(number)
        time.sleep(pause)  # the reader dies while others still wait for it
    message = refusal(lambda: next(found))
    assert message.startswith(f"{files[5]} is damaged or of another kind: reading it took more time or memory than")


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(lambda: list(read_limited(died_over_5, [tmp_path / "pipe"]))).endswith("pipe is no regular file")


def test_a_reader_that_raises_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = refusal(lambda: list(read_limited(raises, [tmp_path / "file"])))
    assert message.endswith("is damaged or of another kind: reading it ended with RecursionError")


def test_memory_is_limited_while_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = refusal(lambda: list(read_limited(takes_4_gigabytes, [tmp_path / "file"])))
    assert message.endswith("is damaged or of another kind: reading it ended with MemoryError")


def test_who_leaves_does_not_wait_for_a_reader(tmp_path: Path) -> None:
    for name in ("0", "forever"):
        (tmp_path / name).touch()
    found = read_limited(never_ends_over_forever, [tmp_path / "0", tmp_path / "forever"])
    assert next(found) == "0"
    started = time.monotonic()
    found.close()
    assert time.monotonic() - started < 3


def test_a_reader_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.untrusted.limited_reading.SECONDS", 0.0)
    (tmp_path / "file").touch()
    assert "took more time or memory" in refusal(lambda: list(read_limited(never_ends, [tmp_path / "file"])))


@given(
    name=st.sampled_from(PLAIN_TYPES), shape=st.lists(st.integers(1, 4), min_size=1, max_size=3), columns=st.booleans()
)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_real_arrays_come_back(protocol: int, name: str, shape: list[int], columns: bool) -> None:
    count = int(np.prod(shape))
    array = np.arange(count).astype(name).reshape(shape, order="F" if columns else "C")
    found = load_restricted(pickle.dumps(array, protocol), ARRAYS, "x")
    assert isinstance(found, PlainArray)
    assert found.values is not None
    assert found.values.dtype == array.dtype
    np.testing.assert_array_equal(found.values, array)


@pytest.mark.parametrize("name", PLAIN_TYPES)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_real_numbers_come_back(name: str, protocol: int) -> None:
    value = np.dtype(name).type(1)
    found = load_restricted(pickle.dumps([value, value], protocol), NUMBERS, "x")
    assert found == [value, value]
    assert {one.dtype for one in found} == {value.dtype}
