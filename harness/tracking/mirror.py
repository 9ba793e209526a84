"""The MLflow mirror: rebuilt at any time from the run records, without duplicates, and never in a search's way."""

import os
import socket
import sys
import tempfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from harness.base.errors import UserError
from harness.base.masking import masked, without_credentials
from harness.records.in_progress import InProgress
from harness.records.record import RUNS, read_record, run_folder
from harness.settings.protocol import Board
from harness.tracking.shown_run import (
    COMPLETE_TAG,
    KEY_TAG,
    MirroredRun,
    Point,
    mirror_of_progress,
    mirror_of_record,
    record_digest,
    run_key,
)
from harness.tracking.store import (
    MLFLOW_SETTINGS,
    Store,
    check_reachable,
    check_usable,
    exclusive,
    find_store,
    one_line,
    open_experiment,
    put_aside_if_damaged,
)

METRICS_PER_CALL, PARAMS_PER_CALL = 1000, 100
"""MLflow's limits of `log_batch`."""

Outcome = Literal["created", "continued", "replaced", "skipped", "failed"]


@dataclass
class SyncSummary:
    """What a sync did: counts of runs, the store, and in one sentence what went wrong (empty if nothing did)."""

    uri: str
    """The store, passwords masked."""
    created: int = 0
    continued: int = 0
    """Runs that an earlier sync had left unfinished, or that went on since."""
    replaced: int = 0
    """Runs whose record had changed: the old one was deleted, MLflow keeps it among the deleted runs."""
    skipped: int = 0
    """Runs that were complete."""
    failed: int = 0
    """Runs whose record could not be read."""
    message: str = ""
    note: str = ""
    """What else there is to say, in one sentence: that the store was damaged and built anew."""
    page: str = ""
    """Address of the server's page without credentials; empty for a store that `dartsboard ui` must serve."""
    experiment_id: str | None = None
    """The board's experiment; null if the store could not be used."""
    run_ids: dict[str, str] = field(default_factory=dict)
    """MLflow's id of each run that it holds, by `variant/seed-N`."""

    def count(self, outcome: Outcome) -> None:
        """Count one run."""
        setattr(self, outcome, getattr(self, outcome) + 1)

    def __str__(self) -> str:
        counts = {
            "new": self.created,
            "continued": self.continued,
            "replaced": self.replaced,
            "up to date": self.skipped,
            "unreadable": self.failed,
        }
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no run to mirror"
        return f"MLflow ({self.uri}): {self.message or told}" + (f"; {self.note}" if self.note else "")


def sync(
    board: Board,
    runs_root: Path = RUNS,
    truth_rows: pd.DataFrame | None = None,
    final_truth_rows: pd.DataFrame | None = None,
    in_progress: Iterable[InProgress] = (),
    project: Path = Path(),
) -> SyncSummary:
    """Bring MLflow to the state of the run records; a second call finds nothing to do.

    Args:
        board: which runs there are.
        runs_root: the folder of the run records.
        truth_rows: the looked-up epochs: variant, seed, epoch and columns `truth/<data set>/<split>`.
        final_truth_rows: the looked-up runs: variant, seed and the same columns for the derived cell.
        in_progress: all searches that have no record yet: what else MLflow takes for running has died.
        project: the folder of params.yaml, which holds the default store.

    A store that fails is no error: the summary says so.

    Raises:
        UserError: `tracking.uri` is no store of MLflow.
    """
    store = find_store(board, project)
    summary = SyncSummary(masked(store.uri), page=without_credentials(store.uri) if store.is_server else "")
    progress = {run_key(search.variant, search.seed): search for search in in_progress}
    records = _Records(board, runs_root, _rows_by_run(truth_rows), _rows_by_run(final_truth_rows), progress)
    try:
        check_reachable(store)
        with exclusive(store):
            summary.note = put_aside_if_damaged(store)
            client, summary.experiment_id = open_experiment(store, board.tracking.experiment)
            _mirror_board(records, store, client, summary)
    except UserError as error:
        summary.message = masked(str(error))
    except Exception as error:
        # MLflow, its database layer and its artifact stores raise what they like, and the mirror is only a mirror.
        summary.message = f"the mirror in {summary.uri} stopped ({one_line(error)}): run dartsboard sync again"
    return summary


