"""Joins the run records with the truth: the tables in results/ that the report and MLflow are made from."""

import datetime
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.cell import ALL_CONV3, ALL_SKIP, CELL_COUNT, CONV1, NONE, OPERATIONS, POOL, RESIDUAL, Cell, Shape
from harness.environment import git_revision, processor_name
from harness.errors import UserError
from harness.files import whole_folder
from harness.protocol import Board
from harness.record import EPOCH_COLUMNS, RUNS, Record, read_record, read_table, run_folder
from harness.truth import REPORT_COLUMNS, Truth

RESULTS = Path("results")

FINISHED = ("done", "stopped")
"""Statuses whose cell is a result."""

LANDMARKS = {
    "all skip": ALL_SKIP,
    "all 3x3 convolutions": ALL_CONV3,
    "residual cell": RESIDUAL,
    "all 1x1 convolutions": Cell((CONV1,) * 6),
    "all average pooling": Cell((POOL,) * 6),
    "all none": Cell((NONE,) * 6),
}
"""Cells to compare every result with: none needed a search."""

REPORTED_PACKAGES = ("torch", "numpy", "pandas", "mlflow", "dvc")


class TruthColumns:
    """The columns of the papers' tables that a truth table has, each at its longest training."""

    def __init__(self, truth: Truth):
        self.truth = truth
        self.present = {label: key for label, key in REPORT_COLUMNS.items() if truth.report_columns()[label]}
        self.missing = [label for label in REPORT_COLUMNS if label not in self.present]

    def names(self) -> dict[str, str]:
        """Return the column name `truth/<data set>/<split>` of each label."""
        return {label: f"truth/{data_set}/{split}" for label, (data_set, split) in self.present.items()}

    def look_up(self, cells: pd.Series) -> pd.DataFrame:
        """Return the true accuracies (percent) of official indices; NaN where there is no cell."""
        return self._columns(cells, "truth", self.truth.accuracy)

    def percentiles(self, cells: pd.Series) -> pd.DataFrame:
        """Return the share (percent) of all cells that are worse; NaN where there is no cell."""
        return self._columns(cells, "percentile", self.truth.percentile)

    def _columns(self, cells: pd.Series, prefix: str, look_up: Any) -> pd.DataFrame:
        known = cells.notna().to_numpy()
        indices = cells[known].to_numpy(dtype=np.int64)
        found = {}
        for data_set, split in self.present.values():
            epochs = self.truth.final_epochs(data_set=data_set, split=split)
            values = np.full(len(cells), np.nan)
            values[known] = look_up(indices, data_set=data_set, split=split, epochs=epochs)
            found[f"{prefix}/{data_set}/{split}"] = values
        return pd.DataFrame(found, index=cells.index)

    def describe(self) -> dict[str, Any]:
        """Return how all cells are distributed in each column (percent)."""
        described = {}
        everything = np.arange(CELL_COUNT)
        for label, (data_set, split) in self.present.items():
            epochs = self.truth.final_epochs(data_set=data_set, split=split)
            values = self.truth.accuracy(everything, data_set=data_set, split=split, epochs=epochs)
            known = values[~np.isnan(values)]
            described[f"truth/{data_set}/{split}"] = {
                "label": label,
                "epochs": epochs,
                "mean": known.mean(),
                "sd": known.std(ddof=1),
                "median": np.median(known),
                "best": known.max(),
                "best_cell": str(Cell.from_index(int(np.nanargmax(values)))),
                "quantiles": np.percentile(known, np.arange(101)).tolist(),
            }
        return described


def look_up(board: Board, truth: Truth, output: Path, runs_root: Path = RUNS) -> None:
    """Write runs, epochs, alpha, derived and drawn cells, landmarks, all with truths, and metrics.json into `output`.

    The list of runs comes from the board, not from the folder: a removed seed is gone, and a run that failed or is
    missing has a row that says so.

    Raises:
        UserError: a record is damaged, or `output` cannot be written.
    """
    columns = TruthColumns(truth)
    runs, epochs, alpha, derived, draws = _collect(board, runs_root)
    runs = pd.concat([runs, columns.look_up(runs["cell_index"]), columns.percentiles(runs["cell_index"])], axis=1)
    epochs = pd.concat([epochs, columns.look_up(epochs["cell_index"])], axis=1)
    derived = pd.concat([derived, columns.look_up(derived["cell_index"])], axis=1)
    draws = pd.concat([draws, columns.look_up(draws["cell_index"])], axis=1)
    with whole_folder(output) as folder:
        runs.to_parquet(folder / "runs.parquet", index=False)
        epochs.to_parquet(folder / "epochs.parquet", index=False)
        alpha.to_parquet(folder / "alpha.parquet", index=False)
        derived.to_parquet(folder / "derived.parquet", index=False)
        draws.to_parquet(folder / "draws.parquet", index=False)
        _landmarks(columns).to_parquet(folder / "landmarks.parquet", index=False)
        _write_json(folder / "truth.json", _truth_description(truth, columns))
        _write_json(folder / "provenance.json", _provenance(board))
        _write_json(folder / "metrics.json", summary_metrics(runs, list(columns.names().values())))


