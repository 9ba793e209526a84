"""A simulated results folder, as the look-up stage writes it, to develop and test the report with.

    python -m tests.reports.simulate FOLDER

The accuracies on CIFAR-10 test are the embedded ones, the others are made from them.
"""

import json
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.records.record import EPOCH_COLUMNS
from harness.results.columns import CELL_MEASURES
from harness.search.diagnostics import flips, mixture_measures
from harness.settings.protocol import Board
from harness.settings.validation import validate
from harness.space.cell import (
    ALL_CONV3,
    ALL_SKIP,
    CONV1,
    CONV3,
    EDGE_NAMES,
    NONE,
    OPERATIONS,
    POOL,
    RESIDUAL,
    Cell,
    Shape,
)
from harness.space.cell import all_cells as every_cell
from harness.space.collapse import collapse_table
from harness.space.one_shot_cells import ONE_SHOT_CELLS
from harness.statistics.rank_correlation import rank_correlation_table
from harness.statistics.training_noise import errors_of_means
from harness.truth.columns import SPREADS, rank, spread_key
from harness.truth.sources import import_analog_nasbench
from harness.truth.table import Truth

SCALES = {"cifar10": 1.0, "cifar10-valid": 1.0, "cifar100": 0.77, "ImageNet16-120": 0.49}
"""Roughly how much lower accuracies are on each data set."""
LABELS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "ImageNet16-120": "ImageNet16-120"}
GIBIBYTE = 2**30
STRATEGIES = {"regularized-evolution": "evolution", "reinforce": "reinforcement learning"}

PROTOCOL: dict[str, Any] = {
    "operations": list(OPERATIONS),
    "data": {
        "name": "digits", "path": None, "download": False, "image_size": 16, "limit": 60,
        "split": {"kind": "random"}, "crop_padding": 2, "flip": False, "cutout": 0, "cutout_ramp": False,
    },
    "network": {
        "channels": 8, "cells_per_stage": 1, "batch_statistics": True, "affine": False,
        "gradient_checkpointing": False, "compile": False, "cuda_graphs": False, "drop_path": 0.0,
    },
    "epochs": 20, "batch_size": 32, "order": "alpha-then-weights",
    "weights": {"lr": 0.025, "lr_min": 0.001, "momentum": 0.9, "nesterov": True, "weight_decay": 0.0005, "clip": 5.0},
    "alpha": {"lr": 0.0003, "betas": [0.5, 0.999], "weight_decay": 0.001, "init_scale": 0.001, "batches": "shuffled"},
    "derivation": {"draws": 20, "one_shot": True},
    "diagnostics": {"images": 64, "every": 4, "hessian_images": 16, "hessian_every": 5, "one_shot_every": 10},
    "precision": "float32", "device": "auto", "threads": 1, "deterministic": True,
}  # fmt: skip


