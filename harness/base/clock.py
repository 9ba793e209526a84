"""The clock of the system, where Python cannot count with it."""

import time

from harness.base.errors import UserError


def check_clock() -> None:
    """Check that Python takes the time of the system; much of its library asks for it when it is imported.

    Raises:
        UserError: it is after April 2262, when nanoseconds since 1970 leave 64 bits.
    """
    try:
        time.time()
    except OverflowError:
        raise UserError("the clock of this machine is past the year 2262, beyond what Python counts: set it") from None
