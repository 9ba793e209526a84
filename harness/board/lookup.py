"""Joins the run records with the truth: the tables in results/ that the report and MLflow are made from."""

import datetime
import json
from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.base.files import read_json, whole_folder
from harness.base.parquet import read_parquet, write_parquet
from harness.base.processor import processor_name
from harness.board.plots import write_plots
from harness.records.environment import git_revision
from harness.records.record import (
    EPOCH_COLUMNS,
    FINISHED,
    OPTIONAL_TABLES,
    RUNS,
    Record,
    TableName,
    read_record,
    read_table,
    run_folder,
)
from harness.results.columns import CELL_MEASURES, SCHEMA_VERSION
from harness.settings.protocol import Board
from harness.space.cell import ALL_CONV3, ALL_SKIP, CONV1, NONE, POOL, RESIDUAL, Cell, Shape, all_cells
from harness.space.collapse import collapse_table
from harness.statistics.rank_correlation import rank_correlation_table
from harness.truth.cell_costs import cost_columns, describe_costs, read_costs
from harness.truth.columns import TruthColumns
from harness.truth.table import Truth

LANDMARKS = {
    "all skip": ALL_SKIP,
    "all 3x3 convolutions": ALL_CONV3,
    "residual cell": RESIDUAL,
    "all 1x1 convolutions": Cell((CONV1,) * 6),
    "all average pooling": Cell((POOL,) * 6),
    "all none": Cell((NONE,) * 6),
}
"""Cells to compare every result with, as far as the space has them: none needed a search."""

NEVER_RUN = "it was never run"

REPORTED_PACKAGES = ("torch", "numpy", "pandas", "mlflow", "dvc")


def look_up(board: Board, truth: Truth, output: Path, runs_root: Path = RUNS) -> None:
    """Write every table of results/ into `output`, all cells with their truths, metrics.json, and what DVC draws.

    The list of runs comes from the board, not from the folder: a removed seed is gone, and a run that failed or is
    missing has a row that says so.

    Raises:
        UserError: a record or the table of costs is damaged, or `output` cannot be written.
    """
    operations = board.chosen.operations
    columns = TruthColumns(truth, operations)
    tables = _collect(board, runs_root)
    for name in ("runs", "epochs", "derived", "draws", "one_shot"):
        tables[name] = pd.concat([tables[name], columns.look_up(tables[name]["cell_index"])], axis=1)
    tables["runs"] = pd.concat([tables["runs"], columns.percentiles(tables["runs"]["cell_index"])], axis=1)
    for name in ("runs", "derived"):
        tables[name] = pd.concat([tables[name], columns.spreads(tables[name]["cell_index"])], axis=1)
    tables["collapse"] = collapse_table(tables["epochs"], columns.main)
    tables["rank_correlation"] = rank_correlation_table(tables["one_shot"], list(columns.names().values()))
    tables["landmarks"] = _landmarks(columns, operations)
    tables["space"] = _space(columns, operations)
    if board.costs is not None:
        costs = read_costs(board.costs)
        for name in ("runs", "derived", "space"):
            tables[name] = pd.concat([tables[name], cost_columns(costs, tables[name]["cell_index"])], axis=1)
    ended_in = pd.concat([tables[name]["cell_index"] for name in ("runs", "derived", "landmarks")])
    tables["trainings"] = columns.trainings(ended_in)
    described = describe_costs(board.costs) if board.costs else {}
    with whole_folder(output) as folder:
        for name, table in tables.items():
            write_parquet(table, folder / f"{name}.parquet")
        write_plots(tables["runs"], tables["epochs"], columns.main, folder)
        _write_json(folder / "truth.json", _truth_description(truth, columns) | {"costs": described})
        _write_json(folder / "provenance.json", _provenance(board))
        _write_json(folder / "metrics.json", summary_metrics(tables["runs"], list(columns.names().values())))


