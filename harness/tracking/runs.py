"""The runs of one experiment in MLflow, as one board sees and changes them."""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.base.errors import UserError, quoted
from harness.tracking.metrics import is_truth
from harness.tracking.origin import NOTE_TAG, dataset_inputs
from harness.tracking.server import IDENTIFIER, REMOTE_ARTIFACTS
from harness.tracking.shown_run import BOARD_TAG, COMPLETE_TAG, KEY_TAG, MirroredRun, Point
from harness.tracking.store import Store
from harness.tracking.summary import Outcome

METRICS_PER_CALL, PARAMS_PER_CALL = 1000, 100
"""MLflow's limits of `log_batch`."""

RUNS_PER_PAGE = 200
"""So that a page of runs with hundreds of metrics is a few megabytes."""

NO_SUCH_CALL = ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED")
"""What a server answers that is older than the call."""


@dataclass
class Mirror:
    """Where runs are mirrored, and which of those that stand there are this board's."""

    client: Any
    experiment: str
    store: Store
    key: str
    """The board's."""
    truth_is_known: bool
    """Whether runs of a record without truth have none; else what MLflow holds of it stays."""
    keeps_files_here: bool = False
    """Whether the server wants artifacts in a folder of this machine, which nothing is written to."""
    takes_inputs: bool = True
    """Whether the server is not too old for the data sets of runs."""

    def is_mine(self, run: Any) -> bool:
        """Whether this board may change or delete a run."""
        return self.store.is_own or run.data.tags.get(BOARD_TAG, self.key) == self.key

    def existing_runs(self, keys: set[str]) -> dict[str, list[Any]]:
        """Return the mirrored runs of the experiment that bear these keys, this board's before those of others."""
        runs: dict[str, list[Any]] = {}
        token = None
        while True:
            page = self.client.search_runs([self.experiment], max_results=RUNS_PER_PAGE, page_token=token)
            for run in page:
                if (key := run.data.tags.get(KEY_TAG)) in keys:
                    runs.setdefault(key, []).append(run if self.is_mine(run) else _lighter(run))
            token = page.token
            if not token:
                return {key: sorted(found, key=self.is_mine, reverse=True) for key, found in runs.items()}

    def put(self, wanted: MirroredRun | str, found: list[Any]) -> tuple[Outcome, str]:
        """Make MLflow hold the wanted run once, and no other of its name; return what that took and its id.

        Runs of other boards stay as they are. One that is complete and the same will do for this board too.
        """
        if isinstance(wanted, str):
            kept = next(run for run in found if run.data.tags.get(COMPLETE_TAG) == wanted)
            self._delete(found, kept)
            if self.is_mine(kept) and not self.store.is_own and BOARD_TAG not in kept.data.tags:
                self.client.set_tag(kept.info.run_id, BOARD_TAG, self.key)
            return "skipped", _checked_id(kept)
        kept, logged = self._continued(wanted, found)
        self._delete(found, kept)
        missing = [point for point in wanted.points if (point.name, point.step) not in logged]
        if kept is not None and wanted.digest is None and not missing and kept.info.status == wanted.status:
            return "skipped", _checked_id(kept)
        tags = {**wanted.tags, BOARD_TAG: self.key}
        identity = {name: tags[name] for name in (KEY_TAG, BOARD_TAG, "fingerprint")}
        run = kept or self.client.create_run(
            self.experiment, start_time=wanted.start, tags=identity, run_name=wanted.key
        )
        self._write(run, wanted, tags, missing)
        replaced = kept is None and any(map(self.is_mine, found))
        return "continued" if kept else "replaced" if replaced else "created", _checked_id(run)

    def mark_dead(self, run: Any) -> None:
        """Note that a search of this board ran at an earlier sync, and left neither a record nor a checkpoint."""
        from mlflow.entities import RunTag

        if not self.is_mine(run) or run.info.status != "RUNNING":
            return
        self.client.log_batch(run.info.run_id, tags=[RunTag("status", "interrupted")])
        self.client.set_terminated(run.info.run_id, "KILLED")

    def _delete(self, found: list[Any], kept: Any) -> None:
        for run in found:
            if run is not kept and self.is_mine(run):
                self.client.delete_run(run.info.run_id)

    def _continued(self, wanted: MirroredRun, found: list[Any]) -> tuple[Any, set[tuple[str, int]]]:
        """Return the first run that can be continued, and the points that it holds; none is null."""
        for run in filter(self.is_mine, found):
            points = self._points_to_keep(run, wanted)
            if points is not None:
                return run, points
        return None, set()

    def _points_to_keep(self, run: Any, wanted: MirroredRun) -> set[tuple[str, int]] | None:
        # MLflow never overwrites a point, it appends a second one. So a run is continued only if all that it holds is
        # wanted and stands there once; any other is made anew.
        tags, params = run.data.tags, run.data.params
        if tags.get("fingerprint") != wanted.fingerprint or not params.items() <= wanted.params.items():
            return None
        if self.truth_is_known and not _inputs_of(run) <= {(found.name, found.digest) for found in wanted.inputs}:
            return None
        values = {(point.name, point.step): point.value for point in wanted.points}
        kept: set[tuple[str, int]] = set()
        for name in run.data.metrics:
            if not self.truth_is_known and is_truth(name):
                continue
            for point in self.client.get_metric_history(run.info.run_id, name):
                place = (point.key, point.step)
                if place in kept or values.get(place) != point.value:
                    return None
                kept.add(place)
        return kept

    def _write(self, run: Any, wanted: MirroredRun, tags: dict[str, str], missing: list[Point]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        client, run_id = self.client, _checked_id(run)
        params = [Param(name, text) for name, text in wanted.params.items()]
        for start in range(0, len(params), PARAMS_PER_CALL):
            client.log_batch(run_id, params=params[start : start + PARAMS_PER_CALL])
        metrics = [Metric(point.name, point.value, point.time, point.step) for point in missing]
        for start in range(0, len(metrics), METRICS_PER_CALL):
            client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_CALL])
        self._write_files(run, wanted)
        self._write_inputs(run_id, wanted)
        if not self.truth_is_known and NOTE_TAG in run.data.tags:
            tags = {**tags, NOTE_TAG: run.data.tags[NOTE_TAG]}  # it tells of the truth
        client.log_batch(run_id, tags=[RunTag(name, text) for name, text in tags.items()])
        if wanted.status == "RUNNING":
            client.update_run(run_id, status=wanted.status)
        else:
            client.set_terminated(run_id, wanted.status, wanted.end)
        if wanted.digest is not None:
            client.set_tag(run_id, COMPLETE_TAG, wanted.digest)

    def _write_inputs(self, run_id: str, wanted: MirroredRun) -> None:
        from mlflow.exceptions import MlflowException

        if not wanted.inputs or not self.takes_inputs:
            return
        try:
            self.client.log_inputs(run_id, datasets=dataset_inputs(wanted.inputs))
        except MlflowException as error:
            if error.error_code not in NO_SUCH_CALL:
                raise
            self.takes_inputs = False

    def _write_files(self, run: Any, wanted: MirroredRun) -> None:
        from harness.space.drawing import cell_png, cell_svg

        log_folder = self._folder_writer(run)
        if log_folder is None:
            return
        if wanted.folder is not None:
            log_folder(str(wanted.folder))
        if wanted.cell is not None:
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "cell.svg").write_text(cell_svg(wanted.cell), encoding="utf-8")
                (Path(folder) / "cell.png").write_bytes(cell_png(wanted.cell))
                log_folder(folder)

    def _folder_writer(self, run: Any) -> Callable[[str], None] | None:
        """Return what hands a folder to the run's artifacts; null where a server wants them in a folder of its own."""
        if not self.store.is_server:
            return lambda folder: self.client.log_artifacts(run.info.run_id, folder)
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        place = run.info.artifact_uri
        if place.partition(":")[0] not in REMOTE_ARTIFACTS:
            self.keeps_files_here = True
            return None
        writer: Callable[[str], None] = get_artifact_repository(place, tracking_uri=self.store.uri).log_artifacts
        return writer


def _lighter(run: Any) -> Any:
    """Return what counts of a run of another board: there may be many, and each has hundreds of values."""
    from mlflow.entities import Run, RunData, RunTag

    tags = [RunTag(name, text) for name, text in run.data.tags.items() if name in (KEY_TAG, BOARD_TAG, COMPLETE_TAG)]
    return Run(run.info, RunData(tags=tags))


def _inputs_of(run: Any) -> set[tuple[str, str]]:
    found = run.inputs.dataset_inputs if run.inputs else []
    return {(one.dataset.name, one.dataset.digest) for one in found}


def _checked_id(run: Any) -> str:
    identifier = run.info.run_id
    if not isinstance(identifier, str) or not re.fullmatch(IDENTIFIER, identifier):
        raise UserError(f"the tracking server calls a run {quoted(identifier)}, expected letters and digits")
    return identifier
