"""Running a benchmark at its tiny size."""

from pathlib import Path

import click
import pandas as pd
from click.testing import CliRunner


def quick_page(command: click.Command, folder: Path, *options: str) -> tuple[str, pd.DataFrame]:
    """The page that a benchmark writes with --quick, and its table."""
    path = folder / "results" / "page.md"
    result = CliRunner().invoke(command, ["--quick", "--output", str(path), *options])
    assert result.exit_code == 0, result.output
    page = path.read_text()
    for part in ("- command: `python -m benchmarks.", "- versions: Python ", "- hardware: ", "- date: 20"):
        assert part in page
    table = pd.read_csv(path.with_suffix(".csv"))
    shown = [line for line in page.splitlines() if line.startswith("|")]
    assert len(shown) >= len(table) + 2
    return page, table
