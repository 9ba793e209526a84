"""What MLflow says of where a run comes from."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.space.cell import RESIDUAL
from harness.tracking import origin, shown_run
from harness.tracking.origin import NOTE_TAG, Input, data_set, note, source_tags, truth_table
from tests.harness.tracking.runs import counts, reader_of, record_of, synced, truth_tables, write_all, write_one

TABLE = Input("NAS-Bench-201 v1.1", "12345678", "data/truth.parquet", "truth")


def environment(revision: str | None) -> dict[str, Any]:
    return {**record_of("darts", 0).environment.model_dump(), "git_revision": revision}


def held(project: Path, run: str = "darts/seed-0") -> Any:
    return reader_of(project).runs[run]


def inputs_of(run: Any) -> list[tuple[str, str, str]]:
    found = run.inputs.dataset_inputs
    return sorted((one.dataset.name, one.dataset.digest, one.tags[0].value) for one in found)


def test_a_run_shows_its_note_its_commit_and_what_it_was_made_with(project: Path) -> None:
    write_one(project, "darts", 0, environment=environment("a" * 40 + "+changes"))
    write_one(project, "random", 0)
    truth, final_truth = truth_tables()
    summary = synced(project, truth_rows=truth, final_truth_rows=final_truth, truth_table=TABLE)
    assert summary.message == ""
    run = held(project)
    told = run.data.tags[NOTE_TAG]
    assert str(RESIDUAL) in told and "CIFAR-10 test 93.50 %" in told
    assert f"file://{project}/reports/generated/report.html" in told
    assert run.data.tags["mlflow.source.git.commit"] == "a" * 40
    assert run.data.tags["mlflow.source.git.dirty"] == "true"
    assert run.data.tags["mlflow.source.name"] == "dartsboard search darts --seed 0"
    images = data_set(record_of("darts", 0))
    assert images is not None
    assert inputs_of(run) == [("NAS-Bench-201 v1.1", "12345678", "truth"), (images.name, images.digest, "search")]
    assert inputs_of(held(project, "random/seed-0")) == [("NAS-Bench-201 v1.1", "12345678", "truth")]


def test_another_truth_table_is_never_a_second_input_of_a_run(project: Path) -> None:
    write_one(project, "darts", 0)
    truth, final_truth = truth_tables()
    known = {"truth_rows": truth, "final_truth_rows": final_truth}
    synced(project, **known, truth_table=TABLE)
    assert counts(synced(project, **known, truth_table=TABLE)) == {"skipped": 1}
    assert counts(synced(project, **known, truth_table=TABLE._replace(digest="87654321"))) == {"replaced": 1}
    assert [digest for _, digest, context in inputs_of(held(project)) if context == "truth"] == ["87654321"]


def test_what_was_told_of_the_truth_stays_where_nobody_knows_it(project: Path) -> None:
    write_one(project, "darts", 0)
    truth, final_truth = truth_tables()
    synced(project, truth_rows=truth, final_truth_rows=final_truth, truth_table=TABLE)
    before = held(project)
    assert counts(synced(project)) == {"continued": 1}
    assert (held(project).data.tags[NOTE_TAG], inputs_of(held(project))) == (
        before.data.tags[NOTE_TAG],
        inputs_of(before),
    )


def test_a_mirror_of_an_earlier_version_is_written_anew_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr(shown_run, "LAYOUT_VERSION", 1)
        flattened = shown_run._flattened
        before.setattr(
            shown_run, "_flattened", lambda prefix, settings: flattened(prefix.replace("settings", "variant"), settings)
        )
        write_all(project, seeds=(0,))
        synced(project)
        assert "variant.fraction" in held(project).data.params
    assert counts(synced(project)) == {"replaced": 3}
    assert "variant.fraction" not in held(project).data.params
    assert counts(synced(project)) == {"skipped": 3}


def test_an_empty_group_of_settings_has_no_param(project: Path) -> None:
    write_one(project, "darts", 0, settings={})
    write_one(project, "pc-darts", 0, settings={"deep": {}, "list": []})
    synced(project)
    assert not [name for name in held(project).data.params if name.startswith("settings")]
    params = held(project, "pc-darts/seed-0").data.params
    assert {name: text for name, text in params.items() if name.startswith("settings")} == {"settings.list": "[]"}


@pytest.mark.parametrize(
    ("code", "note", "message"),
    [("ENDPOINT_NOT_FOUND", "the server is too old for them", ""), ("INTERNAL_ERROR", "", "run dartsboard sync again")],
)
def test_a_server_without_data_sets_has_all_else(
    project: Path, monkeypatch: pytest.MonkeyPatch, code: str, note: str, message: str
) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ErrorCode

    def refuse(*arguments: Any, **options: Any) -> None:
        raise MlflowException("no", error_code=ErrorCode.Value(code))

    write_one(project, "darts", 0)
    monkeypatch.setattr(MlflowClient, "log_inputs", refuse)
    summary = synced(project)
    assert note in summary.note and message in summary.message
    assert bool(summary.created) == bool(note)


def test_the_note_of_a_run_without_a_cell_says_why() -> None:
    record = record_of("darts", 0, status="failed", reason="no `space` <b>left</b>", cell=None, derived={})
    told = note(record, None, pd.DataFrame(), "report.html")
    assert (
        told
        == "The run is failed: `no 'space' <b>left</b>`. No cell was derived.\n\nReport of the board: `report.html`"
    )


@pytest.mark.parametrize(
    ("revision", "commit", "dirty"), [(None, None, None), ("ab12", "ab12", "false"), ("ab12+changes", "ab12", "true")]
)
def test_the_commit_stands_where_mlflow_looks_for_it(
    revision: str | None, commit: str | None, dirty: str | None
) -> None:
    tags = source_tags(record_of("darts", 0, environment=environment(revision)))
    assert (tags.get("mlflow.source.git.commit"), tags.get("mlflow.source.git.dirty")) == (commit, dirty)


@pytest.mark.parametrize("settings", [{}, {"data": None}, {"data": {"name": ""}}, {"data": [1]}])
def test_a_record_that_names_no_images_has_none(settings: dict[str, Any]) -> None:
    assert data_set(record_of("darts", 0, protocol_settings=settings)) is None


@pytest.mark.parametrize("content", [{}, {"source": "x"}, {"source": "x", "sha256": 5}, {"sha256": "ab"}])
def test_a_description_that_names_no_table_gives_none(content: dict[str, Any]) -> None:
    assert truth_table(content) is None
    assert origin.truth_table({"source": "x", "sha256": "ab" * 32, "table": None}) == ("x", "abababab", "x", "truth")
