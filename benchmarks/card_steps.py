"""How long does a step of DARTS take on this machine's card, in every way that the protocol can ask for?

    python -m benchmarks.card_steps --output FOLDER/card_steps.md

A weight step and an alpha step on images of noise, one search alone. Where there is no card, --device cpu shows that
the benchmark works.
"""

import statistics
import time
from itertools import product
from pathlib import Path
from typing import Any

import click
import pandas as pd
import torch

from benchmarks.page import markdown, page_options, write_page
from benchmarks.step_ways import QUICK, OurSearch, PlainSearch, Size, size_options
from harness.base.errors import UserError, in_one_line

NAME = "card_steps"
PRECISIONS = ("float32", "tf32", "bfloat16")
LAUNCHES: dict[str, dict[str, bool]] = {
    "operator by operator": {},
    "CUDA graphs": {"cuda_graphs": True},
    "compiled": {"compile": True},
    "compiled, CUDA graphs": {"compile": True, "cuda_graphs": True},
}
WARM_UPS = 6
"""Steps before the first that counts: kinds of passes are recorded at their second meeting."""


def seconds_of(search: OurSearch, device: str, steps: int) -> tuple[list[float], float]:
    """Return the seconds of so many steps, and of all that came before the first of them."""
    started = time.perf_counter()
    for _ in range(WARM_UPS):
        search.step()
    _finish(device)
    before = time.perf_counter() - started
    seconds = []
    for _ in range(steps):
        started = time.perf_counter()
        search.step()
        _finish(device)
        seconds.append(time.perf_counter() - started)
    return seconds, before


def _finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def measure(size: Size, device: str, steps: int) -> pd.DataFrame:
    """Return a row a way; one that breaks off says why."""
    ways: list[tuple[str, str, dict[str, Any]]] = [("float32", "edge by edge", {"kind": PlainSearch})]
    ways += [(precision, launch, settings) for (launch, settings), precision in product(LAUNCHES.items(), PRECISIONS)]
    rows = []
    for precision, launch, settings in ways:
        if device == "cpu" and "cuda_graphs" in settings:
            continue
        row: dict[str, Any] = {"precision": precision, "launched": launch}
        try:
            torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
            torch.backends.cudnn.allow_tf32 = precision == "tf32"
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            seconds, before = seconds_of(OurSearch(size, precision=precision, device=device, **settings), device, steps)
            row |= {"step, ms": 1000 * statistics.median(seconds), "fastest": 1000 * min(seconds)}
            row |= {"slowest": 1000 * max(seconds), "first steps, s": before}
            if device == "cuda":
                row["memory, MB"] = torch.cuda.max_memory_reserved() / 1e6
        except Exception as reason:  # the other ways go on
            row["remark"] = f"{type(reason).__name__}: {in_one_line(reason)}"
        rows.append(row)
        click.echo(", ".join(f"{key} {value}" for key, value in row.items()), err=True)
    table = pd.DataFrame(rows)
    table.insert(3, "times faster", table["step, ms"].iloc[0] / table["step, ms"])
    return table.assign(remark=table["remark"].fillna("")) if "remark" in table else table


@click.command()
@size_options(Size())
@click.option("--device", default="cuda", show_default=True, type=click.Choice(["cuda", "cpu"]))
@click.option("--steps", default=30, show_default=True, type=click.IntRange(min=1), help="Of each way.")
@page_options
def main(size: Size, device: str, steps: int, quick: bool, output: Path | None) -> None:
    """Measure and write the page."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("torch finds no CUDA device here: --device cpu shows that the benchmark works")
    if quick:
        size, steps = QUICK, 3
    table = measure(size, device, steps)
    text = f"""# The time of a step on a card

One weight step and one alpha step of first-order DARTS, one search alone: {size}. Medians of {steps} steps;
*first steps* are {WARM_UPS}, with all that is compiled, recorded or tuned in them. *Edge by edge* is the plain network
in the same loop.

{markdown(table)}
"""
    card = torch.cuda.get_device_name() if device == "cuda" else None
    write_page(NAME, text, table, quick=quick, output=output, device=card)


if __name__ == "__main__":
    main()
