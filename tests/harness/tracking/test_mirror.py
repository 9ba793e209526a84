"""What a sync brings into MLflow, once and again."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.records.record import run_folder, write_run
from harness.space.cell import ALL_SKIP, RESIDUAL
from harness.tracking.metrics import legal_name
from harness.tracking.shown_run import COMPLETE_TAG
from tests.harness.tracking.runs import (
    EPOCHS,
    RUN_FILES,
    alpha_table,
    board_of,
    counts,
    epochs_table,
    in_progress,
    reader_of,
    record_of,
    synced,
    truth_tables,
    write_all,
    write_one,
)

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
    assert reader.history(run, "search/skip_count") == [(1, 1), (2, 1), (3, 1)]
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
    assert run.data.params["settings.deep.on"] == "true"
    assert run.data.params["settings.note"] == "null"
    assert run.data.params["settings.list"] == "[1, 2.5]"
    assert run.data.params["protocol.alpha.lr"] == "0.05"
    assert run.data.params["protocol.data.path"] == "null"
    assert not set(run.data.params) & set(run.data.tags)
    assert all(name.startswith(("settings.", "protocol.")) for name in run.data.params)
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
        patch.setattr("harness.tracking.runs.METRICS_PER_CALL", 100)
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
    assert len(run.data.metrics) == 60 + 6 + 11 and len(reader.artifacts(run)) == len(RUN_FILES) + 2
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
    assert run.data.params["settings.fraction"] == "8"
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


def client_and_experiment(project: Path) -> tuple[Any, str]:
    client = reader_of(project).client
    experiment = client.get_experiment_by_name("board")
    assert experiment is not None
    return client, experiment.experiment_id


def test_a_run_that_stands_twice_is_cleaned_up(project: Path) -> None:
    write_one(project, "darts", 0)
    synced(project)
    client, experiment = client_and_experiment(project)
    client.create_run(experiment, tags={"dartsboard.key": "darts/seed-0"}, run_name="twin")
    own = client.create_run(experiment, run_name="my own experiment")
    assert counts(synced(project)) == {"skipped": 1}
    assert set(reader_of(project).runs) == {"darts/seed-0", "my own experiment"}
    assert client.get_run(own.info.run_id).info.lifecycle_stage == "active"


def test_a_deleted_experiment_comes_back(project: Path) -> None:
    write_one(project, "darts", 0)
    synced(project)
    client, experiment = client_and_experiment(project)
    client.delete_experiment(experiment)
    assert synced(project).message == ""
    assert set(reader_of(project).runs) == {"darts/seed-0"}


# Searches in progress


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


def test_a_search_that_vanished_is_marked_as_dead(project: Path) -> None:
    synced(project, in_progress=[in_progress(1, True)])
    # Of another board it may be, as long as it lives.
    other = board_of().model_copy(update={"variants": {"pc-darts": {}}, "reference": "pc-darts"})
    synced(project, other, in_progress=[in_progress(1, True)])
    assert reader_of(project).runs["darts/seed-0"].info.status == "RUNNING"
    assert synced(project).message == ""
    run = reader_of(project).runs["darts/seed-0"]
    assert (run.info.status, run.data.tags["status"]) == ("KILLED", "interrupted")


def test_a_new_search_takes_the_place_of_an_outdated_record(project: Path) -> None:
    write_one(project, "darts", 0)
    synced(project)
    assert counts(synced(project, in_progress=[in_progress(1, True, "new")])) == {"replaced": 1}
    assert reader_of(project).runs["darts/seed-0"].info.status == "RUNNING"


def test_the_drawing_of_another_cell_is_another_artifact(project: Path) -> None:
    write_one(project, "darts", 0)
    write_one(project, "darts", 1, cell=str(ALL_SKIP))
    synced(project)
    reader = reader_of(project)
    drawings = {
        Path(reader.client.download_artifacts(run.info.run_id, "cell.svg")).read_text() for run in reader.runs.values()
    }
    assert len(drawings) == 2