def _collect(board: Board, runs_root: Path) -> tuple[pd.DataFrame, ...]:
    rows, epochs, alphas = [], [], []
    derived: list[dict[str, Any]] = []
    draws: list[dict[str, Any]] = []
    for kind, names in (("search", board.variants), ("baseline", board.baselines)):
        for name in names:
            for seed in board.seeds:
                folder = run_folder(name, seed, runs_root)
                identity = {"variant": name, "seed": seed, "kind": kind}
                if not (folder / "record.json").exists():
                    rows.append({**_run_row(None), **identity, "status": "missing", "reason": "it was never run"})
                    continue
                record = read_record(folder)
                rows.append({**_run_row(record), **identity})
                derived += [{**identity, "rule": rule, "cell": cell} for rule, cell in record.derived.items()]
                draws += [{**identity, "cell": cell, "count": count} for cell, count in record.draws.items()]
                epochs.append(read_table(folder, "epochs").assign(variant=name, seed=seed, kind=kind))
                alphas.append(read_table(folder, "alpha").assign(variant=name, seed=seed))
    return pd.DataFrame(rows), _epochs_table(epochs), _alpha_table(alphas), *_cell_tables(derived, draws)


def _run_row(record: Record | None) -> dict[str, Any]:
    cell = Cell.from_string(record.cell) if record and record.cell and record.status in FINISHED else None
    return {
        "status": record and record.status,
        "reason": record and record.reason,
        "notes": "; ".join(record.notes) if record else "",
        "epochs": record.epochs if record else 0,
        "cell": str(cell) if cell else None,
        "cell_index": cell.index if cell else np.nan,
        "canonical": cell.canonical if cell else None,
        **{f"count_{operation}": cell.counts[operation] if cell else np.nan for operation in OPERATIONS},
        "depth": cell.depth if cell else np.nan,
        "width": cell.width if cell else np.nan,
        "parameters": cell.parameters(Shape()) if cell else np.nan,
        "flops": cell.flops(Shape()) if cell else np.nan,
        "seconds": record.seconds if record else np.nan,
        "peak_memory_bytes": record.peak_memory_bytes if record else np.nan,
        "forward_backward_passes": record.forward_backward_passes if record else np.nan,
        "fingerprint": record and record.fingerprint,
        "device": record and record.environment.device,
        "processor": record and record.environment.processor,
    }


def _epochs_table(tables: list[pd.DataFrame]) -> pd.DataFrame:
    columns = ["variant", "seed", "kind", *EPOCH_COLUMNS]
    # Baselines and searches fill different columns; those a table lacks are NaN.
    filled = [table.reindex(columns=columns) for table in tables if len(table)]
    joined = pd.concat(_with_float_columns(filled)) if filled else pd.DataFrame(columns=columns)
    joined = joined.reset_index(drop=True)
    cells = {text: Cell.from_string(text) for text in joined["cell"].dropna().unique()}
    joined["cell_index"] = joined["cell"].map({text: cell.index for text, cell in cells.items()}).astype(float)
    for operation in OPERATIONS:
        counts = {text: cell.counts[operation] for text, cell in cells.items()}
        joined[f"count_{operation}"] = joined["cell"].map(counts).astype(float)
    return joined


def _with_float_columns(tables: list[pd.DataFrame]) -> list[pd.DataFrame]:
    numbers = [name for name in EPOCH_COLUMNS if name not in ("cell", "epoch")]
    return [table.astype(dict.fromkeys(numbers, "float64")) for table in tables]


def _alpha_table(tables: list[pd.DataFrame]) -> pd.DataFrame:
    columns = ["variant", "seed", "epoch", "cells", "edge", "operation", "alpha", "weight"]
    filled = [table[columns] for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)


def _cell_tables(derived: list[dict[str, Any]], draws: list[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    tables = (
        pd.DataFrame(derived, columns=["variant", "seed", "kind", "rule", "cell"]),
        pd.DataFrame(draws, columns=["variant", "seed", "kind", "cell", "count"]),
    )
    for table in tables:
        table["cell_index"] = [float(Cell.from_string(text).index) for text in table["cell"]]
    return tables


def _landmarks(columns: TruthColumns) -> pd.DataFrame:
    named = dict(LANDMARKS)
    for content in columns.describe().values():
        named[f"best of {content['label']}"] = Cell.from_string(content["best_cell"])
    frame = pd.DataFrame([{"name": name, "cell": str(cell), "cell_index": cell.index} for name, cell in named.items()])
    indices = frame["cell_index"]
    return pd.concat([frame, columns.look_up(indices), columns.percentiles(indices)], axis=1)


def _truth_description(truth: Truth, columns: TruthColumns) -> dict[str, Any]:
    provenance = truth.provenance
    return {
        "source": provenance.source,
        "file": provenance.file,
        "sha256": provenance.sha256,
        "cells": provenance.cells,
        "columns": columns.describe(),
        "missing_columns": columns.missing,
    }


def _provenance(board: Board) -> dict[str, Any]:
    return {
        "git_revision": git_revision(),
        "versions": {package: version(package) for package in REPORTED_PACKAGES},
        "hardware": processor_name(),
        "protocol": board.protocol,
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
    path.write_text(json.dumps(content, indent=2) + "\n")


def read_results(folder: Path, name: str) -> pd.DataFrame:
    """Read one table of results/.

    Raises:
        UserError: it is missing.
    """
    path = folder / f"{name}.parquet"
    if not path.exists():
        raise UserError(f"{path} is missing: make it with `dvc repro lookup`")
    return pd.read_parquet(path)
