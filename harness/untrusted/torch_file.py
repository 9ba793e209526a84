"""Where the pickle lies in a file of `torch.save`, in its old container (one stream) or the new one (zip).

Tensors are stored elsewhere in both, and are not read here.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from harness.base.errors import UserError
from harness.untrusted.memory_limit import memory_limited
from harness.untrusted.restricted_pickle import RestrictedUnpickler, told_in_one_sentence

CHUNK = 8 * 2**20
_HEADER = 2**16
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001


class Section:
    """A stretch of a file, read in order or at any place."""

    def __init__(self, file: BinaryIO, start: int, length: int, checksum: int | None = None) -> None:
        self._file = file
        self._start = start
        self.length = length
        self._checksum = checksum

    def chunks(self) -> Iterator[bytes]:
        """Give the whole section in order.

        Raises:
            UserError: its bytes do not have the checksum that the container states.
        """
        checksum = position = 0
        while position < self.length and (chunk := self.read(position, min(position + CHUNK, self.length))):
            position += len(chunk)
            checksum = zlib.crc32(chunk, checksum)
            if position == self.length and self._checksum not in (None, checksum):
                raise UserError("its checksum is wrong")
            yield chunk

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes between two places of the section."""
        self._file.seek(self._start + start)
        return self._file.read(end - start)


def find_pickle(file: BinaryIO, where: str) -> Section:
    """Return the section of the file that is the pickle of what was saved; in the old container more follows it.

    Raises:
        UserError: the file is none of `torch.save`.
    """
    with told_in_one_sentence(where):
        file.seek(0)
        header = file.read(_HEADER)
        return _in_zip(file) if header.startswith(b"PK") else _in_old_container(file, header)


def _in_zip(file: BinaryIO) -> Section:
    with zipfile.ZipFile(file) as archive:
        found = [record for record in archive.infolist() if record.filename.endswith("/data.pkl")]
    if len(found) != 1 or found[0].compress_type != zipfile.ZIP_STORED:
        raise UserError("it is a zip file, but none of torch.save")
    file.seek(found[0].header_offset)
    name, extra = struct.unpack("<26x2H", file.read(30))
    return Section(file, found[0].header_offset + 30 + name + extra, found[0].file_size, found[0].CRC)


def _in_old_container(file: BinaryIO, header: bytes) -> Section:
    stream = io.BytesIO(header)
    with memory_limited(len(header)):
        magic, version, _ = (RestrictedUnpickler(stream, {}).load() for _ in range(3))
    if (magic, version) != (_MAGIC, _VERSION):
        raise UserError("it is no file of torch.save")
    return Section(file, stream.tell(), file.seek(0, io.SEEK_END) - stream.tell())
