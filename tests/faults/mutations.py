"""A bounded random mutator: damaged and hostile forms of any file, drawn from a seed.

`of_bytes` damages bytes; `of_structure` the tree of a JSON or YAML text; `of_text` writes what only text can say.
"""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.compat import StringIO

Random = np.random.Generator

MAGIC = [
    b"\x80\x04.",
    b"PAR1",
    b"PK\x03\x04",
    b"\x93NUMPY",
    b"BZh9",
    b"\x1f\x8b",
    b"\x89PNG\r\n",
    b"\xff\xd8\xff",
    b"{}",
]
NUMBERS = [0, 1, 127, 255]
"""Bytes that claim: lengths and counts of all ones, of all zeros."""


def _flip(content: bytearray, random: Random) -> bytes:
    for _ in range(int(random.integers(1, 4))):
        content[random.integers(len(content))] ^= 1 << int(random.integers(8))
    return bytes(content)


def _cut(content: bytearray, random: Random) -> bytes:
    return bytes(content[: random.integers(len(content))])


def _cut_out(content: bytearray, random: Random) -> bytes:
    start, end = sorted(random.integers(0, len(content) + 1, 2))
    return bytes(content[:start] + content[min(end, start + 64) :])


def _insert(content: bytearray, random: Random) -> bytes:
    place = random.integers(len(content) + 1)
    return bytes(content[:place]) + random.bytes(int(random.integers(1, 17))) + bytes(content[place:])


def _splice(content: bytearray, random: Random) -> bytes:
    start, place = random.integers(len(content), size=2)
    piece = content[start : start + int(random.integers(1, 200))]
    return bytes(content[:place] + piece + content[place + len(piece) :])


def _duplicate(content: bytearray, random: Random) -> bytes:
    start = random.integers(len(content))
    piece = content[start : start + int(random.integers(1, 2000))]
    return bytes(content[:start] + piece + piece + content[start + len(piece) :])


def _claim(content: bytearray, random: Random) -> bytes:
    start, length = int(random.integers(len(content))), int(random.choice([1, 2, 4, 8, 64]))
    content[start : start + length] = bytes([int(random.choice(NUMBERS))]) * min(length, len(content) - start)
    return bytes(content)


def _head(content: bytearray, random: Random) -> bytes:
    # Headers and footers say the most, and random places seldom hit them.
    place = int(random.integers(min(len(content), 200)))
    place = place if random.random() < 0.5 else len(content) - 1 - place
    content[place] = int(random.integers(256))
    return bytes(content)


def _foreign(content: bytearray, random: Random) -> bytes:
    magic = MAGIC[int(random.integers(len(MAGIC)))]
    return magic + (random.bytes(200) if random.random() < 0.5 else bytes(content[len(magic) :]))


def _nothing(content: bytearray, random: Random) -> bytes:
    return b"" if random.random() < 0.5 else bytes(len(content))


_BYTES: list[Callable[[bytearray, Random], bytes]] = [
    *(_flip, _cut, _cut_out, _insert, _splice, _duplicate, _claim, _head, _foreign, _nothing),
]


def of_bytes(content: bytes, random: Random) -> bytes:
    """Return the bytes with one damage."""
    if not content:
        return random.bytes(20)
    return _BYTES[int(random.integers(len(_BYTES)))](bytearray(content), random)


# Trees of mappings, lists and values


def _deep(depth: int, leaf: Any) -> Any:
    for _ in range(depth):
        leaf = [leaf]
    return leaf


JUNK: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**63, 10**30, -(10**30), 0.5, 1e-3, 1e300, -0.0, float("nan"), float("inf")),
    *(
        -(2**63) - 1,
        2**64,
        10**400,
        5e-324,
        -1e308,
        "\ud800",
        "\ufeff",
        "a\x1b[31m",
        "9" * 5000,
        "~/x",
        "%2F",
        "x" * 61,
    ),
    *("", " ", "null", "1e-3", "yes", "x" * 20_000, "é\u202e\U0001f600", "a\nb", "\0", "../../x", "/", "darts", "tiny"),
    *([], {}, [[]], [None], {"": None}, {"a": {"b": {"c": 1}}}, ["x"] * 2000, _deep(60, 1), "2001-99-99", b"\xff"),
]


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    # (container, key) of every value of the tree.
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(entries):
        yield tree, key
        yield from _places(value)


