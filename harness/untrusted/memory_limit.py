"""A limit on what reading a file from outside may take, so that a small file which claims to be huge stops itself."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ALLOWANCE = 2 * 2**30
PER_BYTE = 30
"""Bytes that may be taken in any case, and for each byte of the file."""

_STATUS = Path("/proc/self/statm")


@contextmanager
def memory_limited(file_size: int) -> Iterator[None]:
    """Let what is done inside take no more than a file of this size explains; more raises MemoryError.

    Where the system does not say what a process holds, as outside Linux, nothing is limited.
    """
    if not _STATUS.exists():
        yield
        return
    before, most = resource.getrlimit(resource.RLIMIT_AS)
    held = int(_STATUS.read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    wanted = held + ALLOWANCE + PER_BYTE * file_size
    limits = [limit for limit in (before, most) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([wanted, *limits]), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, most))
