"""Mistakes of the user, told in one sentence."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Something the user can mend: one sentence that says what, where and what was expected.

    The command line prints it without a traceback and exits with status 2.
    """


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return `, did you mean 'x'?` or the list of valid names, to end a sentence with."""
    names = sorted(valid)
    nearest = get_close_matches(name, names, n=1, cutoff=0.5)
    if nearest:
        return f"did you mean {nearest[0]!r}?"
    return f"expected one of: {', '.join(names)}" if names else "there is none"
