"""How near is a search step to what this machine can do? Arithmetic and memory traffic against measured peaks.

    python -m benchmarks.roofline

writes benchmarks/results/roofline.md and .csv; --quick is a tiny size that shows that the benchmark works. Bounds as in
Williams, Waterman and Patterson, Roofline: an insightful visual performance model, 2009.
"""

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pandas as pd
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.page import figure, markdown, page_options, write_page
from benchmarks.step_time import measure
from benchmarks.step_ways import QUICK, WAYS, Size, size_options
from benchmarks.timing import median_seconds

NAME = "roofline"
COMPILED = "fused and compiled"
CHOSEN = ("per edge", "fused", COMPILED)
UNTOUCHED = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")
"""Operators that reserve memory and move nothing."""
NOT_READ = ("copy_", "fill_", "zero_", "normal_", "uniform_")
"""Operators that overwrite their first argument without reading it."""


@dataclass(frozen=True)
class Peaks:
    """What one thread of this machine reaches."""

    flops: float
    """Floating-point operations a second, of a large product of float32 matrices."""
    bytes: float
    """Read and written a second, of a large copy."""


@dataclass(frozen=True)
class Work:
    """What one step has to do."""

    flops: float
    """Multiplications and additions, of convolutions and matrix products alone."""
    bytes: float
    """Moved if each operator reads its inputs from memory and writes its outputs there; NaN if not counted."""


class Traffic(TorchDispatchMode):
    """Sums the bytes that operators read and write, each distinct tensor once an operator and direction."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator and count its traffic."""
        given = kwargs or {}
        result = func(*args, **given)
        if not func.is_view and _name(func) not in UNTOUCHED:
            self.bytes += _bytes(_read(func, args, given)) + _bytes(_written(func, args, given, result))
        return result


def _name(func: Any) -> str:
    name: str = func._schema.name.removeprefix("aten::")
    return name


def _read(func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Iterator[Any]:
    yield from args[1:] if _name(func) in NOT_READ else args
    outputs = {argument.name for argument in func._schema.arguments if argument.is_out}
    yield from (value for name, value in given.items() if name not in outputs)


def _written(func: Any, args: tuple[Any, ...], given: dict[str, Any], result: Any) -> Iterator[Any]:
    # What it changes in place, and what it returns beside that.
    for position, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            yield args[position] if position < len(args) else given.get(argument.name)
    yield result


def _bytes(content: Iterator[Any]) -> int:
    tensors = {id(leaf): leaf for leaf in tree_leaves(list(content)) if isinstance(leaf, Tensor)}
    # An expanded tensor has fewer bytes in memory than elements.
    return sum(min(one.numel() * one.itemsize, one.untyped_storage().nbytes()) for one in tensors.values())


def measure_peaks(rows: int, copied: int, rounds: int) -> Peaks:
    """Measure the peaks with square matrices of so many rows and a copy of so many bytes."""
    left, right = torch.rand(rows, rows), torch.rand(rows, rows)
    product = torch.empty(rows, rows)
    source, target = torch.zeros(copied, dtype=torch.uint8), torch.zeros(copied, dtype=torch.uint8)
    multiplying = median_seconds(lambda: torch.mm(left, right, out=product), rounds)
    copying = median_seconds(lambda: target.copy_(source), rounds)
    return Peaks(2 * rows**3 / multiplying, 2 * copied / copying)


def count(step: Callable[[], None]) -> Work:
    """Count the work of a step, which is taken three times: what it builds only once does not count."""
    step()
    with FlopCounterMode(display=False) as counter:
        step()
    with Traffic() as traffic:
        step()
    return Work(counter.get_total_flops(), traffic.bytes)


def count_ways(size: Size, ways: Sequence[str]) -> dict[str, Work]:
    """Count the work of each way; compiled code cannot be looked into, its arithmetic is that of the fused step."""
    fused = "fused"
    found = {way: count(WAYS[way](size).step) for way in {*ways, fused} - {COMPILED}}
    found[COMPILED] = Work(found[fused].flops, math.nan)
    return {way: found[way] for way in ways}


def roofline_table(works: dict[str, Work], seconds: dict[str, float], peaks: Peaks) -> pd.DataFrame:
    """Return a row a way: its work, its time, and the least time that its arithmetic and its traffic take."""
    rows = []
    for way, work in works.items():
        bounds = {"arithmetic": work.flops / peaks.flops, "memory": work.bytes / peaks.bytes}
        highest = max(bound for bound in bounds.values() if not math.isnan(bound))
        rows.append(
            {
                "way": way,
                "GFLOP": work.flops / 1e9,
                "GB": work.bytes / 1e9,
                "FLOP a byte": work.flops / work.bytes,
                "step, ms": 1000 * seconds[way],
                "GFLOP/s": work.flops / seconds[way] / 1e9,
                "% of peak": 100 * bounds["arithmetic"] / seconds[way],
                "by arithmetic, ms": 1000 * bounds["arithmetic"],
                "by memory, ms": 1000 * bounds["memory"],
                "step over the larger": seconds[way] / highest,
            }
        )
    return pd.DataFrame(rows)


def document(size: Size, rounds: int, peaks: Peaks, table: pd.DataFrame) -> str:
    """Return the page without its footer."""
    return f"""# A search step against the machine's peaks

One weight step and one alpha step of first-order DARTS: {size}, float32, CPU,
one thread. Times are medians of {rounds} rounds in which the ways take turns.

One thread of this machine reaches {figure(peaks.flops / 1e9)} GFLOP/s in a large product of matrices, and
{figure(peaks.bytes / 1e9)} GB/s in a large copy, read and written. Above {figure(peaks.flops / peaks.bytes)} FLOP a
byte arithmetic is the limit, below it memory.

- *GFLOP* counts convolutions and matrix products, two operations for a multiply-add (`torch.utils.flop_counter`).
- *GB* counts unfused traffic: every operator that runs reads each of its inputs from memory once and writes each of its
  outputs there once; views are free. Caches make the true traffic smaller, and operators that read twice, or copy into
  a layout of their own, make it larger.
- *By arithmetic* and *by memory* are the times that these take at the peaks. A step that takes less than the second
  lives from caches.
- Compiled code cannot be looked into: its arithmetic is that of the fused step, its traffic is not counted.

{markdown(table)}
"""


@click.command()
@size_options(Size())
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--way", "ways", multiple=True, type=click.Choice(list(WAYS)), help="Only these; repeat.")
@page_options
def main(size: Size, rounds: int, ways: tuple[str, ...], quick: bool, output: Path | None) -> None:
    """Measure the peaks and the ways, and write the table."""
    torch.set_num_threads(1)
    rows, copied = 2048, 1 << 28
    if quick:
        size, rounds, rows, copied = QUICK, 1, 256, 1 << 20
    chosen = ways or CHOSEN
    peaks = measure_peaks(rows, copied, rounds)
    works = count_ways(size, chosen)
    seconds = {way: statistics.median(timing.wall) for way, timing in measure(size, chosen, rounds).items()}
    table = roofline_table(works, seconds, peaks)
    write_page(NAME, document(size, rounds, peaks, table), table, quick=quick, output=output)


if __name__ == "__main__":
    main()
