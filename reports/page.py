"""The report: one self-contained HTML page, the same as Markdown, and its tables and figures as files."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel

from harness.cell import OPERATIONS, Cell
from harness.drawing import OPERATION_COLOURS, OPERATION_LABELS, cell_svg
from harness.errors import UserError
from harness.protocol import Board
from reports import rules, strips, style, summary, tables, trajectories
from reports.results import Results, TruthColumn, load_results
from reports.style import Picture

CELLS_SHOWN = 24
"""Distinct cells that the page draws; the rest stands in tables/cells.csv."""

PAGES = ("report.md", "report.html")
FOLDERS = ("tables", "figures")


@dataclass(frozen=True)
class FoundCell:
    """A found cell as the page shows it."""

    svg: str
    row: dict[str, Any]
    """Its row of `summary.found_cells`."""


@dataclass(frozen=True)
class Pictures:
    """The figures of the report; those that the results have nothing for are absent."""

    strips: list[tuple[TruthColumn, Picture]]
    searches: list[tuple[TruthColumn, Picture]]
    baselines: list[tuple[TruthColumn, Picture]]
    diagnostics: Picture | None
    weights: list[Picture]
    costs: Picture | None

    def all(self) -> Iterator[Picture]:
        """Yield every picture."""
        for _, picture in (*self.strips, *self.searches, *self.baselines):
            yield picture
        yield from (picture for picture in (self.diagnostics, *self.weights, self.costs) if picture is not None)


def build_report(results: Path, board: Board, output: Path) -> Path:
    """Write report.html, report.md, tables/ and figures/ into `output` and return the HTML page.

    The page is the last file to appear, and an older report is replaced only when the new one is complete.

    Raises:
        UserError: the results are missing or damaged, or `output` cannot be written.
    """
    loaded = load_results(results)
    comparison = summary.comparison(loaded)
    order = [str(variant) for variant in comparison.index]
    shown = [
        tables.comparison(loaded, comparison),
        tables.means(loaded, comparison),
        tables.costs(loaded, order),
        tables.cells(loaded),
        rules.rules_table(loaded, order),
        tables.runs(loaded),
    ]
    pictures = _draw(loaded, comparison, order)
    context = _context(loaded, board, comparison, {table.name: table for table in shown}, pictures)
    return _write(output, shown, list(pictures.all()), context)


def _draw(results: Results, comparison: pd.DataFrame, order: list[str]) -> Pictures:
    epochs = results.epochs
    searched = epochs.loc[epochs["kind"] == "search", list(trajectories.DIAGNOSTICS)]
    diagnostics, costs = None, None
    if searched.notna().any(axis=None):
        title = "Skip weight, entropy and margin over the epochs"
        diagnostics = style.draw("diagnostics", title, trajectories.diagnostics_over_epochs, results, order)
    if not results.finished.empty:
        costs = style.draw("costs", "Cost of every run", strips.cost_strip, results, comparison)
    return Pictures(
        strips=[(column, _draw_strip(results, comparison, column)) for column in results.columns],
        searches=_draw_truth(results, order, "search"),
        baselines=_draw_truth(results, order, "baseline"),
        diagnostics=diagnostics,
        weights=_draw_weights(results, order),
        costs=costs,
    )


def _draw_strip(results: Results, comparison: pd.DataFrame, column: TruthColumn) -> Picture:
    title = f"Truth of every run: {column.label}"
    return style.draw(f"truth-{column.slug}", title, strips.truth_strip, results, comparison, column)


def _draw_truth(results: Results, order: list[str], kind: str) -> list[tuple[TruthColumn, Picture]]:
    if kind not in set(results.epochs["kind"]):
        return []
    drawn = []
    for column in results.columns:
        title = f"Truth over the {'epochs' if kind == 'search' else 'evaluations'}: {column.label}"
        plot = trajectories.truth_over_epochs
        drawn.append((column, style.draw(f"truth-{kind}-{column.slug}", title, plot, results, order, kind, column)))
    return drawn


def _draw_weights(results: Results, order: list[str]) -> list[Picture]:
    with_alpha = set(results.alpha["variant"])
    drawn = []
    for place, variant in enumerate(order, start=1):
        if variant in with_alpha:
            # Two names may have the same slug; the place tells their files apart.
            name = f"op-weights-{place:02d}-{slug(variant)}"
            drawn.append(style.draw(name, f"Op weights: {variant}", trajectories.op_weights, results, variant))
    return drawn


def slug(name: str) -> str:
    """Return a form of a name that is safe in file names and in HTML names."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "variant"


