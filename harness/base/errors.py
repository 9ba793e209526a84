"""Mistakes of the user, told in one sentence."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

MOST_NAMES = 40
"""Names that a sentence lists."""
LONGEST_NAME = 100
"""Letters of a name that a sentence shows, or compares."""


class UserError(Exception):
    """Something the user can mend: one sentence that says what, where and what was expected.

    The command line prints it without a traceback and exits with status 2.
    """


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return `, did you mean 'x'?` or the list of valid names, to end a sentence with."""
    names = sorted(valid)
    nearest = get_close_matches(name[:LONGEST_NAME], names, n=1, cutoff=0.5)
    if nearest:
        return f"did you mean {quoted(nearest[0])}?"
    shown = [in_one_line(valid_name, LONGEST_NAME) for valid_name in names[:MOST_NAMES]]
    more = ", ..." if len(names) > MOST_NAMES else ""
    return f"expected one of: {', '.join(shown)}{more}" if names else "there is none"


def quoted(value: Any, most: int = 60) -> str:
    """Return a value as a sentence quotes it: on one line, and cut when it is long."""
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # Python does not print numbers of thousands of digits
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= most else f"{text[:most]}..."


def in_one_line(text: object, most: int = 300) -> str:
    """Return a text without line breaks and control characters, and cut when it is long."""
    try:
        line = printable(" ".join(str(text).split()))
    except (Exception, SystemExit, GeneratorExit):  # what others wrote may have no text
        line = f"a {type(text).__name__}"
    return line if len(line) <= most else f"{line[:most]}..."


def first_of(names: Sequence[str], most: int = 4) -> str:
    """Return the first of many names, and how many more there are, for the middle of a sentence."""
    left = len(names) - most
    return ", ".join(names) if left <= 0 else f"{', '.join(names[:most])} and {left} more"


def printable(text: str) -> str:
    """Return a text with escapes for what would move a terminal's cursor, colour it or turn its direction."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
