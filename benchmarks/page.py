"""What every benchmark shares: its options, and a page with the figures and what is needed to measure them again."""

import datetime
import functools
import math
import os
import platform
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pandas as pd

from harness.base.errors import UserError
from harness.base.files import whole_file
from harness.base.processes import usable_cores
from harness.base.processor import processor_name

RESULTS = Path(__file__).parent / "results"


def page_options(main: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options `--quick` and `--output`; a mistake of the user becomes one sentence."""

    @functools.wraps(main)
    def guarded(*arguments: Any, **options: Any) -> None:
        try:
            main(*arguments, **options)
        except UserError as error:
            raise click.ClickException(str(error)) from None

    output = click.option("--output", type=click.Path(path_type=Path), help="The page, instead of that in results/.")
    quick = click.option("--quick", is_flag=True, help="A tiny size that shows that all works, in a temporary folder.")
    return output(quick(guarded))


def write_page(
    name: str,
    text: str,
    table: pd.DataFrame,
    *,
    quick: bool,
    output: Path | None,
    packages: Sequence[str] = ("torch", "numpy"),
    remarks: Sequence[str] = (),
    device: str | None = None,
) -> None:
    """Write and show a page, and beside it its table as CSV.

    Args:
        name: of the benchmark's module; page and table have it too.
        text: the page, without what the footer says.
        table: its figures, for machines.
        quick: whether they are of a tiny size; then they do not go among the results.
        output: where the page goes instead.
        packages: those whose versions matter.
        remarks: further lines of the footer.
        device: name of the accelerator, if one was used.
    """
    path = output or (Path(tempfile.mkdtemp(prefix="benchmark-")) if quick else RESULTS) / f"{name}.md"
    page = f"{text.strip()}\n\n{footer(name, packages, remarks, device)}"
    with whole_file(path) as staging:
        staging.write_text(page, encoding="utf-8")
    with whole_file(path.with_suffix(".csv")) as staging:
        table.to_csv(staging, index=False, float_format="%.6g")
    click.echo(page)
    click.echo(path)


def footer(name: str, packages: Sequence[str], remarks: Sequence[str] = (), device: str | None = None) -> str:
    """Return the lines that say how and on what a page was made."""
    command = shlex.join(["python", "-m", f"benchmarks.{name}", *sys.argv[1:]])
    versions = ", ".join([f"Python {platform.python_version()}", *(f"{each} {version(each)}" for each in packages)])
    hardware = f"{processor_name()}, {usable_cores()} of {os.cpu_count()} processors for this process"
    lines = [
        f"command: `{command}`",
        *remarks,
        f"versions: {versions}",
        f"hardware: {hardware if device is None else f'{device}; {hardware}'}",
        f"load of the machine over the last 15 minutes: {os.getloadavg()[2]:.1f}",
        f"date: {datetime.datetime.now(tz=datetime.UTC).date().isoformat()}",
    ]
    return "".join(f"- {line}\n" for line in lines)


def markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown: numbers with three significant digits, nothing where there is none."""
    sides = ["right" if pd.api.types.is_numeric_dtype(kind) else "left" for kind in table.dtypes]
    text: str = table.map(figure).to_markdown(index=False, disable_numparse=True, colalign=sides)
    return text


def figure(value: object) -> str:
    """Return a cell of a table as text."""
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if math.isnan(value):
        return ""
    text = f"{value:.3g}"
    return f"{float(text):,.0f}" if abs(value) >= 100 else text
