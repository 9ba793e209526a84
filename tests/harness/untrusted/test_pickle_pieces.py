"""Pieces and outline together are what was pickled, and nothing of a piece is kept."""

import io
import pickle
import struct
import tracemalloc
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from harness.base.errors import UserError
from harness.truth.trials import BENCHMARK_NAMES
from harness.untrusted import pickle_pieces, torch_file
from harness.untrusted.pickle_pieces import Placeholder, SplitPickle, load_piece
from harness.untrusted.torch_file import Section
from tests.harness.untrusted.payload import Payload

NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""The smallest failing example would take minutes to find."""


def splitter(data: bytes) -> SplitPickle:
    return SplitPickle(Section(io.BytesIO(data), 0, len(data)), BENCHMARK_NAMES, "x")


def assembled(data: bytes) -> tuple[Any, int]:
    """What the pieces and the outline make together, and how many pieces there were."""
    split = splitter(data)
    pieces = [load_piece(piece, BENCHMARK_NAMES, "x") for piece in split.pieces()]
    return filled(split.outline(), pieces), len(pieces)


def filled(content: Any, pieces: list[Any]) -> Any:
    if isinstance(content, dict):
        items = [
            item
            for key, value in content.items()
            for item in (pieces[key.number].items() if isinstance(key, Placeholder) else [(key, value)])
        ]
        return type(content)((filled(key, pieces), filled(value, pieces)) for key, value in items)
    if isinstance(content, list | tuple):
        return type(content)(filled(entry, pieces) for entry in content)
    return content


def plain(content: Any) -> Any:
    """The same with dictionaries of one kind."""
    if isinstance(content, dict):
        return {plain(key): plain(value) for key, value in content.items()}
    return type(content)(map(plain, content)) if isinstance(content, list | tuple) else content


def refusal(data: bytes) -> str:
    with pytest.raises(UserError) as caught:
        assembled(data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.sampled_from(["a" * 127, "b" * 128, "ü" * 500, 2**40, -(2**2100), np.float64(0.5)]),
    st.binary(min_size=1, max_size=5),
)
keys = st.one_of(
    st.integers(0, 70_000), st.text(max_size=12), st.tuples(st.text(max_size=3), st.integers(), *[st.none()] * 3)
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.dictionaries(keys, inner, max_size=5),
        st.dictionaries(keys, inner, max_size=5).map(OrderedDict),
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        inner.map(lambda shared: [shared, {"again": shared}, {1: {2: shared, 3: [shared] * 4}}]),
    )


nested = st.recursive(leaves, containers, max_leaves=25)


@settings(max_examples=50, deadline=None, phases=NO_SHRINKING)
@given(content=st.dictionaries(keys, st.dictionaries(keys, nested, max_size=6), max_size=4), data=st.data())
def test_pieces_and_outline_are_the_whole(content: Any, data: st.DataObject) -> None:
    protocol = data.draw(st.sampled_from([2, 3]))
    pickler = data.draw(st.sampled_from([pickle.dumps, pickle._dumps]))  # type: ignore[attr-defined]
    found, _ = assembled(pickler(content, protocol))
    assert found == content
    assert repr(found) == repr(plain(content))


@pytest.fixture(params=[1, 7, 64, 1000])
def small_chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_file, "CHUNK", request.param)


def cells(count: int, entries: int) -> dict[str, Any]:
    """Two levels of dictionaries, and below them curves, whose keys each cell has anew."""
    names = [f"name {cell}" for cell in range(count)]
    shared = ["list", {"of": "things"}, tuple(range(4))]
    return {
        "names": names,
        "cells": {
            cell: {
                "name": names[cell],
                "curve": {f"epoch@{cell}@{entry}": float(entry) for entry in range(entries)},
                "shared": shared,
                "number": np.float64(cell),
                "times": OrderedDict((entry, 0.5) for entry in range(entries)),
            }
            for cell in range(count)
        },
        "after": [names[0], shared],
    }


@pytest.mark.usefixtures("small_chunks")
def test_it_does_not_matter_where_the_file_is_cut_for_reading() -> None:
    content = cells(6, 30)
    data = pickle.dumps(content, 2)
    found, pieces = assembled(data)
    assert found == content
    assert pieces == 6
    assert list(found["cells"][3]["times"]) == list(content["cells"][3]["times"])


def test_more_than_one_batch_of_items_and_items_that_stand_alone() -> None:
    content = {
        "other": 1,
        "cells": {0: {"a": {}, "b": []}, **{number: {"only": {"a": 1, "b": 2}} for number in range(1, 2500)}},
    }
    found, pieces = assembled(pickle.dumps(content, 2))
    assert found == content
    assert pieces == 2500


def test_what_parts_share_is_found_in_a_piece_in_the_outline_and_across_a_chain() -> None:
    late, chained = ["late"], {"key": ("a", "b", "c", "d")}
    content = {
        "first": ["x" * 50, "outline"],
        "cells": {
            0: {"fresh": "text 0", "none": None},
            1: {"late": late, "chained": [chained, chained]},
            2: {"late": late, "own": chained},
            3: {"late": late, "own": chained["key"]},
        },
        "last": [late, chained["key"]],
    }
    content["cells"][3]["of the outline"] = content["first"][1]
    content["cells"][3]["wider"] = [{"chained": chained}, late]
    found, _ = assembled(pickle.dumps(content, 2))
    assert found == content
    split = splitter(pickle.dumps(content, 2))
    pieces = list(split.pieces())
    assert [shared for piece in pieces[:2] for shared in piece.shared] == []
    assert late in pieces[2].shared


def test_memory_follows_the_largest_piece_and_not_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_file, "CHUNK", 50_000)
    peaks = []
    for count in (5, 5, 50):  # the first loads what numpy needs
        data = pickle.dumps(cells(count, 1000), 2)
        tracemalloc.start()
        split = splitter(data)
        for piece in split.pieces():
            load_piece(piece, BENCHMARK_NAMES, "x")
        split.outline()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.2 * peaks[1] < len(data)


# ---- damaged, hostile, of another kind


def payload_positions(payload: Any) -> Iterator[Any]:
    yield payload
    yield {"outline": payload}
    yield {"cells": {0: {"a": {"piece": payload}, "b": 1}}}
    yield {"cells": {0: {"a": 1, "b": payload}, 1: {"a": payload, "b": 2}}, "shared": payload}


@pytest.mark.parametrize("place", range(4))
def test_nothing_runs_wherever_it_lies(tmp_path: Path, place: int) -> None:
    payload = Payload(tmp_path / "proof")
    content = list(payload_positions(payload))[place]
    data = pickle.dumps(content, 2)
    assert "mkdir, which such a file never holds" in refusal(data)
    assert not payload.path.exists()
    pickle.loads(data)
    assert payload.path.is_dir(), "the payload must be able to run"


def test_a_file_that_ends_too_early() -> None:
    data = pickle.dumps(cells(3, 20), 2)
    for end in range(0, len(data) - 1, 53):
        assert "x is damaged or of another kind: " in refusal(data[:end])


@settings(max_examples=200, deadline=None, phases=NO_SHRINKING)
@given(place=st.integers(2, 2500), value=st.integers(0, 255))
def test_a_changed_byte_gives_other_numbers_or_one_sentence(place: int, value: int) -> None:
    data = bytearray(pickle.dumps(cells(3, 20), 2))
    data[place % len(data)] = value
    try:
        split = splitter(bytes(data))
        for piece in split.pieces():
            load_piece(piece, BENCHMARK_NAMES, "x")
        split.outline()
    except UserError as error:
        assert str(error).startswith("x is damaged or of another kind: ")


@pytest.mark.parametrize("protocol", [0, 1, 4, 5])
def test_another_protocol(protocol: int) -> None:
    assert "no pickle of protocol 2 or 3" in refusal(pickle.dumps(cells(2, 5), protocol))


def test_a_memo_number_cannot_ask_for_memory() -> None:
    data = b"\x80\x02}(X\x01\x00\x00\x00ar\xff\xff\xff\x7fK\x01X\x01\x00\x00\x00bK\x02u."
    tracemalloc.start()
    assert assembled(data)[0] == {"a": 1, "b": 2}
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


@pytest.mark.parametrize("opcode", [b"\xff", b"i", b"\x95"])
def test_an_opcode_of_another_protocol(opcode: bytes) -> None:
    assert "what no pickle of protocol 2 or 3 holds" in refusal(b"\x80\x02}(" + opcode + b"\x00" * 20)


def test_texts_become_bytes_by_one_codec_only() -> None:
    data = pickle.dumps({"a": b"\xff", "b": 1}, 2)
    assert assembled(data)[0] == {"a": b"\xff", "b": 1}
    assert "an encoding other than latin1" in refusal(data.replace(b"\x06\x00\x00\x00latin1", b"\x05\x00\x00\x00utf-8"))


def test_a_name_that_does_not_end() -> None:
    assert "a name that is too long" in refusal(b"\x80\x02c" + b"a" * 5000)


def test_memo_numbers_out_of_order() -> None:
    data = b"\x80\x02}q\x01(X\x01\x00\x00\x00aq\x00K\x01X\x01\x00\x00\x00bK\x02u."
    assert "not numbered in their order" in refusal(data)


@pytest.mark.parametrize(
    ("limit", "complaint"), [("LARGEST_PIECE", "one of its parts"), ("LARGEST_OUTLINE", "outside")]
)
def test_what_is_too_large(monkeypatch: pytest.MonkeyPatch, limit: str, complaint: str) -> None:
    monkeypatch.setattr(torch_file, "CHUNK", 200)
    monkeypatch.setattr(pickle_pieces, limit, 500)
    numbers = list(range(2000))
    inside = {"other": 1, "cells": {0: {"a": numbers, "b": 1}, 1: {}}}
    content = inside if limit == "LARGEST_PIECE" else {"a": numbers}
    assert complaint in refusal(pickle.dumps(content, 2))


def test_a_text_that_claims_to_be_longer_than_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_file, "CHUNK", 200)
    assert "it ends too early" in refusal(b"\x80\x02}(X" + struct.pack("<I", 2**31) + b"a" * 1000)


def test_too_much_that_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_pieces, "MOST_SHARED", 10)
    names = [f"name {number}" for number in range(20)]
    content = {"other": 1, "cells": {0: {"a": names, "b": 1}, 1: {"a": list(names), "b": 1}}}
    assert "share more than 10 objects" in refusal(pickle.dumps(content, 2))
