"""What does a search with each variant cost, relative to one with DARTS? Measured, beside what the variants declare.

    python -m benchmarks.variant_cost

takes every registered variant, those of installed packages too, with its default settings. Writes
benchmarks/results/variant_cost.md and .csv; --quick is a tiny size that shows that the benchmark works.
"""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import pandas as pd
import torch

from benchmarks.page import markdown, page_options, write_page
from benchmarks.step_ways import QUICK, Size, noise, protocol, size_options, start_search
from harness.images.decoded import ImageArrays
from harness.search import registry
from harness.search.loop import Search
from harness.search.variant import Decision, SearchLength, SearchView, Variant
from harness.settings.protocol import Protocol
from variants.darts import Darts

NAME = "variant_cost"
DEFAULT = Size(cells_per_stage=1, channels=16, batch=32, image_size=16)


@dataclass
class Cost:
    """What one whole search took."""

    seconds: float = 0.0
    """Of its steps."""
    steps: int = 0
    passes: float = 0.0
    """Forward-backward passes of one batch through the supernet, in steps."""
    further_seconds: float = 0.0
    """Of what the method does between epochs."""
    further_passes: float = 0.0

    @property
    def step_seconds(self) -> float:
        """Mean over the search."""
        return self.seconds / self.steps

    def watch(self, search: Search) -> None:
        """Count from now on what the method does between epochs."""
        decide = search.variant.end_of_epoch

        def watched(search: SearchView) -> Decision:
            passes, started = search.passes, time.perf_counter()
            decision = decide(search)
            self.further_seconds += time.perf_counter() - started
            self.further_passes += search.passes - passes
            return decision

        search.variant.end_of_epoch = watched  # type: ignore[method-assign]


def search_all(variants: dict[str, type[Variant]], settings: Protocol, arrays: ImageArrays) -> dict[str, Cost]:
    """Take every variant through a whole search, an epoch of each in turn."""
    searches = {name: start_search(settings, arrays, method) for name, method in variants.items()}
    costs = {name: Cost() for name in variants}
    for name, search in searches.items():
        costs[name].watch(search)
    for _ in range(settings.epochs):
        for name, search in searches.items():
            if search.stop_reason is None:
                costs[name].seconds += search.run_epoch()["seconds"]
                costs[name].steps += search.data.steps_per_epoch
    for name, search in searches.items():
        costs[name].seconds -= costs[name].further_seconds
        costs[name].passes = search.passes - costs[name].further_passes
    return costs


def cost_table(
    variants: dict[str, type[Variant]], rounds: Sequence[dict[str, Cost]], length: SearchLength
) -> pd.DataFrame:
    """Return a row a variant, the cheapest first: medians over the rounds, and how they compare with DARTS."""

    def median_seconds(name: str) -> float:
        return statistics.median(costs[name].step_seconds for costs in rounds)

    reference = median_seconds(Darts.name)
    a_pass = reference / Darts.passes_per_step
    rows = []
    for name, method in variants.items():
        first = rounds[0][name]
        counted = first.passes / first.steps
        ratio = median_seconds(name) / reference
        further_seconds = statistics.median(costs[name].further_seconds for costs in rounds)
        rows.append(
            {
                "variant": name,
                "step, ms": 1000 * median_seconds(name),
                "times DARTS": ratio,
                "passes a step, declared": float(method.passes_per_step),
                "passes a step, counted": counted,
                "a pass, times DARTS": ratio * Darts.passes_per_step / counted,
                "steps": first.steps,
                "passes between epochs, declared": method.further_passes(method.Settings(), length),
                "passes between epochs, counted": first.further_passes,
                "such a pass, times DARTS": further_seconds / first.further_passes / a_pass
                if first.further_passes
                else math.nan,
            }
        )
    return pd.DataFrame(rows).sort_values("times DARTS", ignore_index=True)


def document(size: Size, epochs: int, steps: int, rounds: int, table: pd.DataFrame) -> str:
    """Return the page without its footer."""
    return f"""# The cost of a step, variant by variant

Every registered variant with its default settings:
{size}, noise, float32, CPU, one thread. A search is
{epochs} epochs of {steps} steps, and the time of a step is the mean over the whole search: phases without alpha steps,
smaller networks and steps of alpha that come only now and then count as often as they occur, and so does rebuilding the
network. The searches take turns, an epoch each; medians of {rounds} such rounds. Diagnostics, and what a method does at
the end to derive its cell, do not count.

*Passes* are forward-backward passes of one batch through the supernet, of which DARTS makes two a step; declared is
what the variant's file says. *A pass, times DARTS* tells how dear its passes are: below 1 where the network is smaller
or only some operations are computed, above 1 where a method computes much beside its passes. A method that stopped by
its own rule has fewer steps. What a method does *between epochs* stands apart, for the whole search: it depends on the
number of images and of epochs, and what is declared is the most that it may be.

{markdown(table)}
"""


@click.command()
@size_options(DEFAULT)
@click.option("--epochs", default=30, show_default=True, type=click.IntRange(min=1), help="Of a search.")
@click.option("--steps", default=1, show_default=True, type=click.IntRange(min=1), help="Of an epoch.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1))
@page_options
def main(size: Size, epochs: int, steps: int, rounds: int, quick: bool, output: Path | None) -> None:
    """Measure all variants and write the table.

    The defaults make whole epochs of the shares of a search, and whole periods of the steps, that methods count in.
    """
    torch.set_num_threads(1)
    if quick:
        size, epochs, steps, rounds = QUICK, 4, 1, 1
    settings = protocol(size).model_copy(update={"epochs": epochs})
    arrays = noise(settings, steps)
    variants = {name: method for name, method in registry.methods().items() if issubclass(method, Variant)}
    length = SearchLength(epochs, steps, settings.batch_size)
    table = cost_table(variants, [search_all(variants, settings, arrays) for _ in range(rounds)], length)
    write_page(NAME, document(size, epochs, steps, rounds, table), table, quick=quick, output=output)


if __name__ == "__main__":
    main()