def of_structure(tree: Any, random: Random) -> Any:
    """Return a copy of the tree with one or two values dropped, replaced, nested, renamed, swapped or added."""
    tree = copy.deepcopy(tree)
    for _ in range(int(random.integers(1, 3))):
        places = list(_places(tree))
        if not places:
            return JUNK[int(random.integers(len(JUNK)))]
        container, key = places[int(random.integers(len(places)))]
        junk = copy.deepcopy(JUNK[int(random.integers(len(JUNK)))])
        match int(random.integers(7)):
            case 0:
                del container[key]
            case 1 | 2:
                container[key] = junk
            case 3:
                container[key] = {"nested": container[key]} if random.random() < 0.5 else [container[key]]
            case 4 if isinstance(container, dict):
                name = (
                    str(key)[:-1] if random.random() < 0.5 else random.choice(["é", "", "a\nb", "x" * 5000, "__init__"])
                )
                container[str(name)] = container.pop(key)
            case 5:
                other, name = places[int(random.integers(len(places)))]
                container[key] = copy.deepcopy(other[name]) if name in _keys(other) else junk
            case _ if isinstance(container, dict):
                container[f"new {random.integers(10)}"] = junk
    return tree


def _keys(container: Any) -> Any:
    return container if isinstance(container, dict) else range(len(container))


def of_json(content: bytes, random: Random) -> bytes:
    """Return a JSON text with one damage, of its bytes, its tree or its text."""
    kind = random.random()
    if kind < 0.3:
        return of_bytes(content, random)
    text = json.dumps(of_structure(json.loads(content), random), default=str)
    if kind > 0.85:
        text = _with(
            text, ["[" * 100_000, "9" * 5000, "1e999", "NaN", '"\\ud800"', "\t", '{"a":1,"a":2}', "//"], random
        )
    return text.encode(errors="surrogatepass")


_BOMB = "bomb:\n" + "".join(
    f"  b{level}: &b{level} [{', '.join([f'*b{level - 1}' if level else 'x'] * 9)}]\n" for level in range(12)
)
_YAML_TEXTS = [
    *(_BOMB, "a: &a [*a]\n", "? [1, 2]\n: 3\n", "variants: &v\n  darts: *v\n", "\tseeds: [0]\n", "protocol: tiny\n"),
    *("seeds: 2001-99-99\n", "seeds: !!python/object/apply:os.system [x]\n", "<<: [1, 2]\n", "<<: *nobody\n"),
    *("seeds: 0x" + "f" * 6000 + "\n", "seeds: " + "9" * 6000 + "\n", "seeds: " + "[" * 3000 + "\n", "---\n---\n"),
    *("%YAML 9.9\n---\n", "seeds: !!int x\n", "seeds: !!timestamp x\n", "seeds: !!binary x\n", "'é\u0085': 1\n"),
    *(
        "seeds: .inf\n",
        "seeds: 1e-3\n",
        "seeds: 1:60:60\n",
        "seeds: 0o9\n",
        "seeds: !!set {a}\n",
        "seeds: !!omap [1]\n",
    ),
]


def of_yaml(content: bytes, random: Random) -> bytes:
    """Return a YAML text with one damage, of its bytes, its tree or its text."""
    kind = random.random()
    if kind < 0.25:
        return of_bytes(content, random)
    if kind < 0.75:
        yaml, stream = YAML(typ="safe", pure=True), StringIO()  # the writer in C takes no halves of letters
        yaml.dump(of_structure(YAML(typ="safe").load(content), random), stream)
        return stream.getvalue().encode(errors="surrogatepass")
    lines = content.decode().splitlines(keepends=True)
    place = int(random.integers(len(lines) + 1)) if random.random() < 0.3 else int(random.choice([0, len(lines)]))
    return "".join([*lines[:place], _YAML_TEXTS[int(random.integers(len(_YAML_TEXTS)))], *lines[place:]]).encode()


def _with(text: str, pieces: list[str], random: Random) -> str:
    place = int(random.integers(len(text) + 1))
    return text[:place] + pieces[int(random.integers(len(pieces)))] + text[place:]


# Small files that claim to be huge


def pickle_bombs() -> dict[str, bytes]:
    """Return pickles of a few bytes that would take gigabytes or hours of an unpickler that believes them."""
    length = (2**34).to_bytes(8, "little")
    return {
        "a memo of two thousand million places": b"\x80\x02Nr\xff\xff\xff\x7f.",
        "bytes of sixteen gibibytes": b"\x80\x04\x8e" + length + b".",
        "a text of sixteen gibibytes": b"\x80\x04\x8d" + length + b".",
        "a frame of sixteen gibibytes": b"\x80\x04\x95" + length + b".",
        "a byte array of sixteen gibibytes": b"\x80\x05\x96" + length + b".",
        "an integer of two gibibytes": b"\x80\x02\x8b\xff\xff\xff\x7f.",
        "an array of a tebibyte": b"\x80\x02cnumpy\nndarray\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85R.",
        "a scalar of two gibibytes": b"\x80\x02cnumpy.core.multiarray\nscalar\n"
        b"(cnumpy\ndtype\nX\x0b\x00\x00\x00V2000000000\x85RNtR.",
    }
