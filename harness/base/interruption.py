"""Ctrl-C, SIGTERM and a closed terminal: leave at once, and leave nothing half-written."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that ask a command to end; SIGHUP is none below nohup, which has it ignored."""
    asked = (signal.SIGINT, signal.SIGTERM)
    return asked if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*asked, signal.SIGHUP)


class EndingSignalError(BaseException):
    """One of `ending_signals` came. No `Exception`: it is no failure of what it ends."""


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    # As an exception, so that locks are released and staging files go.
    raise EndingSignalError(number)


@contextmanager
def clean_end() -> Iterator[None]:
    """Let `ending_signals` end what is done inside, with one line and the status that a shell expects."""
    before = {number: signal.signal(number, _stop) for number in ending_signals()}
    try:
        yield
    except EndingSignalError as stopped:
        number = signal.Signals(stopped.args[0])
        with suppress(OSError):  # the terminal is closed
            print(
                f"stopped by {number.name}; the same command goes on from the last checkpoint, if any", file=sys.stderr
            )
        sys.exit(128 + number)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
