"""CUDA graphs, without a card: a recorder of operators does on a CPU what a graph does on CUDA.

It runs the recorded operators again on the memory that they first read and wrote, and none of the Python code around
them. Whatever a pass would take from elsewhere, a number computed on the host or a tensor made anew, is then stale.
After a backward pass, and before another kind's forward pass, what a forward pass computed is overwritten, as graphs of
one pool do it. What this cannot show: streams, what may not be launched while a card records, its autocast.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Recorded(TorchDispatchMode):
    """The operators that ran inside, to be run again."""

    def __init__(self, beside: "Recorders") -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple, dict, Any]] = []
        self.beside = beside
        self.replays = 0
        self._allocated: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        self.replays += 1
        forward = self in self.beside.forward
        with torch.no_grad():
            for other in self.beside.forward if forward else ():
                other.overwrite()
            for function, args, kwargs, first in self.calls:
                again = function(*args, **kwargs)
                for held, value in zip(_tensors(first), _tensors(again), strict=True):
                    if held.data_ptr() != value.data_ptr():
                        held.copy_(value)
            if not forward:
                self.beside.forward[self.beside.backward.index(self)].overwrite()

    def overwrite(self) -> None:
        """Fill all memory that was allocated inside."""
        given: set[int] = set()
        for _, args, kwargs, result in self.calls:
            given |= {one.untyped_storage().data_ptr() for one in _tensors([*args, *kwargs.values()])} - self._allocated
            for one in _tensors(result):
                if one.untyped_storage().data_ptr() not in given and one.is_floating_point():
                    self._allocated.add(one.untyped_storage().data_ptr())
                    one.fill_(torch.nan)


def _tensors(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    return [one for part in result for one in _tensors(part)] if isinstance(result, list | tuple) else []


class Recorders:
    """In the place of `CudaGraphs`."""

    made: ClassVar[list["Recorders"]] = []

    def __init__(self) -> None:
        self.forward: list[Recorded] = []
        self.backward: list[Recorded] = []
        self.made.append(self)

    @property
    def kinds(self) -> int:
        return len(self.backward)

    def warm_up(self):
        return nullcontext()

    @contextmanager
    def record(self) -> Iterator[Recorded]:
        with Recorded(self) as recorded:
            yield recorded
        (self.forward if len(self.forward) == len(self.backward) else self.backward).append(recorded)
