"""What is printed: a terminal, file or pipe that cannot take it changes nothing of what was done."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

OUTPUT_LOST = 2


@contextmanager
def tolerant_output() -> Iterator[None]:
    """Print letters that an encoding lacks as question marks, and end in a sentence where nothing can be printed."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        if not _is_lost():
            raise
        with suppress(OSError):
            print(f"error: the output could not be written: {error.strerror}", file=sys.stderr)
        sys.exit(OUTPUT_LOST)


def _is_lost() -> bool:
    """Whether nothing more can be printed; then Python shall not try it again when it ends."""
    try:
        sys.stdout.flush()
        sys.stdout.write("\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False
