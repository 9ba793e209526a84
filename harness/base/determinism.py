"""Deterministic algorithms on CUDA, and which operations have none.

On CPUs a search on a fixed number of threads gives the same bits every time. On CUDA some algorithms add up in the
order in which threads arrive. `deterministic: true` in the protocol makes torch choose others; an operation that has no
other runs all the same, and the record of the run names it. This has never run on CUDA.
"""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_WITHOUT = re.compile(r"(\S+) does not have a deterministic implementation")


@contextmanager
def deterministic_algorithms(enabled: bool) -> Iterator[list[str]]:
    """Let torch prefer deterministic algorithms; give the names of operations without one, as they are met."""
    import torch

    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    if enabled:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(enabled, warn_only=True)
    try:
        with warnings.catch_warnings():
            yield _collected()
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def _collected() -> list[str]:
    # Until the warnings are reset: collects those of torch, and shows all others as before.
    names: list[str] = []
    show = warnings.showwarning

    def collect(message: Any, *arguments: Any, **options: Any) -> None:
        found = _WITHOUT.search(str(message))
        if found is None:
            show(message, *arguments, **options)
        elif found[1] not in names:
            names.append(found[1])

    warnings.filterwarnings("default", message=f".*{_WITHOUT.pattern}")
    warnings.showwarning = collect
    return names