@dataclass
class Simulation:
    """What to simulate. `targets` maps a search to the cell its alpha drifts to and how surely it does."""

    searches: dict[str, tuple[Cell, float]] = field(
        default_factory=lambda: {
            "darts": (ALL_SKIP, 0.95),
            "gdas": (Cell((CONV3, CONV3, CONV1, "skip_connect", CONV3, CONV1)), 0.6),
            "drnas": (RESIDUAL, 0.97),
        }
    )
    baselines: tuple[str, ...] = ("random-search", "regularized-evolution")
    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: int = 20
    evaluations: int = 60
    columns: tuple[str, ...] = ("truth/cifar10/test",)
    without_alpha: tuple[str, ...] = ()
    lost: dict[tuple[str, int], tuple[str, str]] = field(default_factory=dict)
    """(variant, seed) to (status, reason)."""
    protocol: str = "quick"
    trainings: int = 0
    """How often each cell was trained; 0: only means are known."""

    def write(self, folder: Path) -> Board:
        """Write the folder and return the board that belongs to it."""
        folder.mkdir(parents=True, exist_ok=True)
        truth = truth_table(self.columns)
        noise = spread_table(truth, self.trainings)
        runs, epochs, alpha = [], [], []
        for number, variant in enumerate([*self.searches, *self.baselines]):
            for seed in self.seeds:
                run, run_epochs, run_alpha = self._run(variant, seed, np.random.default_rng([number, seed]), truth)
                runs.append(run)
                epochs.append(run_epochs)
                alpha.append(run_alpha)
        _frame(runs, list(runs[0])).join(noise, on="cell").to_parquet(folder / "runs.parquet")
        epoch_table = _concat(epochs, _epoch_columns(self.columns))
        if epoch_table.empty:
            counts = [f"count_{operation}" for operation in OPERATIONS]
            names = [*EPOCH_COLUMNS, "variant", "seed", "kind", "cell_index", *counts, *self.columns]
            epoch_table = pd.DataFrame(columns=names)
        epoch_table.to_parquet(folder / "epochs.parquet")
        collapse_table(epoch_table, min(self.columns, key=rank)).to_parquet(folder / "collapse.parquet")
        one_shot = _one_shot(epoch_table, truth)
        one_shot.to_parquet(folder / "one_shot.parquet")
        rank_correlation_table(one_shot, list(self.columns)).to_parquet(folder / "rank_correlation.parquet")
        _space(truth).join(noise, on="cell").to_parquet(folder / "space.parquet")
        _concat(alpha).to_parquet(folder / "alpha.parquet")
        derived = derived_cells(runs)
        derived.to_parquet(folder / "derived.parquet")
        derived[derived["rule"] == "argmax"].drop(columns="rule").assign(count=20).to_parquet(folder / "draws.parquet")
        marks = landmarks(truth).join(noise, on="cell")
        marks.to_parquet(folder / "landmarks.parquet")
        cells = {*marks["cell"], *(run["cell"] for run in runs if run["cell"])}
        single_trainings(truth, sorted(cells), self.trainings).to_parquet(folder / "trainings.parquet")
        (folder / "truth.json").write_text(json.dumps(truth_facts(truth)))
        (folder / "provenance.json").write_text(json.dumps(self._provenance()))
        return self.board()

    def board(self) -> Board:
        content = {
            "protocol": self.protocol,
            "seeds": list(self.seeds),
            "reference": [*self.searches, *self.baselines][0],
            "truth": {"source": "analog-nasbench", "path": None},
            "variants": {name: {"settings_of": number} for number, name in enumerate(self.searches)},
            "baselines": {name: {"evaluations": self.evaluations} for name in self.baselines},
            "tracking": {"uri": None, "experiment": "board"},
            "protocols": {self.protocol: PROTOCOL},
        }
        return validate(Board, content, where="simulated board")

    def _run(
        self, variant: str, seed: int, generator: np.random.Generator, truth: pd.DataFrame
    ) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
        kind = "search" if variant in self.searches else "baseline"
        status, reason = self.lost.get((variant, seed), ("done", None))
        if status == "missing":
            lost = dict.fromkeys(_run_columns(self.columns))
            lost |= {"variant": variant, "seed": seed, "kind": kind, "status": status, "reason": reason}
            return lost, pd.DataFrame(), pd.DataFrame()
        if kind == "search":
            trajectory, weights = self._search(variant, generator)
        else:
            trajectory, weights = _baseline(self.evaluations, generator, truth), None
        epochs = _epochs(variant, seed, kind, trajectory, weights, generator, truth)
        alpha = pd.DataFrame()
        if weights is not None and variant not in self.without_alpha:
            alpha = _alpha(variant, seed, weights)
        cell = None if status == "failed" else trajectory[-1]
        strategy = "gradient" if kind == "search" else STRATEGIES.get(variant, "random")
        run = {"variant": variant, "seed": seed, "kind": kind, "strategy": strategy, "status": status, "reason": reason}
        run |= {"epochs": len(trajectory)} | _describe(cell, truth, self.columns)
        run |= {
            "seconds": float(generator.normal(600, 20)) if kind == "search" else 0.2,
            "diagnostics_seconds": float(generator.normal(20, 1)) if kind == "search" else np.nan,
            "peak_memory_bytes": int(generator.normal(1.5, 0.02) * GIBIBYTE),
            "forward_backward_passes": 2.0 * 20 * self.epochs if kind == "search" else 0.0,
            "fingerprint": "0" * 64, "device": "cpu", "processor": "simulated", "threads": 1, "deterministic": True,
        }  # fmt: skip
        return run, epochs, alpha

    def _search(self, variant: str, generator: np.random.Generator) -> tuple[list[Cell], np.ndarray]:
        target, surely = self.searches[variant]
        goal = np.eye(5)[list(target.codes)]
        other = np.eye(5)[generator.integers(0, 5, 6)]
        goal = np.where(generator.random((6, 1)) < surely, goal, other)
        time = np.linspace(0, 1, self.epochs)[:, None, None]
        noise = generator.normal(0, 0.25, (self.epochs, 6, 5)).cumsum(axis=0) / np.sqrt(self.epochs)
        logits = 3.0 * time**1.5 * goal + noise * (1 - time) * 1.2
        weights = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        cells = [Cell(tuple(OPERATIONS[code] for code in epoch.argmax(axis=-1))) for epoch in weights]
        return cells, weights

    def _provenance(self) -> dict[str, Any]:
        return {
            "git_revision": "0123456789abcdef0123456789abcdef01234567",
            "versions": {"python": "3.11.2", "torch": "2.13.0", "numpy": "2.4.6", "dartsboard": "0.1.0"},
            "hardware": "simulated machine, 2 cores",
            "protocol": self.protocol,
            "generated": "2030-01-01",
        }


