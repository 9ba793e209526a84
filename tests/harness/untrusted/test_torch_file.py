"""The pickle is found in both containers, and everything else in them is left alone."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.base.errors import UserError
from harness.untrusted import torch_file
from harness.untrusted.torch_file import find_pickle

CONTAINERS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old"])


def saved(content: Any, *, zipped: bool, **options: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=zipped, **options)
    return stream.getvalue()


def read(data: bytes) -> bytes:
    section = find_pickle(io.BytesIO(data), "x")
    return b"".join(section.chunks())


def refusal(data: bytes) -> str:
    with pytest.raises(UserError) as caught:
        read(data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@CONTAINERS
@pytest.mark.parametrize("chunk", [1, 100, 2**20])
def test_the_pickle_of_what_was_saved(zipped: bool, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_file, "CHUNK", chunk)
    content = {"a": list(range(500)), "b": "text"}
    assert pickle.loads(read(saved(content, zipped=zipped))) == content


@CONTAINERS
def test_any_place_of_it(zipped: bool) -> None:
    section = find_pickle(io.BytesIO(saved({"a": 1}, zipped=zipped)), "x")
    whole = b"".join(section.chunks())
    assert section.read(3, 9) == whole[3:9]
    assert section.read(0, 2) == b"\x80\x02"


def test_the_archive_may_have_any_name(tmp_path: Path) -> None:
    torch.save({"a": 1}, tmp_path / "bench.v1.pth")
    assert pickle.loads(read((tmp_path / "bench.v1.pth").read_bytes())) == {"a": 1}


def test_a_changed_byte_in_the_zip_is_noticed() -> None:
    data = bytearray(saved({"a": 0.5}, zipped=True))
    place = data.index(b"G\x3f\xe0")
    data[place + 3] ^= 1
    assert "its checksum is wrong" in refusal(bytes(data))


def test_a_zip_of_something_else() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("notes.txt", "text")
    assert "none of torch.save" in refusal(stream.getvalue())
    compressed = io.BytesIO()
    with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bench/data.pkl", pickle.dumps({"a": 1}, 2))
    assert "none of torch.save" in refusal(compressed.getvalue())


@pytest.mark.parametrize(
    "data", [b"", b"text", b"PK", b"PK\x03\x04" * 50, pickle.dumps(5, 2), pickle.dumps([5] * 3, 2)]
)
def test_what_is_no_container(data: bytes) -> None:
    assert refusal(data).startswith("x is damaged or of another kind: ")


def test_a_header_that_is_not_torchs() -> None:
    assert "no file of torch.save" in refusal(b"".join(pickle.dumps(number, 2) for number in (1, 2, 3, 4)))


@pytest.mark.parametrize("end", [10, 25, 60])
@CONTAINERS
def test_a_file_that_ends_in_its_header(end: int, zipped: bool) -> None:
    refusal(saved({"a": 1}, zipped=zipped)[:end])
