"""What is printed: a terminal, file or pipe that cannot take it changes nothing of what was done."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress

OUTPUT_LOST = 2


@contextmanager
def tolerant_output() -> Iterator[None]:
    """Print letters that an encoding lacks as question marks, and end in a sentence where nothing can be printed."""
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if not (_is_lost(1) or _is_lost(2)):
            raise
        with suppress(OSError):
            print(f"error: the output could not be written: {error.strerror}", file=sys.stderr)
        sys.exit(OUTPUT_LOST)
    finally:
        _give_up_what_cannot_be_told()


@contextmanager
def output_among_errors() -> Iterator[None]:
    """Let what is printed inside stand on stderr, that of other programs and libraries too."""
    _flush_own_output()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _flush_own_output()
        os.dup2(kept, 1)
        os.close(kept)


def _flush_own_output() -> None:
    if sys.__stdout__ is not None:
        with suppress(OSError, ValueError):
            sys.__stdout__.flush()


def _open_what_is_closed() -> None:
    """Let nothing stand for streams that a command was begun without: its first own file would take their number."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number: this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123


def _is_lost(number: int) -> bool:
    """Whether nothing more can be printed there; then nobody shall try it again."""
    stream = {1: sys.stdout, 2: sys.stderr}[number]
    try:
        stream.flush()
        stream.write("\n")
        stream.flush()
    except (OSError, ValueError):
        _forget(number)
        return True
    return False


def _give_up_what_cannot_be_told() -> None:
    # What is left in stderr's buffer would become an exit status of Python's own.
    try:
        sys.stderr.flush()
    except OSError:
        _forget(2)


def _forget(number: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)
