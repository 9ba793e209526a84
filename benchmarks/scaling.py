"""How does the time of a search step grow with the network, the batch and the images? One factor at a time.

    python -m benchmarks.scaling

writes benchmarks/results/scaling.md and .csv; --quick is a tiny size that shows that the benchmark works.
"""

import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch

from benchmarks.page import markdown, page_options, write_page
from benchmarks.step_time import measure
from benchmarks.step_ways import QUICK, Size, size_options

NAME = "scaling"
WAYS = ("per edge", "fused")
BASE = Size(cells_per_stage=2, channels=16, batch=32, image_size=16)
MULTIPLES = (0.5, 1, 2, 4)
"""Of the base, for each factor."""
FACTORS = {
    "cells_per_stage": "cells a stage, N",
    "channels": "channels, C",
    "batch": "images a batch",
    "image_size": "pixels a side",
}


def sizes(base: Size, multiples: Sequence[float]) -> dict[tuple[str, int], Size]:
    """Return the sizes to measure by (factor, value): the base with one factor at one of its multiples."""
    found = {}
    for key in FACTORS:
        for multiple in multiples:
            value = int(getattr(base, key) * multiple)
            if value >= 1:
                found[key, value] = replace(base, **{key: value})
    return found


def time_table(base: Size, multiples: Sequence[float], rounds: int) -> pd.DataFrame:
    """Return a row a factor and value: median milliseconds of a step, each way."""
    known: dict[Size, dict[str, float]] = {}
    rows = []
    for (key, value), size in sizes(base, multiples).items():
        if size not in known:  # the base belongs to every factor
            timings = measure(size, WAYS, rounds)
            known[size] = {way: statistics.median(timing.wall) for way, timing in timings.items()}
        seconds = known[size]
        images_and_cells = size.batch * 3 * size.cells_per_stage
        rows.append(
            {
                "factor": FACTORS[key],
                "value": value,
                **{f"{way}, ms": 1000 * seconds[way] for way in WAYS},
                "times faster": seconds[WAYS[0]] / seconds[WAYS[1]],
                f"{WAYS[1]}, µs an image and cell": 1e6 * seconds[WAYS[1]] / images_and_cells,
            }
        )
    return pd.DataFrame(rows)


def exponents(times: pd.DataFrame) -> pd.DataFrame:
    """Return a row a factor and way: the slope of log time over log value, of all values and of the last two."""
    rows = []
    for factor, group in times.groupby("factor", sort=False):
        for way in WAYS:
            value, time = np.log(group["value"].to_numpy(float)), np.log(group[f"{way}, ms"].to_numpy())
            rows.append(
                {
                    "factor": factor,
                    "way": way,
                    "exponent": float(np.polyfit(value, time, 1)[0]),
                    "of the last two values": float((time[-1] - time[-2]) / (value[-1] - value[-2])),
                }
            )
    return pd.DataFrame(rows)


def document(base: Size, rounds: int, times: pd.DataFrame, slopes: pd.DataFrame) -> str:
    """Return the page without its footer."""
    return f"""# How the time of a search step grows

One weight step and one alpha step of first-order DARTS around a base, one factor at a time:
{base}, float32, CPU, one thread.
Medians of {rounds} rounds in which the ways take turns. *Per edge* computes each operation alone, *fused* the edges
that leave a node together.

{markdown(times)}

The exponent of a power law, fitted to the logarithms. The arithmetic of the convolutions grows with exponent 1 in N and
in the batch and with 2 in C and in the pixels a side; memory traffic likewise, but with 1 in C. An exponent below that
says that a part of the time is fixed (operators to start, weights to update), or that larger tensors are computed
better.

{markdown(slopes)}
"""


@click.command()
@size_options(BASE)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
@page_options
def main(size: Size, rounds: int, quick: bool, output: Path | None) -> None:
    """Measure around the size and write the table."""
    torch.set_num_threads(1)
    multiples: Sequence[float] = MULTIPLES
    if quick:
        size, rounds, multiples = QUICK, 1, (1, 2)
    times = time_table(size, multiples, rounds)
    write_page(NAME, document(size, rounds, times, exponents(times)), times, quick=quick, output=output)


if __name__ == "__main__":
    main()
