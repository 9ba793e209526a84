import json
import multiprocessing
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.cell import ALL_SKIP, EDGE_NAMES, OPERATIONS, RESIDUAL
from harness.errors import UserError
from harness.mirror import COMPLETE_TAG, InProgress, legal_name
from harness.protocol import Board, canonical_json
from harness.record import Environment, Record, run_folder, write_run
from harness.tracking import SyncSummary, sync, ui_command
from harness.tracking_store import MLFLOW_SETTINGS, masked
from tests.conftest import TINY_PROTOCOL

EPOCHS = 3

RUN_FILES = ("record.json", "epochs.parquet", "alpha.parquet", "checksums.json")
PROTOCOL = {**TINY_PROTOCOL, "epochs": EPOCHS}


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
        {
            "epoch": numbers,
            "cell": [str(RESIDUAL)] * epochs,
            "valid_accuracy": 50.0 + numbers + seed,
            "entropy": 1.6 / numbers,
            "margin": 0.1 * numbers,
            "skip_mass": 0.2 + 0.01 * numbers,
            "signal": np.nan,
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


def reader_of(project: Path) -> Reader:
    return Reader(f"sqlite:///{project}/mlflow.db")


@pytest.fixture(scope="session", autouse=True)
def mlflow_settings() -> Iterator[None]:
    # The reader below shall be as quiet and as quick to give up as the mirror.
    saved = dict(os.environ)
    os.environ.update(MLFLOW_SETTINGS)
    yield
    os.environ.clear()
    os.environ.update(saved)


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without experiments, made once: making one takes seconds."""
    folder = tmp_path_factory.mktemp("empty")
    reader_of(folder).client.search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def project(tmp_path: Path, empty_store: Path) -> Path:
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    return tmp_path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def serve() -> Iterator[Callable[[list[str], dict[str, str], int], subprocess.Popen[bytes]]]:
    servers = []

    def start(command: list[str], environment: dict[str, str], port: int) -> subprocess.Popen[bytes]:
        server = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        servers.append(server)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                return server
            except OSError:
                assert server.poll() is None, "the server ended"
                time.sleep(0.1)
        raise AssertionError("the server does not start")

    yield start
    for server in servers:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


# Content


def test_a_full_sync_shows_every_run_with_its_curves_settings_and_artifacts(project: Path) -> None:
    write_all(project)
    truth, final_truth = truth_tables()
    summary = synced(project, truth_rows=truth, final_truth_rows=final_truth)
    assert (counts(summary), summary.message) == ({"created": 6}, "")
    reader = reader_of(project)
    runs = reader.runs
    assert set(runs) == {f"{variant}/seed-{seed}" for variant in ("darts", "pc-darts", "random") for seed in (0, 1)}

    run = runs["darts/seed-0"]
    alpha = alpha_table(0)
    for kind in ("alpha", "weight"):
        rows = alpha[(alpha["edge"] == "1>3") & (alpha["operation"] == "skip_connect")]
        expected = list(zip(rows["epoch"], rows[kind], strict=True))
        assert reader.history(run, f"{kind}/skip_connect/edge_1_3") == expected
        assert len([name for name in run.data.metrics if name.startswith(f"{kind}/")]) == 30
    assert reader.history(run, "search/entropy") == [(1, 1.6), (2, 0.8), (3, pytest.approx(1.6 / 3))]
    assert reader.history(run, "truth/cifar10/test") == [(1, 91), (2, 92), (3, 93)]
    assert {name: value for name, value in run.data.metrics.items() if name.startswith("summary/")} == {
        "summary/epochs": 3,
        "summary/seconds": 4.5,
        "summary/peak_memory_mib": 2,
        "summary/forward_backward_passes": 24,
        "summary/valid_accuracy": 53,
        "summary/entropy": pytest.approx(1.6 / 3),
        "summary/margin": pytest.approx(0.3),
        "summary/skip_mass": pytest.approx(0.23),
        "summary/skip_count": 1,
        "summary/none_count": 0,
        "summary/depth": 3,
        "summary/truth_cifar10_test": 93.5,
    }
    # Columns without a value make no chart.
    assert not {"search/signal", "truth/cifar100/test", "search/epoch", "search/peak_memory_bytes"} & set(
        run.data.metrics
    )
    assert run.data.params["variant.deep.on"] == "true"
    assert run.data.params["variant.note"] == "null"
    assert run.data.params["variant.list"] == "[1, 2.5]"
    assert run.data.params["protocol.alpha.lr"] == "0.05"
    assert run.data.params["protocol.data.path"] == "null"
    wanted = {"variant": "darts", "seed": "0", "kind": "search", "protocol": "tiny", "status": "done"}
    assert wanted.items() <= run.data.tags.items()
    assert run.data.tags["cell"] == str(RESIDUAL) and "reason" not in run.data.tags
    assert reader.artifacts(run) == {*RUN_FILES, "cell.svg", "cell.png"}
    assert run.info.status == "FINISHED" and run.info.end_time - run.info.start_time == 4500
    assert (project / "mlartifacts").is_dir() and not (project / "mlruns").exists()

    baseline = runs["random/seed-1"]
    assert baseline.data.tags["kind"] == "baseline" and not [n for n in baseline.data.metrics if n.startswith("alpha/")]


def test_failed_runs_are_there_with_status_and_reason(project: Path) -> None:
    empty = epochs_table(0).iloc[:0]
    write_run(
        run_folder("darts", 0, project / "runs"),
        record_of("darts", 0, status="failed", reason="no space", cell=None, derived={}, epochs=0),
        empty,
        None,
    )
    diverged = epochs_table(1)
    diverged.loc[2, "valid_accuracy"] = np.inf
    write_run(
        run_folder("darts", 1, project / "runs"),
        record_of("darts", 1, status="diverged", reason="loss is nan in epoch 3"),
        diverged,
        alpha_table(1),
    )
    write_one(project, "pc-darts", 0, status="stopped", reason="alpha has settled")
    assert counts(synced(project)) == {"created": 3}
    reader = reader_of(project)
    seen = {name: (run.info.status, run.data.tags["status"]) for name, run in reader.runs.items()}
    assert seen == {
        "darts/seed-0": ("FAILED", "failed"),
        "darts/seed-1": ("FAILED", "diverged"),
        "pc-darts/seed-0": ("FINISHED", "stopped"),
    }
    assert reader.runs["darts/seed-0"].data.tags["reason"] == "no space"
    assert len(reader.history(reader.runs["darts/seed-1"], "search/valid_accuracy")) == 2


def test_groups_of_cells_are_shown_by_their_mean(project: Path) -> None:
    alpha = alpha_table(0, groups=("stage 1", "stage 2", "stage 3"))
    write_run(run_folder("darts", 0, project / "runs"), record_of("darts", 0), epochs_table(0), alpha)
    synced(project)
    reader = reader_of(project)
    shown = reader.history(reader.runs["darts/seed-0"], "alpha/none/edge_0_1")
    rows = alpha[(alpha["edge"] == "0>1") & (alpha["operation"] == "none")]
    assert shown == [(epoch, pytest.approx(value)) for epoch, value in rows.groupby("epoch")["alpha"].mean().items()]


def test_names_become_legal() -> None:
    from mlflow.utils.validation import _validate_metric_name

    for name in ("truth/ImageNet16-120/x-valid", "truth/|conv~0|/a(b)@c", "é/b", "x" * 300):
        _validate_metric_name(legal_name(name))
    assert legal_name("truth/cifar10-valid/test") == "truth/cifar10-valid/test"


# Again and again


def test_a_second_sync_does_nothing_and_is_quick(project: Path) -> None:
    write_all(project)
    synced(project)
    before = {name: run.info.run_id for name, run in reader_of(project).runs.items()}
    start = time.monotonic()
    summary = synced(project)
    assert time.monotonic() - start < 2
    assert counts(summary) == {"skipped": 6}
    reader = reader_of(project)
    assert {name: run.info.run_id for name, run in reader.runs.items()} == before
    assert not any(reader.has_duplicates(run) for run in reader.runs.values())


@pytest.mark.parametrize("after_calls", [1, 3, 5, 7, 9])
def test_a_sync_that_was_killed_is_completed_without_duplicates(
    project: Path, monkeypatch: pytest.MonkeyPatch, after_calls: int
) -> None:
    from mlflow import MlflowClient

    class Killed(BaseException):
        pass

    write_one(project, "darts", 0)
    calls = 0

    def dying(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > after_calls:
                raise Killed
            return method(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr("harness.tracking.METRICS_PER_CALL", 100)
        for name in ("create_run", "log_batch", "log_artifacts", "set_terminated", "set_tag"):
            patch.setattr(MlflowClient, name, dying(getattr(MlflowClient, name)))
        with pytest.raises(Killed):
            synced(project)
    assert COMPLETE_TAG not in reader_of(project).runs["darts/seed-0"].data.tags
    assert counts(synced(project)) == {"continued": 1}
    reader = reader_of(project)
    run = reader.runs["darts/seed-0"]
    assert not reader.has_duplicates(run)
    assert all(len(reader.history(run, name)) == EPOCHS for name in run.data.metrics if name.startswith("alpha/"))
    assert len(run.data.metrics) == 60 + 5 + 11 and len(reader.artifacts(run)) == len(RUN_FILES) + 2
    assert counts(synced(project)) == {"skipped": 1}


def test_a_changed_record_replaces_its_run(project: Path) -> None:
    write_all(project)
    synced(project)
    old = reader_of(project).runs["darts/seed-1"].info.run_id
    write_one(project, "darts", 1, fingerprint="another", settings={"fraction": 8})
    assert counts(synced(project)) == {"replaced": 1, "skipped": 5}
    reader = reader_of(project)
    run = reader.runs["darts/seed-1"]
    assert run.info.run_id != old and run.data.tags["fingerprint"] == "another"
    assert run.data.params["variant.fraction"] == "8"
    assert reader.client.get_run(old).info.lifecycle_stage == "deleted"


def test_a_run_computed_again_with_other_values_replaces_its_run(project: Path) -> None:
    write_one(project, "darts", 0)
    synced(project)
    write_one(project, "darts", 0, seconds=9.0)
    assert counts(synced(project)) == {"replaced": 1}
    assert reader_of(project).runs["darts/seed-0"].data.metrics["summary/seconds"] == 9


def test_truth_that_comes_later_is_added_to_the_run_and_changed_truth_replaces_it(project: Path) -> None:
    write_one(project, "darts", 0)
    synced(project)
    truth, final_truth = truth_tables()
    assert counts(synced(project, truth_rows=truth, final_truth_rows=final_truth)) == {"continued": 1}
    assert counts(synced(project, truth_rows=truth, final_truth_rows=final_truth)) == {"skipped": 1}
    truth["truth/cifar10/test"] += 0.25
    assert counts(synced(project, truth_rows=truth, final_truth_rows=final_truth)) == {"replaced": 1}
    reader = reader_of(project)
    assert reader.history(reader.runs["darts/seed-0"], "truth/cifar10/test") == [(1, 91.25), (2, 92.25), (3, 93.25)]


def test_a_run_that_stands_twice_is_cleaned_up(project: Path) -> None:
    write_one(project, "darts", 0)
    synced(project)
    client = reader_of(project).client
    experiment = client.get_experiment_by_name("board")
    assert experiment is not None
    client.create_run(experiment.experiment_id, tags={"dartsboard.key": "darts/seed-0"}, run_name="twin")
    own = client.create_run(experiment.experiment_id, run_name="my own experiment")
    assert counts(synced(project)) == {"skipped": 1}
    assert set(reader_of(project).runs) == {"darts/seed-0", "my own experiment"}
    assert client.get_run(own.info.run_id).info.lifecycle_stage == "active"


def test_a_deleted_experiment_comes_back(project: Path) -> None:
    write_one(project, "darts", 0)
    synced(project)
    client = reader_of(project).client
    experiment = client.get_experiment_by_name("board")
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    assert synced(project).message == ""
    assert set(reader_of(project).runs) == {"darts/seed-0"}


# Searches in progress


def in_progress(epochs: int, alive: bool, fingerprint: str = "darts-0") -> InProgress:
    alpha = alpha_table(0)
    return InProgress("darts", 0, fingerprint, alive, epochs_table(0, epochs), alpha[alpha["epoch"] <= epochs])


def test_a_search_is_followed_from_its_first_epoch_to_its_record(project: Path) -> None:
    def state() -> tuple[str, str, list[tuple[int, float]]]:
        run = reader_of(project).runs["darts/seed-0"]
        return run.info.status, run.data.tags["status"], reader_of(project).history(run, "search/valid_accuracy")

    assert counts(synced(project, in_progress=[in_progress(1, True)])) == {"created": 1}
    assert state() == ("RUNNING", "running", [(1, 51)])
    assert counts(synced(project, in_progress=[in_progress(1, True)])) == {"skipped": 1}
    assert counts(synced(project, in_progress=[in_progress(2, False)])) == {"continued": 1}
    assert state() == ("KILLED", "interrupted", [(1, 51), (2, 52)])
    assert counts(synced(project, in_progress=[in_progress(2, True)])) == {"continued": 1}
    assert state()[0] == "RUNNING"
    write_one(project, "darts", 0)
    # A search that has its record is over, whoever still lists it.
    assert counts(synced(project, in_progress=[in_progress(3, True)])) == {"continued": 1}
    assert state() == ("FINISHED", "done", [(1, 51), (2, 52), (3, 53)])
    assert counts(synced(project)) == {"skipped": 1}


def test_a_new_search_takes_the_place_of_an_outdated_record(project: Path) -> None:
    write_one(project, "darts", 0)
    synced(project)
    assert counts(synced(project, in_progress=[in_progress(1, True, "new")])) == {"replaced": 1}
    assert reader_of(project).runs["darts/seed-0"].info.status == "RUNNING"


# Faults


def test_a_damaged_record_is_counted_and_the_others_are_mirrored(project: Path) -> None:
    write_all(project)
    (run_folder("darts", 0, project / "runs") / "record.json").write_text("{")
    (run_folder("darts", 1, project / "runs") / "epochs.parquet").write_bytes(b"PAR1")
    summary = synced(project)
    assert counts(summary) == {"created": 4, "failed": 2}
    assert "record.json is damaged" in summary.message and "(and 1 more)" in summary.message


def test_a_server_that_does_not_answer_costs_seconds_and_a_sentence(tmp_path: Path) -> None:
    write_one(tmp_path, "darts", 0)
    start = time.monotonic()
    summary = synced(tmp_path, board_of(f"http://user:secret@127.0.0.1:{free_port()}"))
    assert time.monotonic() - start < 5
    assert counts(summary) == {} and "could not be reached (it does not answer)" in summary.message
    assert "secret" not in summary.message + summary.uri

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        summary = synced(tmp_path, board_of(f"http://127.0.0.1:{silent.getsockname()[1]}"))
        assert time.monotonic() - start < 6
        assert "could not be reached (no answer in time)" in summary.message
    assert not (tmp_path / "mlflow.db").exists()


def test_a_corrupt_store_is_named_in_one_sentence(tmp_path: Path) -> None:
    write_one(tmp_path, "darts", 0)
    database = tmp_path / "mlflow.db"
    database.write_bytes(b"no database at all, but long enough to be looked at as one" * 20)
    start = time.monotonic()
    summary = synced(tmp_path)
    assert time.monotonic() - start < 5
    assert summary.message == (
        f"{database} cannot be used (file is not a database): "
        "move it away and run dartsboard sync, which builds it anew"
    )
    with pytest.raises(UserError, match="move it away"):
        ui_command(board_of(), port=free_port(), project=tmp_path)


def test_a_store_that_was_half_made_is_named_in_one_sentence(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE metrics (key TEXT)")
        connection.execute("CREATE TABLE _alembic_tmp_latest_metrics (key TEXT)")
    connection.close()
    summary = synced(tmp_path)
    assert summary.message.startswith(f"{database} cannot be used (") and "\n" not in summary.message


def test_a_project_that_was_moved_is_told_so(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    write_one(project, "darts", 0)
    synced(project)
    moved = tmp_path_factory.mktemp("new") / "place"
    project.rename(moved)
    summary = synced(moved)
    assert "move it away" in summary.message and str(project) in summary.message


@pytest.mark.parametrize("uri", ["file:///runs", "./mlruns", "ftp://host", "http://", "databricks"])
def test_a_store_that_mlflow_does_not_have_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UserError, match=r"params\.yaml: tracking\.uri: .* is no store of MLflow"):
        synced(tmp_path, board_of(uri))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://host:5000", "http://host:5000"),
        ("https://user:p@ss/w:rd@host/x failed", "https://***@host/x failed"),
        ("https://token@host", "https://***@host"),
        ("postgresql+psycopg2://a:b@h/db?password=c&x=1", "postgresql+psycopg2://***@h/db?password=***&x=1"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
    ],
)
def test_passwords_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


def _sync_in_process(project: Path) -> dict[str, int]:
    summary = synced(project)
    return counts(summary) | ({"message": 1} if summary.message else {})


def test_four_processes_may_make_a_missing_store_at_once(tmp_path: Path) -> None:
    write_all(tmp_path)
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        results = pool.map(_sync_in_process, [tmp_path] * 4, chunksize=1)
    assert sorted(results, key=canonical_json) == [{"created": 6}, *[{"skipped": 6}] * 3]
    assert len(reader_of(tmp_path).runs) == 6
    assert counts(synced(tmp_path)) == {"skipped": 6}


# Servers


def test_the_ui_serves_the_store_and_a_server_can_be_synced_and_die(
    project: Path, serve: Callable[[list[str], dict[str, str], int], subprocess.Popen[bytes]]
) -> None:
    write_all(project)
    synced(project)
    port = free_port()
    command, environment = ui_command(board_of(), port=port, project=project)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match="cannot be used"):
            ui_command(board_of(), port=taken.getsockname()[1], project=project)
    server = serve(command, environment, port)
    address = f"http://127.0.0.1:{port}"
    assert set(Reader(address).runs) == set(reader_of(project).runs)

    run_id = reader_of(project).runs["darts/seed-0"].info.run_id
    picture = urllib.request.urlopen(f"{address}/get-artifact?path=record.json&run_uuid={run_id}", timeout=10)
    assert json.loads(picture.read())["variant"] == "darts"

    board = Board.model_validate(
        board_of(address).model_dump() | {"tracking": {"uri": address, "experiment": "remote"}}
    )
    with pytest.raises(UserError, match=re.escape(f"is a server already: open {address}")):
        ui_command(board, port=free_port(), project=project)
    elsewhere = project / "elsewhere"
    write_all(elsewhere)
    summary = synced(elsewhere, board)
    assert (counts(summary), summary.message) == ({"created": 6}, "")
    assert counts(synced(elsewhere, board)) == {"skipped": 6}
    assert not (elsewhere / "mlflow.db").exists()

    # It dies in the middle of a sync.
    write_one(elsewhere, "darts", 0, fingerprint="another")
    reply = _sync_while_dying(elsewhere, board, server)
    assert "stopped" in reply.message or "could not be reached" in reply.message


def _sync_while_dying(project: Path, board: Board, server: subprocess.Popen[bytes]) -> SyncSummary:
    import mlflow

    original = mlflow.MlflowClient.log_artifacts

    def kill_first(*arguments: Any, **options: Any) -> Any:
        os.killpg(server.pid, signal.SIGKILL)
        return original(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "log_artifacts", kill_first)
        start = time.monotonic()
        summary = synced(project, board)
        assert time.monotonic() - start < 15
    return summary


def test_mlflow_is_imported_only_when_needed() -> None:
    code = "import sys, harness.tracking; sys.exit(any(name in sys.modules for name in ('mlflow', 'matplotlib')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_drawing_of_another_cell_is_another_artifact(project: Path) -> None:
    write_one(project, "darts", 0)
    write_one(project, "darts", 1, cell=str(ALL_SKIP))
    synced(project)
    reader = reader_of(project)
    drawings = {
        Path(reader.client.download_artifacts(run.info.run_id, "cell.svg")).read_text() for run in reader.runs.values()
    }
    assert len(drawings) == 2