# What shall stand there


@dataclass(frozen=True)
class _Records:
    """What there is to mirror."""

    board: Board
    runs_root: Path
    truth: dict[str, pd.DataFrame]
    final_truth: dict[str, pd.DataFrame]
    progress: dict[str, InProgress]

    def wanted(self, variant: str, seed: int, complete: set[str]) -> MirroredRun | str | None:
        """Return the mirror of one run; its digest alone if that is among the complete ones; null without a run."""
        key, folder = run_key(variant, seed), run_folder(variant, seed, self.runs_root)
        record = read_record(folder) if (folder / "record.json").exists() else None
        search = self.progress.get(key)
        if search is not None and (record is None or record.fingerprint != search.fingerprint):
            return mirror_of_progress(search, self.board)
        if record is None:
            return None
        truth = self.truth.get(key, pd.DataFrame())
        final_truth = self.final_truth.get(key, pd.DataFrame())
        digest = record_digest(folder, truth, final_truth)
        return digest if digest in complete else mirror_of_record(folder, record, truth, final_truth, digest)


def _rows_by_run(rows: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    if rows is None:
        return {}
    keys = [run_key(variant, seed) for variant, seed in zip(rows["variant"], rows["seed"], strict=True)]
    return {str(key): part for key, part in rows.groupby(pd.Series(keys, index=rows.index))}


# Writing it


def _mirror_board(records: _Records, store: Store, client: Any, summary: SyncSummary) -> None:
    experiment = str(summary.experiment_id)
    existing = _existing_runs(client, experiment)
    problems = []
    for variant, seed in records.board.runs:
        key = run_key(variant, seed)
        found = existing.get(key, [])
        try:
            wanted = records.wanted(variant, seed, {run.data.tags.get(COMPLETE_TAG, "") for run in found})
        except UserError as error:
            problems.append(str(error))
            summary.count("failed")
            continue
        if wanted is not None:
            if isinstance(wanted, MirroredRun):
                check_reachable(store)  # a server that got slow meanwhile would take minutes for every run
            outcome, summary.run_ids[key] = _mirror_run(client, experiment, wanted, found)
            summary.count(outcome)
    alive = {key for key, search in records.progress.items() if search.alive}
    # Of this board only: others may mirror into the same experiment of a server.
    own = {run_key(variant, seed) for variant, seed in records.board.runs}
    dead = (own & existing.keys()) - summary.run_ids.keys() - alive
    _mark_dead(client, [run for key in dead for run in existing[key]])
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        summary.message = problems[0] + more


def _mark_dead(client: Any, runs: list[Any]) -> None:
    # Searches that ran at an earlier sync, and left neither a record nor a checkpoint.
    from mlflow.entities import RunTag

    for run in runs:
        if run.info.status == "RUNNING":
            client.log_batch(run.info.run_id, tags=[RunTag("status", "interrupted")])
            client.set_terminated(run.info.run_id, "KILLED")


def _existing_runs(client: Any, experiment: str) -> dict[str, list[Any]]:
    runs: dict[str, list[Any]] = {}
    token = None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        for run in page:
            if KEY_TAG in run.data.tags:
                runs.setdefault(run.data.tags[KEY_TAG], []).append(run)
        token = page.token
        if not token:
            return runs


def _mirror_run(client: Any, experiment: str, wanted: MirroredRun | str, found: list[Any]) -> tuple[Outcome, str]:
    """Make MLflow hold the wanted run once, and no other of its name; return what that took and MLflow's id of it."""
    logged: set[tuple[str, int]] = set()
    kept = None
    for run in found:
        if kept is None and isinstance(wanted, str):
            kept = run if run.data.tags.get(COMPLETE_TAG) == wanted else None
        elif kept is None and isinstance(wanted, MirroredRun):
            points = _points_to_keep(client, run, wanted)
            kept, logged = (None, set()) if points is None else (run, points)
        if run is not kept:
            client.delete_run(run.info.run_id)
    if isinstance(wanted, str):
        return "skipped", next(run.info.run_id for run in found if run.data.tags.get(COMPLETE_TAG) == wanted)
    missing = [point for point in wanted.points if (point.name, point.step) not in logged]
    if kept is not None and wanted.digest is None and not missing and kept.info.status == wanted.status:
        return "skipped", kept.info.run_id
    identity = {name: wanted.tags[name] for name in (KEY_TAG, "fingerprint")}
    run = kept or client.create_run(experiment, start_time=wanted.start, tags=identity, run_name=wanted.key)
    _write(client, run.info.run_id, wanted, missing)
    return "continued" if kept else "replaced" if found else "created", run.info.run_id


def _points_to_keep(client: Any, run: Any, wanted: MirroredRun) -> set[tuple[str, int]] | None:
    # MLflow never overwrites a point, it appends a second one. So a run is continued only if all that it holds is
    # wanted and stands there once; any other is made anew.
    same = run.data.tags.get("fingerprint") == wanted.fingerprint and run.data.params.items() <= wanted.params.items()
    if not same:
        return None
    values = {(point.name, point.step): point.value for point in wanted.points}
    kept: set[tuple[str, int]] = set()
    for name in run.data.metrics:
        for point in client.get_metric_history(run.info.run_id, name):
            place = (point.key, point.step)
            if place in kept or values.get(place) != point.value:
                return None
            kept.add(place)
    return kept


def _write(client: Any, run_id: str, wanted: MirroredRun, missing: list[Point]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    params = [Param(name, text) for name, text in wanted.params.items()]
    for start in range(0, len(params), PARAMS_PER_CALL):
        client.log_batch(run_id, params=params[start : start + PARAMS_PER_CALL])
    metrics = [Metric(point.name, point.value, point.time, point.step) for point in missing]
    for start in range(0, len(metrics), METRICS_PER_CALL):
        client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_CALL])
    _log_artifacts(client, run_id, wanted)
    client.log_batch(run_id, tags=[RunTag(name, text) for name, text in wanted.tags.items()])
    if wanted.status == "RUNNING":
        client.update_run(run_id, status=wanted.status)
    else:
        client.set_terminated(run_id, wanted.status, wanted.end)
    if wanted.digest is not None:
        client.set_tag(run_id, COMPLETE_TAG, wanted.digest)


