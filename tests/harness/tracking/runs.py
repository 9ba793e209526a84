"""Runs to mirror, and what MLflow then holds of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.records.in_progress import InProgress
from harness.records.record import EPOCH_COLUMNS, Environment, Record, run_folder, write_run
from harness.settings.protocol import Board
from harness.space.cell import EDGE_NAMES, OPERATIONS, RESIDUAL
from harness.testing import TINY_PROTOCOL
from harness.tracking.mirror import sync
from harness.tracking.store import MLFLOW_SETTINGS
from harness.tracking.summary import SyncSummary

EPOCHS = 3

RUN_FILES = ("record.json", "epochs.parquet", "alpha.parquet", "checksums.json")
PROTOCOL = {**TINY_PROTOCOL, "epochs": EPOCHS}


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """Let MLflow in the tests be as quiet and as quick to give up as it is in the mirror."""
    saved = dict(os.environ)
    os.environ.update(MLFLOW_SETTINGS)
    yield
    os.environ.clear()
    os.environ.update(saved)


def board_of(uri: str | None = None, seeds: tuple[int, ...] = (0, 1)) -> Board:
    return Board.model_validate(
        {
            "protocol": "tiny",
            "seeds": seeds,
            "reference": "darts",
            "truth": {"source": "analog-nasbench", "path": None},
            "variants": {"darts": {}, "pc-darts": {"fraction": 4}},
            "baselines": {"random": {}},
            "tracking": {"uri": uri, "experiment": "board"},
            "protocols": {"tiny": PROTOCOL},
        }
    )


def epochs_table(seed: int, epochs: int = EPOCHS) -> pd.DataFrame:
    numbers = np.arange(1, epochs + 1)
    return pd.DataFrame(
        dict.fromkeys(EPOCH_COLUMNS, np.nan)
        | {
            "epoch": numbers,
            "cell": [str(RESIDUAL)] * epochs,
            "valid_accuracy": 50.0 + numbers + seed,
            "entropy": 1.6 / numbers,
            "margin": 0.1 * numbers,
            "skip_mass": 0.2 + 0.01 * numbers,
            "seconds": 1.5,
            "peak_memory_bytes": 2 * 2**20,
        }
    )


def alpha_table(seed: int, epochs: int = EPOCHS, groups: tuple[str, ...] = ("all",)) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    rows = [
        (epoch, cells, edge, operation, *generator.uniform(size=2))
        for epoch in range(1, epochs + 1)
        for cells in groups
        for edge in EDGE_NAMES
        for operation in OPERATIONS
    ]
    return pd.DataFrame(rows, columns=["epoch", "cells", "edge", "operation", "alpha", "weight"])


def record_of(variant: str, seed: int, **changes: Any) -> Record:
    content = {
        "variant": variant,
        "seed": seed,
        "kind": "baseline" if variant == "random" else "search",
        "strategy": "random" if variant == "random" else "gradient",
        "status": "done",
        "protocol": "tiny",
        "settings": {"fraction": 4, "note": None, "empty": "", "deep": {"on": True}, "list": [1, 2.5]},
        "protocol_settings": board_of().chosen.model_dump(mode="json"),
        "fingerprint": f"{variant}-{seed}",
        "epochs": EPOCHS,
        "cell": str(RESIDUAL),
        "derived": {"argmax": str(RESIDUAL)},
        "seconds": 4.5,
        "peak_memory_bytes": 2 * 2**20,
        "forward_backward_passes": 24.0,
        "environment": Environment(
            python="3.11", torch="2", numpy="2", device="cpu", processor="x", git_revision=None
        ).model_dump(),
    }
    return Record.model_validate(content | changes)


def write_one(project: Path, variant: str, seed: int, **changes: Any) -> None:
    alpha = None if variant == "random" else alpha_table(seed)
    folder = run_folder(variant, seed, project / "runs")
    write_run(folder, record_of(variant, seed, **changes), epochs_table(seed), alpha)


def write_all(project: Path, seeds: tuple[int, ...] = (0, 1)) -> None:
    for variant in ("darts", "pc-darts", "random"):
        for seed in seeds:
            write_one(project, variant, seed)


def truth_tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    epochs = pd.DataFrame(
        [
            {"variant": "darts", "seed": 0, "epoch": epoch, "cell": str(RESIDUAL), "truth/cifar10/test": 90.0 + epoch}
            for epoch in range(1, EPOCHS + 1)
        ]
    )
    epochs["truth/cifar100/test"] = np.nan
    return epochs, pd.DataFrame([{"variant": "darts", "seed": 0, "truth/cifar10/test": 93.5}])


def in_progress(epochs: int, alive: bool, fingerprint: str = "darts-0") -> InProgress:
    alpha = alpha_table(0)
    return InProgress("darts", 0, fingerprint, alive, epochs_table(0, epochs), alpha[alpha["epoch"] <= epochs])


def synced(project: Path, board: Board | None = None, **arguments: Any) -> SyncSummary:
    return sync(board or board_of(), runs_root=project / "runs", project=project, **arguments)


def counts(summary: SyncSummary) -> dict[str, int]:
    names = ("created", "continued", "replaced", "skipped", "failed")
    return {name: getattr(summary, name) for name in names if getattr(summary, name)}


class Reader:
    """What MLflow holds, read with its own client."""

    def __init__(self, uri: str) -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient(tracking_uri=uri)

    @property
    def runs(self) -> dict[str, Any]:
        experiment = self.client.get_experiment_by_name("board")
        assert experiment is not None
        runs = list(self.client.search_runs([experiment.experiment_id], max_results=1000))
        named = {run.info.run_name: run for run in runs}
        assert len(named) == len(runs), "a run is there twice"
        return named

    def history(self, run: Any, name: str) -> list[tuple[int, float]]:
        points = self.client.get_metric_history(run.info.run_id, name)
        return sorted((point.step, point.value) for point in points)

    def has_duplicates(self, run: Any) -> bool:
        for name in run.data.metrics:
            steps = [step for step, _ in self.history(run, name)]
            if len(set(steps)) != len(steps):
                return True
        return False

    def artifacts(self, run: Any) -> set[str]:
        return {file.path for file in self.client.list_artifacts(run.info.run_id)}


def reader_of(project: Path, uri: str | None = None) -> Reader:
    return Reader(uri or f"sqlite:///{project}/mlflow.db")