def _collect(board: Board, runs_root: Path) -> dict[str, pd.DataFrame]:
    rows: dict[str, list[dict[str, Any]]] = {"runs": [], "derived": [], "draws": []}
    tables: dict[TableName, list[pd.DataFrame]] = {"epochs": [], "alpha": [], "one_shot": []}
    for kind, names in (("search", board.variants), ("baseline", board.baselines)):
        for name in names:
            for seed in board.seeds:
                folder = run_folder(name, seed, runs_root)
                identity: dict[str, Any] = {"variant": name, "seed": seed, "kind": kind}
                if not (folder / "record.json").exists():
                    rows["runs"].append({**_run_row(None), **identity, "status": "missing", "reason": NEVER_RUN})
                    continue
                record = read_record(folder)
                rows["runs"].append({**_run_row(record), **identity})
                rows["derived"] += [{**identity, "rule": rule, "cell": cell} for rule, cell in record.derived.items()]
                rows["draws"] += [{**identity, "cell": cell, "count": count} for cell, count in record.draws.items()]
                for table, found in tables.items():
                    found.append(read_table(folder, table, record).assign(**identity))
    runs, epochs = pd.DataFrame(rows["runs"]), _epochs_table(tables["epochs"])
    return {
        "runs": runs.merge(_diagnostics_seconds(epochs), on=["variant", "seed"], how="left"),
        "epochs": epochs,
        "alpha": _joined(tables["alpha"], ["variant", "seed", *OPTIONAL_TABLES["alpha"]]),
        "one_shot": _joined(tables["one_shot"], ["variant", "seed", *OPTIONAL_TABLES["one_shot"]]),
        "derived": _cell_table(rows["derived"], "rule", "cell"),
        "draws": _cell_table(rows["draws"], "cell", "count"),
    }


def _diagnostics_seconds(epochs: pd.DataFrame) -> pd.DataFrame:
    searches = epochs[epochs["kind"] == "search"]
    return searches.groupby(["variant", "seed"])["diagnostics_seconds"].sum().reset_index()


def _measures_of(cell: Cell) -> dict[str, float]:
    counts = {f"count_{operation}": count for operation, count in cell.counts.items()}
    size = {"parameters": cell.parameters(Shape()), "flops": cell.flops(Shape())}
    return {**counts, "depth": cell.depth, "width": cell.width, **size}


def _run_row(record: Record | None) -> dict[str, Any]:
    cell = Cell.from_string(record.cell) if record and record.cell and record.status in FINISHED else None
    return {
        "strategy": record and record.strategy,
        "status": record and record.status,
        "reason": record and record.reason,
        "notes": "; ".join(record.notes) if record else "",
        "epochs": record.epochs if record else 0,
        "cell": str(cell) if cell else None,
        "cell_index": cell.index if cell else np.nan,
        "canonical": cell.canonical if cell else None,
        **(_measures_of(cell) if cell else dict.fromkeys(CELL_MEASURES, np.nan)),
        "seconds": record.seconds if record else np.nan,
        "peak_memory_bytes": record.peak_memory_bytes if record else np.nan,
        "forward_backward_passes": record.forward_backward_passes if record else np.nan,
        "fingerprint": record and record.fingerprint,
        "device": record and record.environment.device,
        "processor": record and record.environment.processor,
        "threads": record.environment.threads if record else None,
        "deterministic": record.environment.deterministic if record else None,
    }


def _epochs_table(tables: list[pd.DataFrame]) -> pd.DataFrame:
    columns = ["variant", "seed", "kind", *EPOCH_COLUMNS]
    # Baselines and searches fill different columns; those a table lacks are NaN.
    filled = [table.reindex(columns=columns) for table in tables if len(table)]
    joined = pd.concat(_with_float_columns(filled)) if filled else pd.DataFrame(columns=columns)
    joined = joined.reset_index(drop=True)
    cells = {text: Cell.from_string(text) for text in joined["cell"].dropna().unique()}
    measures = {text: {"cell_index": cell.index, **_measures_of(cell)} for text, cell in cells.items()}
    for name in ("cell_index", *CELL_MEASURES):
        joined[name] = joined["cell"].map({text: measured[name] for text, measured in measures.items()}).astype(float)
    joined["train_valid_gap"] = joined["train_accuracy"] - joined["valid_accuracy"]
    return joined