def _log_artifacts(client: Any, run_id: str, wanted: MirroredRun) -> None:
    from harness.space.drawing import cell_png, cell_svg

    if wanted.folder is not None:
        client.log_artifacts(run_id, str(wanted.folder))
    if wanted.cell is not None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "cell.svg").write_text(cell_svg(wanted.cell))
            (Path(folder) / "cell.png").write_bytes(cell_png(wanted.cell))
            client.log_artifacts(run_id, folder)


# Looking at it


def ui_command(
    board: Board, host: str = "127.0.0.1", port: int = 5000, project: Path = Path()
) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the environment of a light MLflow server on the board's store.

    Raises:
        UserError: the store is a server already, or cannot be used, or the port is taken.
    """
    store = find_store(board, project)
    if store.is_server:
        raise UserError(f"tracking.uri is a server already: open {masked(store.uri)} in a browser")
    check_usable(store, board.tracking.experiment)
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(f"{host}:{port} cannot be used ({error.strerror}): choose another with --port") from None
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    environment = {
        **os.environ,
        **MLFLOW_SETTINGS,
        # Not on the command line, which every user of the machine can read: it may hold a password.
        "MLFLOW_BACKEND_STORE_URI": store.uri,
        "MLFLOW_ARTIFACTS_DESTINATION": store.artifacts.as_uri(),
        # Ten processes fewer: they serve features that a board has no use for.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    return command, environment
