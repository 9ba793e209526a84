"""The MLflow mirror: rebuilt at any time from the run records, without duplicates, and never in a search's way."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.base.errors import UserError
from harness.base.masking import masked
from harness.records.in_progress import InProgress
from harness.records.record import RUNS, read_record, run_folder
from harness.settings.protocol import Board
from harness.tracking.board_key import board_key
from harness.tracking.database import put_aside_if_damaged
from harness.tracking.origin import REPORT, Input
from harness.tracking.runs import Mirror
from harness.tracking.saved_views import save_views
from harness.tracking.server import one_line
from harness.tracking.shown_run import (
    COMPLETE_TAG,
    MirroredRun,
    Surroundings,
    mirror_of_progress,
    mirror_of_record,
    record_digest,
)
from harness.tracking.store import Store, exclusive, find_store, load_mlflow, open_experiment
from harness.tracking.summary import OnStep, Step, SyncSummary, nobody, run_key


def sync(
    board: Board,
    runs_root: Path = RUNS,
    truth_rows: pd.DataFrame | None = None,
    final_truth_rows: pd.DataFrame | None = None,
    truth_table: Input | None = None,
    in_progress: Iterable[InProgress] = (),
    project: Path = Path(),
    on_step: OnStep = nobody,
) -> SyncSummary:
    """Bring MLflow to the state of the run records; a second call finds nothing to do.

    Args:
        board: which runs there are.
        runs_root: the folder of the run records.
        truth_rows: the looked-up epochs: variant, seed, epoch and columns `truth/<data set>/<split>`; null if nobody
            knows: then what MLflow holds of them stays.
        final_truth_rows: the looked-up runs: variant, seed and the same columns for the derived cell.
        truth_table: what they were looked up in.
        in_progress: all searches that have no record yet: what else MLflow takes for running has died.
        project: the folder of params.yaml, which holds the default store.
        on_step: told before each step. A server can keep a step from ending: `harness.tracking.apart` watches.

    A store that fails is no error: the summary says so.

    Raises:
        UserError: `tracking.uri` is no store of MLflow.
    """
    store = find_store(board, project)
    summary = SyncSummary(store.shown, page=store.page)
    if not board.tracking.uri and os.environ.get("MLFLOW_TRACKING_URI"):
        summary.remark("MLFLOW_TRACKING_URI counts for nothing here: set tracking.uri in params.yaml")
    progress = {run_key(search.variant, search.seed): search for search in in_progress}
    truth, final_truth = _rows_by_run(truth_rows), _rows_by_run(final_truth_rows)
    records = _Records(board, runs_root, truth, final_truth, truth_table, progress, _report(store))
    try:
        load_mlflow()
        with exclusive(store):
            on_step(summary, Step("open"))
            store.check_reachable()
            if store.database is not None:
                summary.remark(put_aside_if_damaged(store.database, store.is_own))
            client, experiment = open_experiment(store, board.tracking.experiment)
            summary.experiment_id = experiment.id
            mirror = Mirror(client, experiment.id, store, board_key(project), truth_rows is not None)
            _mirror_board(records, mirror, summary, on_step)
            on_step(summary, Step("views"))
            summary.remark(save_views(client, experiment))
    except UserError as error:
        summary.message = masked(str(error))
    except MemoryError:
        summary.message = f"the mirror in {summary.uri} stopped (it took too much memory)"
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
    truth_table: Input | None
    progress: dict[str, InProgress]
    report: str

    def wanted(self, variant: str, seed: int, complete: set[str]) -> MirroredRun | str | None:
        """Return the mirror of one run; its digest alone if that is among the complete ones; null without a run."""
        key, folder = run_key(variant, seed), run_folder(variant, seed, self.runs_root)
        record = read_record(folder) if (folder / "record.json").exists() else None
        search = self.progress.get(key)
        if search is not None and (record is None or record.fingerprint != search.fingerprint):
            return mirror_of_progress(search, self.board)
        if record is None:
            return None
        truth, final_truth = (rows.get(key, pd.DataFrame()) for rows in (self.truth, self.final_truth))
        around = Surroundings(truth, final_truth, self.truth_table, self.report)
        digest = record_digest(folder, around)
        return digest if digest in complete else mirror_of_record(folder, record, around, digest)


def _rows_by_run(rows: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    if rows is None:
        return {}
    keys = [run_key(variant, seed) for variant, seed in zip(rows["variant"], rows["seed"], strict=True)]
    return {str(key): part for key, part in rows.groupby(pd.Series(keys, index=rows.index))}


def _report(store: Store) -> str:
    # On a server nobody knows this machine's folders.
    return str(REPORT) if store.database is None else (store.project / REPORT).as_uri()


# Bringing it there


def _mirror_board(records: _Records, mirror: Mirror, summary: SyncSummary, on_step: OnStep) -> None:
    on_step(summary, Step("list"))
    existing = mirror.existing_runs({run_key(variant, seed) for variant, seed in records.board.runs})
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
        on_step(summary, Step("run", len(wanted.points) if isinstance(wanted, MirroredRun) else 0))
        if wanted is not None:
            if isinstance(wanted, MirroredRun):
                mirror.store.check_reachable()  # one that got slow meanwhile would take minutes for every run
            outcome, summary.run_ids[key] = mirror.put(wanted, found)
            summary.count(outcome)
    alive = {key for key, search in records.progress.items() if search.alive}
    for key in existing.keys() - summary.run_ids.keys() - alive:
        on_step(summary, Step("run"))
        for run in existing[key]:
            mirror.mark_dead(run)
    if mirror.keeps_files_here:
        summary.remark(
            "no files were mirrored: the server keeps them in a folder, not behind its address; start it with "
            "--serve-artifacts and another experiment"
        )
    if not mirror.takes_inputs:
        summary.remark("no data sets were noted beside the runs: the server is too old for them")
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        summary.message = problems[0] + more
