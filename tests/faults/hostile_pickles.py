"""Pickles that a grammar makes, not damage: of any shape, with the names that real files hold and with states."""

import bz2
import io
import pickle
import struct
import zipfile
from collections.abc import Callable

from tests.faults.mutations import Random

NAMES = (
    *("numpy dtype", "numpy ndarray", "numpy.core.multiarray scalar", "numpy.core.multiarray _reconstruct"),
    *("numpy._core.multiarray _reconstruct", "numpy._core.numeric _frombuffer", "collections OrderedDict"),
    *("torch._utils _rebuild_tensor_v2", "torch FloatStorage", "torch.storage _load_from_bytes", "_codecs encode"),
    *("builtins getattr", "builtins set", "builtins list", "os system", "posix system", "copyreg _reconstructor"),
    *("builtins object", "operator attrgetter", "numpy.core.multiarray fromstring", "types FunctionType"),
)
TEXTS = ("", "f8", "<f8", "O", "O8", "V8", "M8[ns]", "f8,O", "latin1", "shape", "__class__", "é\u202e", "x" * 3000)
DEEPEST = 5


def integer(random: Random) -> bytes:
    """Return an opcode that puts an integer on the stack: small, large, or one that hashes like others."""
    match int(random.integers(4)):
        case 0:
            return b"J" + struct.pack("<i", int(random.choice([0, 1, -1, 2, 200, 777, 15_625, 2**31 - 1])))
        case 1:
            return b"I" + str(int(random.integers(99)) * (2**61 - 1) + 1).encode() + b"\n"
        case 2:
            content = random.bytes(int(random.choice([1, 8, 200, 2000])))
            return b"\x8b" + struct.pack("<i", len(content)) + content
        case _:
            return b"I" + b"9" * int(random.choice([1, 400, 5000])) + b"\n"


def text(value: str) -> bytes:
    """Return an opcode that puts a text on the stack."""
    content = value.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def plain(random: Random) -> bytes:
    """Return an opcode that puts a value without parts on the stack."""
    match int(random.integers(6)):
        case 0:
            return integer(random)
        case 1 | 2:
            return text(str(random.choice(TEXTS)))
        case 3:
            return b"G" + struct.pack(">d", float(random.choice([0.5, 1e308, float("nan"), float("inf")])))
        case 4:
            content = random.bytes(int(random.choice([0, 8, 64])))
            return b"C" + bytes([len(content)]) + content
        case _:
            return [b"N", b"\x88", b"\x89"][int(random.integers(3))]


def value(random: Random, depth: int = 0) -> bytes:
    """Return opcodes that put one value on the stack."""
    if depth >= DEEPEST or random.random() < 0.25:
        return plain(random)
    makers: list[Callable[[Random, int], bytes]] = [_tuple, _list, _dictionary, _set, _name, _call, _call, _state, _odd]
    return makers[int(random.integers(len(makers)))](random, depth + 1)


def _several(random: Random, depth: int) -> bytes:
    return b"".join(value(random, depth) for _ in range(int(random.integers(5))))


def _tuple(random: Random, depth: int) -> bytes:
    if random.random() < 0.2:  # each holds the one before twice
        times = int(random.choice([3, 12, 40, 80]))
        return plain(random) + b"".join(b"q%ch%ch%c\x86" % (number, number, number) for number in range(times))
    if random.random() < 0.1:
        return plain(random) + b"\x85" * int(random.choice([50, 2000, 200_000]))
    return b"(" + _several(random, depth) + b"t"


def _list(random: Random, depth: int) -> bytes:
    if random.random() < 0.1:
        return b"]q\xf0h\xf0a"  # itself
    return b"](" + _several(random, depth) + b"e"


def _dictionary(random: Random, depth: int) -> bytes:
    if random.random() < 0.1:  # keys of one hash
        keys = range(int(random.choice([10, 3000])))
        return b"}(" + b"".join(b"I%d\nN" % (key * (2**61 - 1) + 1) for key in keys) + b"u"
    pairs = b"".join(value(random, depth) + value(random, depth) for _ in range(int(random.integers(4))))
    return b"}(" + pairs + b"u"


def _set(random: Random, depth: int) -> bytes:
    content = _several(random, depth)
    return b"\x8f(" + content + b"\x90" if random.random() < 0.5 else b"(" + content + b"\x91"


def _name(random: Random, depth: int) -> bytes:
    module, name = str(random.choice(NAMES)).split()
    return f"c{module}\n{name}\n".encode()


def _call(random: Random, depth: int) -> bytes:
    call = b"R" if random.random() < 0.8 else b"\x81"
    return _name(random, depth) + b"(" + _several(random, depth) + b"t" + call


def _state(random: Random, depth: int) -> bytes:
    return _call(random, depth) + value(random, depth) + b"b"


def _odd(random: Random, depth: int) -> bytes:
    return [
        plain(random) + b"Q",  # a persistent identifier
        b"P" + random.bytes(5).replace(b"\n", b" ") + b"\n",
        b"\x82\x01",  # an extension
        b"h\xfe",  # from an empty place of the memo
        plain(random) + b"a",
        b"(" + plain(random) + b"1N",
        _name(random, depth) + b"}" + plain(random) + plain(random) + b"s\x92",
    ][int(random.integers(7))]


def program(random: Random) -> bytes:
    """Return a pickle of one value, by itself or where a file has its results."""
    content = value(random)
    if random.random() < 0.5:
        content = b"}(" + text(str(random.choice(["12", "200", "data", "labels", "arch2infos"]))) + content + b"u"
    return b"\x80\x04" + content + b"."


# In the place of what a file holds


def alone(content: bytes, random: Random) -> bytes:
    """Return a pickle in the place of one."""
    return program(random)


def in_bz2(content: bytes, random: Random) -> bytes:
    """Return a pickle in the place of a compressed one."""
    return bz2.compress(program(random))


def in_old_pth(content: bytes, random: Random) -> bytes:
    """Return a file of torch's old form."""
    before = b"".join(pickle.dumps(part, protocol=2) for part in (0x1950A86A20F9469CFC6C, 1001, {}))
    return before + program(random)


def in_zip_pth(content: bytes, random: Random) -> bytes:
    """Return a file of torch's new form, an archive, in the place of one."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.infolist():
            new.writestr(entry, program(random) if entry.filename.endswith("data.pkl") else old.read(entry))
    return changed.getvalue()
