"""How long does one step of DARTS take, and how much memory? Public codes' way against this project's.

    python -m benchmarks.step_time

writes benchmarks/results/step_time.md and .csv; --quick is a tiny size that shows that the benchmark works. The
ways take their steps in turn in one process, so that whatever else the machine does meets all of them alike.
"""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
import pandas as pd
import torch

from benchmarks.page import markdown, page_options, write_page
from benchmarks.step_ways import MEMORY_WAYS, QUICK, WAYS, Size, size_options
from harness.base.processes import usable_cores
from harness.base.processor import bfloat16_instructions

NAME = "step_time"


@dataclass(frozen=True)
class Timing:
    """Seconds of the steps of one way, one entry a round."""

    wall: list[float]
    cpu: list[float]
    """Of all threads of the process, user and system: what other programs do hardly counts."""
    first: float
    """Wall seconds of the step before the first round, with all that is compiled or loaded only once."""


def measure(size: Size, ways: Sequence[str], rounds: int) -> dict[str, Timing]:
    """Time the steps of several ways, which take turns."""
    timings = {}
    steps = {}
    for way in ways:
        steps[way] = WAYS[way](size).step
        started = time.perf_counter()
        steps[way]()
        timings[way] = Timing([], [], first=time.perf_counter() - started)
    for _ in range(rounds):
        for way, step in steps.items():
            wall, cpu = time.perf_counter(), time.process_time()
            step()
            timings[way].cpu.append(time.process_time() - cpu)
            timings[way].wall.append(time.perf_counter() - wall)
    return timings


def time_table(timings: dict[str, Timing]) -> pd.DataFrame:
    """Return a row a way: medians, and how many times faster than the first way."""
    first = next(iter(timings.values()))
    return pd.DataFrame(
        {
            "way": way,
            "seconds a step": statistics.median(timing.wall),
            "fastest": min(timing.wall),
            "slowest": max(timing.wall),
            "times faster": statistics.median(first.wall) / statistics.median(timing.wall),
            "CPU seconds a step": statistics.median(timing.cpu),
            "times less CPU": statistics.median(first.cpu) / statistics.median(timing.cpu),
            "first step": timing.first,
        }
        for way, timing in timings.items()
    )


def step_memory(way: str, size: Size) -> int:
    """Return by how many bytes this process grows at most during its second step."""
    step = MEMORY_WAYS[way](size).step
    step()
    # Linux: 5 sets the largest resident size back to the present one.
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before = resource_kilobytes("VmRSS")
    step()
    return 1024 * (resource_kilobytes("VmHWM") - before)


def resource_kilobytes(name: str) -> int:
    """Return one line of this process's status."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def memory_table(size: Size, ways: Sequence[str]) -> pd.DataFrame:
    """Return a row a way: the memory of one step, each measured in a process of its own."""
    with ThreadPoolExecutor(usable_cores()) as pool:  # the processes cannot disturb what each other takes
        found = pool.map(lambda way: _memory_apart(size, way), ways)
        return pd.DataFrame({"way": ways, "MiB a step": [one / 2**20 for one in found]})


def _memory_apart(size: Size, way: str) -> int:
    # Freed blocks go back to the system at once, so that the second step shows what it needs.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    command = [sys.executable, "-m", f"benchmarks.{NAME}", *size.options, "--memory-of", way]
    return int(
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True, encoding="utf-8").stdout
    )


def document(size: Size, rounds: int, threads: int, times: pd.DataFrame, memory: pd.DataFrame | None) -> str:
    """Return the page without its footer."""
    memory_part = ""
    if memory is not None:
        memory_part = f"""
Memory: by how much the resident size of a process grows at most during one step, beyond what it holds between steps.
Each way runs in a process of its own.

{markdown(memory)}
"""
    return f"""# The time of one search step

One weight step and one alpha step of first-order DARTS: {size}, CPU,
threads: {threads}; float32 where no precision is named. Medians of {rounds} rounds; the ways take turns in one process.
CPU seconds are those of the process alone, user and system. The first step compiles, or loads what was compiled before.

- *per edge, NCHW, Pillow loader*: what public DARTS and NAS-Bench-201 codes do, written anew for this comparison. Each
  edge computes all five operations, also the multiplication by zero; both steps take the gradients of weights and
  alpha; images are cropped, flipped and normalised one by one with torchvision's transforms, in the same process.
- *per edge*: the same cells in this project's loop: images stay on the device as bytes, batches are augmented at once,
  memory is channels_last, and each step takes the gradients that it uses.
- *fused*: the edges that leave a node are computed together (the default).
- *fused and compiled*: `network.compile: true`.
- *bfloat16*: `precision: bfloat16`; this processor has for it: {", ".join(bfloat16_instructions() or ["nothing"])}.

{markdown(times)}
{memory_part}"""


@click.command()
@size_options(Size())
@click.option("--rounds", default=9, show_default=True, type=click.IntRange(min=1))
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1))
@click.option("--way", "ways", multiple=True, type=click.Choice(list(WAYS)), help="Only these; repeat.")
@click.option("--memory/--no-memory", default=True, show_default=True, help="Measure memory too.")
@click.option("--memory-of", hidden=True, type=click.Choice(list(MEMORY_WAYS)))
@page_options
def main(
    size: Size,
    rounds: int,
    threads: int,
    ways: tuple[str, ...],
    memory: bool,
    memory_of: str | None,
    quick: bool,
    output: Path | None,
) -> None:
    """Measure the ways and write the table."""
    torch.set_num_threads(threads)
    if memory_of is not None:
        click.echo(step_memory(memory_of, size))
        return
    if quick:
        size, rounds = QUICK, 3
    chosen = list(ways or WAYS)
    times = time_table(measure(size, chosen, rounds))
    table, memories = times, None
    if memory:
        memories = memory_table(size, [way for way in MEMORY_WAYS if way in chosen or way not in WAYS])
        table = times.merge(memories, on="way", how="outer", sort=False)
    text = document(size, rounds, threads, times, memories)
    packages = ("torch", "torchvision", "pillow", "numpy")
    write_page(NAME, text, table, quick=quick, output=output, packages=packages)


if __name__ == "__main__":
    main()
