"""Does a search on this machine's card compute what it computes on the processor? A line for each check.

    python -m benchmarks.card_checks --output FOLDER/card_checks.md

On images of noise, with `darts`. A check that fails or breaks off is a line too, and the exit status is then 1. Where
there is no card, --device cpu shows that the checks themselves work.
"""

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pandas as pd
import torch
from torch import Tensor

from benchmarks.page import markdown, page_options, write_page
from benchmarks.step_ways import BATCHES, QUICK, Size, noise, protocol, start_search
from harness.base.determinism import deterministic_algorithms
from harness.base.errors import UserError, in_one_line
from harness.search.loop import Search
from harness.search.steps import Step

NAME = "card_checks"
SIZE = Size(cells_per_stage=1, batch=32)
EPOCHS = 2
BFLOAT16 = 0.5
"""Largest relative error in bfloat16: on processors it was 0.2 to 0.4, for batch norms subtract what is near."""


def search(size: Size, device: str, precision: str = "float32", **network: bool) -> Search:
    """Return a search at its beginning, which starts alike on every device."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    settings = protocol(size, precision, device, **network)
    return start_search(settings, noise(settings, BATCHES))


def slopes(one: Search) -> list[Tensor]:
    """Return the gradients of a first step, of all weights and of alpha, float64 on the host."""
    batches = [next(iter(one.data.epoch(half, 0))) for half in ("train", "valid")]
    step = Step(one, 0, *batches)
    of_weights = step.weight_gradients().values()
    of_alpha = one.variant.alpha_gradient(step) or {}
    return [value.detach().cpu().double() for value in (*of_weights, *of_alpha.values()) if value is not None]


def error(found: list[Tensor], expected: list[Tensor]) -> float:
    """Return the relative error, in the norm of all tensors together."""
    one, other = (torch.cat([value.flatten() for value in values]) for values in (found, expected))
    return float((one - other).norm() / other.norm())


def moved(one: Search) -> list[Tensor]:
    """Return weights and alpha after a few epochs, on the host."""
    for _ in range(EPOCHS):
        one.run_epoch()
    return [value.detach().cpu() for value in (*one.supernet.state_dict().values(), *one.architecture.values())]


def differing(found: list[Tensor], expected: list[Tensor]) -> float:
    """Return how many tensors differ in any bit."""
    return float(sum(not torch.equal(one, other) for one, other in zip(found, expected, strict=True)))


def resumed(size: Size, device: str) -> float:
    """Return how many tensors differ between a search that went on and one that was taken up from its state."""
    undisturbed, other = search(size, device), search(size, device)
    undisturbed.run_epoch()
    other.load_state(copy.deepcopy(undisturbed.state()))
    return differing(moved(other), moved(undisturbed))


def checks(size: Size, device: str) -> dict[str, tuple[Callable[[], float], float]]:
    """Return by name what gives a figure, and how large it may be."""

    def against(reference: str, **ours: Any) -> Callable[[], float]:
        return lambda: error(slopes(search(size, device, **ours)), slopes(search(size, "cpu", reference)))

    def same_bits(**ours: Any) -> Callable[[], float]:
        return lambda: differing(moved(search(size, device, **ours)), moved(search(size, device)))

    return {
        "gradients in float64, against the processor's": (against("float64", precision="float64"), 1e-9),
        "gradients in float32, against the processor's in float64": (against("float64"), 1e-3),
        "gradients in tf32, against float64": (against("float64", precision="tf32"), 2e-2),
        "gradients in bfloat16, against float64": (against("float64", precision="bfloat16"), BFLOAT16),
        "the same search twice: tensors that differ": (same_bits(), 0),
        "with CUDA graphs: tensors that differ": (same_bits(cuda_graphs=True), 0),
        "resumed from its state: tensors that differ": (lambda: resumed(size, device), 0),
        "compiled gradients, against float64": (against("float64", compile=True), 1e-3),
        "compiled gradients in bfloat16": (against("float64", precision="bfloat16", compile=True), BFLOAT16),
    }


def run_checks(size: Size, device: str) -> pd.DataFrame:
    """Return a row a check."""
    rows = []
    for name, (measure, bound) in checks(size, device).items():
        if "CUDA" in name and device == "cpu":
            continue
        figure, told = float("nan"), "passed"
        try:
            with deterministic_algorithms(device == "cuda") as without:
                figure = measure()
            told = "passed" if figure <= bound else "failed"
            told += f"; no fixed order in {', '.join(without)}" if without else ""
        except Exception as reason:  # one that breaks off must not hide the others
            told = f"broke off: {type(reason).__name__}: {in_one_line(reason)}"
        rows.append({"check": name, "figure": figure, "at most": bound, "outcome": told})
        click.echo(f"{name}: {figure:.3g}, at most {bound:g}: {told}", err=True)
    return pd.DataFrame(rows)


@click.command()
@click.option("--device", default="cuda", show_default=True, type=click.Choice(["cuda", "cpu"]))
@page_options
def main(device: str, quick: bool, output: Path | None) -> None:
    """Run the checks and write the page."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("torch finds no CUDA device here: --device cpu shows that the checks work")
    size = QUICK if quick else SIZE
    table = run_checks(size, device)
    text = f"# Is it right on a card?\n\n`darts`, {size}; relative errors are those of all tensors together.\n\n"
    card = torch.cuda.get_device_name() if device == "cuda" else None
    write_page(NAME, text + markdown(table), table, quick=quick, output=output, device=card)
    sys.exit(0 if table["outcome"].str.startswith("passed").all() else 1)


if __name__ == "__main__":
    main()