def _with_float_columns(tables: list[pd.DataFrame]) -> list[pd.DataFrame]:
    numbers = [name for name in EPOCH_COLUMNS if name not in ("cell", "epoch")]
    return [table.astype(dict.fromkeys(numbers, "float64")) for table in tables]


def _joined(tables: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    filled = [table[columns] for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)


def _cell_table(rows: list[dict[str, Any]], *columns: str) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["variant", "seed", "kind", *columns])
    return table.assign(cell_index=[float(Cell.from_string(text).index) for text in table["cell"]])


def _space(columns: TruthColumns, operations: Collection[str]) -> pd.DataFrame:
    cells = all_cells(operations)
    table = pd.DataFrame([{"cell": str(cell), "canonical": cell.canonical, **_measures_of(cell)} for cell in cells])
    table.insert(0, "cell_index", [cell.index for cell in cells])
    indices = table["cell_index"]
    return pd.concat([table, columns.look_up(indices), columns.spreads(indices)], axis=1)


def _landmarks(columns: TruthColumns, operations: Collection[str]) -> pd.DataFrame:
    named = {name: cell for name, cell in LANDMARKS.items() if set(cell.operations) <= set(operations)}
    for content in columns.describe().values():
        named[f"best of {content['label']}"] = Cell.from_string(content["best_cell"])
    frame = pd.DataFrame([{"name": name, "cell": str(cell), "cell_index": cell.index} for name, cell in named.items()])
    indices = frame["cell_index"]
    found = (columns.look_up, columns.percentiles, columns.spreads)
    return pd.concat([frame, *(look_up(indices) for look_up in found)], axis=1)


def _truth_description(truth: Truth, columns: TruthColumns) -> dict[str, Any]:
    provenance = truth.provenance
    return {
        "source": provenance.source,
        "table": provenance.table,
        "told_by": provenance.told_by,
        "file": provenance.file,
        "sha256": provenance.sha256,
        "cells": columns.known_cells,
        "columns": columns.describe(),
        "missing_columns": columns.missing,
    }


def _provenance(board: Board) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "git_revision": git_revision(),
        "versions": {package: version(package) for package in REPORTED_PACKAGES},
        "hardware": processor_name(),
        "protocol": board.protocol,
        "operations": list(board.chosen.operations),
        "generated": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
    }


def summary_metrics(runs: pd.DataFrame, truth_columns: list[str]) -> dict[str, Any]:
    """Return what `dvc metrics` and `dvc exp show` display: a few numbers a variant."""
    metrics: dict[str, Any] = {}
    for name, group in runs.groupby("variant", sort=False):
        finished = group[group["status"].isin(FINISHED)]
        numbers: dict[str, Any] = {"runs": len(group), "finished": len(finished)}
        for column in truth_columns:
            label = column.removeprefix("truth/").replace("/", " ")
            numbers[label] = round(float(finished[column].mean()), 3) if len(finished) else None
        metrics[str(name)] = numbers
    return metrics


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_results(folder: Path, name: str) -> pd.DataFrame:
    """Read one table of results/.

    Raises:
        UserError: it is missing or damaged.
    """
    return read_parquet(folder / f"{name}.parquet", again=": make it with `dvc repro lookup`")


def read_truth_description(folder: Path) -> dict[str, Any]:
    """Read what results/ says of the table of true accuracies.

    Raises:
        UserError: truth.json is missing or damaged.
    """
    return read_json(folder / "truth.json", again=": make it with `dvc repro lookup`")