def truth_table(columns: tuple[str, ...]) -> pd.DataFrame:
    """Return accuracies of all cells in percent: index cell string, one column per truth column.

    CIFAR-10 test is the embedded table's; the others are made from it, lower and in a slightly other order.
    """
    real = embedded_accuracies()
    table = pd.DataFrame(index=pd.Index([str(cell) for cell in every_cell()], name="cell"))
    for column in columns:
        _, data_set, split = column.split("/")
        if (data_set, split) == ("cifar10", "test"):
            table[column] = real
        else:
            noise = np.random.default_rng(len(column)).normal(0, 0.5, len(real))
            table[column] = SCALES[data_set] * (real - 5 * (split == "valid")) + noise
    return table


def _deviations(cell: str, column: str, trainings: int) -> np.ndarray:
    """How far made-up trainings of a cell lie from their mean, points, [trainings]: some 0.2, of the skip cell 8."""
    generator = np.random.default_rng([Cell.from_string(cell).index, len(column)])
    drawn = generator.normal(0, 8.0 if cell == str(ALL_SKIP) else 0.2, trainings)
    return drawn - drawn.mean()


def spread_table(truth: pd.DataFrame, trainings: int) -> pd.DataFrame:
    """Return what the look-up stage says of trainings: index cell string, `SPREADS` of each truth column."""
    table = pd.DataFrame(index=truth.index)
    for column in truth:
        names = [spread_key(name, str(column)) for name in SPREADS]
        if trainings:
            sds = np.array([_deviations(cell, str(column), trainings).std(ddof=1) for cell in truth.index])
            counts = np.full(len(truth), float(trainings))
            values = [counts, sds, *errors_of_means(truth[column].to_numpy(), sds, counts)]
        else:
            values = [np.full(len(truth), np.nan)] * len(SPREADS)
        table[names] = np.transpose(values)
    return table


def single_trainings(truth: pd.DataFrame, cells: list[str], trainings: int) -> pd.DataFrame:
    """Return the made-up trainings of some cells, as the look-up stage lists them."""
    rows = [
        (column, Cell.from_string(cell).index, number, 777 + 111 * (number - 1), truth.at[cell, column] + deviation)
        for column in truth
        for cell in cells
        for number, deviation in enumerate(_deviations(cell, str(column), trainings), start=1)
    ]
    return pd.DataFrame(rows, columns=["column", "cell_index", "trial", "training_seed", "accuracy"])


@cache
def embedded_truth() -> Truth:
    """Return the table that the package analog-nasbench carries."""
    return import_analog_nasbench()


@cache
def embedded_accuracies() -> np.ndarray:
    """Return the accuracy of every cell in its official order, percent."""
    return embedded_truth().frame.sort_values("cell")["accuracy"].to_numpy()


def derived_cells(runs: list[dict[str, Any]]) -> pd.DataFrame:
    """The answer of every finished run under its own rule and under the argmax rule."""
    table = pd.DataFrame(runs).dropna(subset=["cell"])
    kept = ["variant", "seed", "kind", "cell", *(name for name in table if str(name).startswith("truth/"))]
    return pd.concat([table[kept].assign(rule=rule) for rule in ("variant", "argmax")], ignore_index=True)


def landmarks(truth: pd.DataFrame) -> pd.DataFrame:
    named = {
        "all skip": ALL_SKIP, "all 3x3 convolutions": ALL_CONV3, "residual cell": RESIDUAL,
        "all 1x1 convolutions": Cell((CONV1,) * 6), "all average pooling": Cell((POOL,) * 6),
        "all none": Cell((NONE,) * 6),
    }  # fmt: skip
    named |= {f"best of {column_label(str(column))}": Cell.from_string(truth[column].idxmax()) for column in truth}
    rows = [{"name": name, "cell": str(cell), "cell_index": cell.index} for name, cell in named.items()]
    table = pd.DataFrame(rows)
    table = table.join(truth, on="cell")
    for column in truth:
        percentiles = [100 * (truth[column] < accuracy).mean() for accuracy in table[column]]
        table[str(column).replace("truth/", "percentile/")] = percentiles
    return table