def _context(
    results: Results, board: Board, comparison: pd.DataFrame, shown: dict[str, tables.Table], pictures: Pictures
) -> dict[str, Any]:
    found = summary.found_cells(results)
    searches = comparison.index[comparison["kind"] == "search"]
    provenance = results.provenance
    return {
        "results": results,
        "protocol": provenance.get("protocol", board.protocol),
        "searches": len(searches),
        "baselines": len(comparison) - len(searches),
        "seeds": len(board.seeds),
        "findings": summary.findings(results, comparison),
        "tables": shown,
        "pictures": pictures,
        "lost": summary.without_result(results).to_dict("records"),
        "without_alpha": [variant for variant in searches if variant not in set(results.alpha["variant"])],
        "cells": [_found_cell(row) for _, row in found.head(CELLS_SHOWN).iterrows()],
        "cell_total": len(found),
        "machines": _machines(results),
        "settings": list(flatten(board.chosen)),
        "variant_settings": {**board.variants, **board.baselines},
        "provenance": list(_provenance(results)),
        "operations": [(OPERATION_LABELS[name], OPERATION_COLOURS[name]) for name in OPERATIONS],
        "column_heading": tables.column_heading,
    }


def _found_cell(row: pd.Series) -> FoundCell:
    return FoundCell(cell_svg(Cell.from_string(row["cell"])), {str(key): value for key, value in row.items()})


def _machines(results: Results) -> list[str]:
    machines = results.finished[["device", "processor"]].dropna().drop_duplicates()
    return [f"{row.processor} ({row.device})" for row in machines.itertuples()]


def flatten(settings: BaseModel, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (key, value, what it means) of settings, with the keys of nested ones joined by dots."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", plain(value), (field.description or "").replace("`", "")


def plain(value: Any) -> str:
    """Return a setting as params.yaml writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return "[" + ", ".join(plain(item) for item in value) + "]"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {plain(item)}" for key, item in value.items())
    return str(value)


def _provenance(results: Results) -> Iterator[tuple[str, str]]:
    source = results.truth_source
    yield "truth source", plain(source["source"])
    yield "truth file", plain(source["file"])
    yield "truth SHA-256", plain(source["sha256"])
    yield "cells in the table", plain(source["cells"])
    yield "columns it lacks", ", ".join(results.missing_columns) or "none"
    for key, value in results.provenance.items():
        yield key.replace("_", " "), plain(value)


def _write(output: Path, shown: list[tables.Table], pictures: list[Picture], context: dict[str, Any]) -> Path:
    staging = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        for folder in FOLDERS:
            (staging / folder).mkdir(parents=True)
        for table in shown:
            table.data.to_csv(staging / "tables" / f"{table.name}.csv", index=False)
            (staging / "tables" / f"{table.name}.md").write_text(tables.to_markdown(table), encoding="utf-8")
            (staging / "tables" / f"{table.name}.tex").write_text(tables.to_latex(table), encoding="utf-8")
        for picture in pictures:
            (staging / "figures" / f"{picture.name}.svg").write_text(picture.svg, encoding="utf-8")
            (staging / "figures" / f"{picture.name}.png").write_bytes(picture.png)
        for name, text in _render(context).items():
            (staging / name).write_text(text, encoding="utf-8")
        _replace(staging, output)
    except OSError as error:
        raise UserError(f"{output} could not be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return output / "report.html"


def _render(context: dict[str, Any]) -> dict[str, str]:
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"markdown": tables.escape_markdown, "markdown_table": tables.to_markdown, "plain": plain}
    return {name: environment.get_template(f"{name}.jinja").render(context) for name in PAGES}


def _replace(staging: Path, output: Path) -> None:
    """Move the finished files into `output`, over those of an older report and beside whatever else is there."""
    for path in staging.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    output.mkdir(parents=True, exist_ok=True)
    for name in FOLDERS:
        if (output / name).exists():
            (output / name).rename(staging / f"old-{name}")
        (staging / name).rename(output / name)
    for name in PAGES:
        (staging / name).replace(output / name)
