"""Writes a finished report: its pages, its tables and its figures, all of them or none."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.base.errors import UserError
from reports.drawing.picture import Picture
from reports.tables.latex import to_latex
from reports.tables.markdown import to_markdown
from reports.tables.table import Table

TABLES, FIGURES, VARIANTS = "tables", "figures", "variants"
FOLDERS = (TABLES, FIGURES, VARIANTS)


def write_report(output: Path, pages: dict[str, str], shown: Iterable[Table], pictures: Iterable[Picture]) -> None:
    """Write the files into `output`: those of an older report go, whatever else is there stays.

    Args:
        output: the folder of the report.
        pages: text by path; the last appears last.
        shown: each becomes tables/NAME.csv, .md and .tex.
        pictures: each becomes figures/NAME.svg and .png.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    staging = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        for folder in FOLDERS:
            (staging / folder).mkdir(parents=True)
        for table in shown:
            _write_table(staging / TABLES, table)
        for picture in pictures:
            (staging / FIGURES / f"{picture.name}.svg").write_text(picture.svg, encoding="utf-8")
            (staging / FIGURES / f"{picture.name}.png").write_bytes(picture.png)
        for name, text in pages.items():
            (staging / name).write_text(text, encoding="utf-8")
        _replace(staging, output, [name for name in pages if "/" not in name])
    except OSError as error:
        raise UserError(f"{output} could not be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write_table(folder: Path, table: Table) -> None:
    table.data.map(_no_formula).to_csv(folder / f"{table.name}.csv", index=False)
    (folder / f"{table.name}.md").write_text(to_markdown(table), encoding="utf-8")
    (folder / f"{table.name}.tex").write_text(to_latex(table), encoding="utf-8")


def _no_formula(value: Any) -> Any:
    """Return a text that a spreadsheet would run as one that it shows, all else as it is."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "@", "\t", "\r")) else value


def _replace(staging: Path, output: Path, pages: list[str]) -> None:
    for path in staging.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    output.mkdir(parents=True, exist_ok=True)
    for name in FOLDERS:
        if (output / name).exists():
            (output / name).rename(staging / f"old-{name}")
        (staging / name).rename(output / name)
    for name in pages:
        (staging / name).replace(output / name)