def column_label(column: str) -> str:
    _, data_set, split = column.split("/")
    return f"{LABELS[data_set]} {split}"


def truth_facts(truth: pd.DataFrame) -> dict[str, Any]:
    columns = {}
    for key, values in truth.items():
        columns[key] = {
            "label": column_label(str(key)), "epochs": 200 if str(key).endswith("test") else 12,
            "mean": values.mean(), "sd": values.std(), "median": values.median(), "best": values.max(),
            "best_cell": values.idxmax(), "quantiles": np.percentile(values, range(101)).tolist(),
        }  # fmt: skip
    wanted = [f"{label} {split}" for label in LABELS.values() for split in ("valid", "test")]
    missing = [label for label in wanted if label not in {column["label"] for column in columns.values()}]
    return {
        "source": "simulated", "table": None, "told_by": None, "file": "means.parquet", "sha256": "ab" * 32,
        "cells": len(truth),
        "columns": columns, "missing_columns": missing,
    }  # fmt: skip


def _run_columns(columns: tuple[str, ...]) -> list[str]:
    cell_columns = _describe(None, pd.DataFrame(), columns)
    measured = ["seconds", "diagnostics_seconds", "peak_memory_bytes", "forward_backward_passes"]
    machine = ["fingerprint", "device", "processor", "threads", "deterministic"]
    named = ["variant", "seed", "kind", "strategy", "status", "reason", "epochs"]
    return [*named, *cell_columns, *measured, *machine]


def _describe(cell: Cell | None, truth: pd.DataFrame, columns: tuple[str, ...]) -> dict[str, Any]:
    described: dict[str, Any] = {"cell": None, "cell_index": None, "canonical": None}
    described |= {f"count_{operation}": None for operation in OPERATIONS}
    described |= dict.fromkeys(["depth", "width", "parameters", "flops", *columns])
    described |= {column.replace("truth/", "percentile/"): None for column in columns}
    if cell is None:
        return described
    described |= {"cell": str(cell), "cell_index": cell.index, "canonical": cell.canonical}
    described |= {f"count_{operation}": count for operation, count in cell.counts.items()}
    described |= {"depth": cell.depth, "width": cell.width}
    described |= {"parameters": cell.parameters(Shape()), "flops": cell.flops(Shape())}
    for column in columns:
        accuracy = truth.at[str(cell), column]
        described[column] = accuracy
        described[column.replace("truth/", "percentile/")] = 100 * (truth[column] < accuracy).mean()
    return described


def _baseline(evaluations: int, generator: np.random.Generator, truth: pd.DataFrame) -> list[Cell]:
    column = truth.iloc[:, 0]
    best, incumbents = -1.0, []
    for index in generator.integers(0, len(truth), evaluations):
        signal = column.iloc[index] + generator.normal(0, 1.0)
        if signal > best:
            best, incumbent = signal, Cell.from_string(column.index[index])
        incumbents.append(incumbent)
    return incumbents


def _epochs(
    variant: str,
    seed: int,
    kind: str,
    trajectory: list[Cell],
    weights: np.ndarray | None,
    generator: np.random.Generator,
    truth: pd.DataFrame,
) -> pd.DataFrame:
    count = len(trajectory)
    table = pd.DataFrame(np.nan, index=range(count), columns=list(EPOCH_COLUMNS))
    table["epoch"] = np.arange(1, count + 1)
    table["cell"] = [str(cell) for cell in trajectory]
    if weights is not None:
        ordered = np.sort(weights, axis=-1)
        table["entropy"] = -(weights * np.log(weights)).sum(axis=-1).mean(axis=-1)
        table["margin"] = (ordered[..., -1] - ordered[..., -2]).mean(axis=-1)
        table["skip_mass"] = weights[..., OPERATIONS.index("skip_connect")].mean(axis=-1)
        table["train_accuracy"] = 100 * (1 - 0.9 * np.exp(-np.arange(count) / count * 3))
        _diagnose(table, trajectory, weights, generator)
    else:
        table["cost_seconds"] = generator.uniform(100, 300, count).cumsum()
    table["cell_index"] = [cell.index for cell in trajectory]
    for measure in CELL_MEASURES:
        table[measure] = [_measures_of(cell)[measure] for cell in trajectory]
    table["train_valid_gap"] = table["train_accuracy"] - table["valid_accuracy"]
    table = table.join(truth, on="cell")
    return table.assign(variant=variant, seed=seed, kind=kind)


def _diagnose(table: pd.DataFrame, trajectory: list[Cell], weights: np.ndarray, generator: np.random.Generator) -> None:
    """Fill in made-up diagnostics that go with the skips of the cell, measured as often as the protocol says."""
    table["valid_accuracy"] = table["train_accuracy"] - np.linspace(0, 15, len(table))
    measures = [mixture_measures(matrix) for matrix in weights]
    for name in ("entropy_smallest", "entropy_largest", "skip_rank"):
        table[name] = [measure[name] for measure in measures]
    table["flips"] = [np.nan, *(flips(str(a), str(b)) for a, b in pairwise(trajectory))]
    skips = pd.Series([cell.counts["skip_connect"] for cell in trajectory])
    settings, epochs = PROTOCOL["diagnostics"], table["epoch"]
    measured = (epochs % settings["every"] == 0) | (epochs == len(table))
    gap = 3 + 8 * skips + generator.normal(0, 2, len(table))
    table.loc[measured, "mixture_accuracy"] = table["valid_accuracy"]
    table.loc[measured, "discretisation_gap"] = gap
    table.loc[measured, "one_hot_accuracy"] = table["valid_accuracy"] - gap
    table.loc[measured, "layer_alignment"] = 0.9 - 0.15 * skips
    measured = (epochs % settings["hessian_every"] == 0) | (epochs == len(table))
    largest = np.exp(0.5 * skips - 2 + generator.normal(0, 0.3, len(table)))
    table.loc[measured, "hessian_largest"] = largest
    table.loc[measured, "hessian_smallest"] = -0.3 * largest
    table.loc[measured, "hessian_trace"] = 0.9 * largest
    table["diagnostics_seconds"] = 1.0


def _one_shot(epochs: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Make up one-shot accuracies that follow the truth the more closely the later the epoch."""
    every = PROTOCOL["diagnostics"]["one_shot_every"]
    searches = epochs[(epochs["kind"] == "search") & (epochs["epoch"] % every == 0)]
    columns = ["variant", "seed", "epoch", "cell_index", "accuracy", *truth]
    cells = [str(Cell.from_index(index)) for index in ONE_SHOT_CELLS]
    known = truth.loc[cells].reset_index(drop=True)
    tables = []
    for row in searches.itertuples():
        generator = np.random.default_rng([int(row.seed), int(row.epoch)])
        noise = generator.normal(0, 200 / row.epoch, len(known))
        table = known.assign(accuracy=(known.iloc[:, 0] + noise).clip(0, 100).round(1), cell_index=ONE_SHOT_CELLS)
        tables.append(table.assign(variant=row.variant, seed=row.seed, epoch=row.epoch))
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def _space(truth: pd.DataFrame) -> pd.DataFrame:
    return _described_cells().join(truth, on="cell")


@cache
def _described_cells() -> pd.DataFrame:
    cells = every_cell()
    rows = [{"cell_index": cell.index, "cell": str(cell), "canonical": cell.canonical} for cell in cells]
    measures = pd.DataFrame([_measures_of(cell) for cell in cells])
    return pd.concat([pd.DataFrame(rows), measures], axis=1)


def _measures_of(cell: Cell) -> dict[str, float]:
    counts = {f"count_{operation}": count for operation, count in cell.counts.items()}
    size = {"parameters": cell.parameters(Shape()), "flops": cell.flops(Shape())}
    return {**counts, "depth": cell.depth, "width": cell.width, **size}


def _alpha(variant: str, seed: int, weights: np.ndarray) -> pd.DataFrame:
    index = pd.MultiIndex.from_product(
        [range(1, len(weights) + 1), EDGE_NAMES, OPERATIONS], names=["epoch", "edge", "operation"]
    )
    table = pd.DataFrame({"weight": weights.ravel(), "alpha": np.log(weights).ravel()}, index=index).reset_index()
    return table.assign(variant=variant, seed=seed, cells="all")


def _frame(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns).infer_objects()


def _concat(tables: list[pd.DataFrame], columns: list[str] | None = None) -> pd.DataFrame:
    kept = [table for table in tables if not table.empty]
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=columns)


def _epoch_columns(columns: tuple[str, ...]) -> list[str]:
    return ["variant", "seed", "kind", *EPOCH_COLUMNS, "cell_index", *CELL_MEASURES, "train_valid_gap", *columns]


if __name__ == "__main__":
    import sys

    Simulation().write(Path(sys.argv[1]))
