"""A tracking server may do anything: a sync, the pipeline's stage and the doctor end in one sentence and in time."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.base.errors import UserError
from harness.tracking import apart, server
from harness.tracking.apart import check_store, mirror_project
from harness.tracking.summary import SyncSummary
from harness.tracking.tracked import read_tracked, write_tracked
from tests.conftest import ROOT, tiny_params, write_params
from tests.harness.tracking.hostile import (
    HOSTILE_FROM_THE_START,
    WRONG_ANSWERS,
    Behaviour,
    drips_body,
    drips_headers,
    endless_pages,
    hostile,
    like_mlflow,
    run_of,
    says,
)
from tests.harness.tracking.runs import board_of, counts, quiet_mlflow, write_all, write_one

STEP_SECONDS = 2.0
"""In these tests; in earnest it is longer."""

SECONDS = 60
"""More than anything here takes beside busy processes, where it ends at all."""

QUICK = ("drips_headers",)
"""The others of their kind take seconds each."""


def some(behaviours: dict[str, Behaviour]) -> list[object]:
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in behaviours]


@pytest.fixture(autouse=True)
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    write_all(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(apart, "STEP_SECONDS", STEP_SECONDS)
    monkeypatch.setattr(apart, "LIST_SECONDS", STEP_SECONDS)
    with quiet_mlflow():
        yield tmp_path


def assert_one_sentence(summary: SyncSummary) -> None:
    assert summary.message and summary.message.isprintable() and len(summary.message) < 600
    write_tracked(summary)
    assert "damaged" not in read_tracked().message


@pytest.mark.parametrize("name", some(HOSTILE_FROM_THE_START | WRONG_ANSWERS))
def test_whatever_a_server_says_is_one_sentence_in_time(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    begun = time.monotonic()
    with hostile((HOSTILE_FROM_THE_START | WRONG_ANSWERS)[name]) as bad:
        assert_one_sentence(mirror_project(board_of(bad.address)))
    assert time.monotonic() - begun < SECONDS
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", some(HOSTILE_FROM_THE_START))
def test_the_doctor_ends_too(name: str) -> None:
    begun = time.monotonic()
    with hostile(HOSTILE_FROM_THE_START[name]) as bad, pytest.raises(UserError) as caught:
        check_store(board_of(bad.address))
    assert "\n" not in str(caught.value) and time.monotonic() - begun < SECONDS


@pytest.mark.slow
def test_a_run_that_drips_after_others_were_mirrored_ends_the_sync_and_keeps_what_was_done() -> None:
    numbers = iter(range(1000))
    written: set[int] = set()

    def create(connection: object, path: str) -> None:
        number = next(numbers)
        written.add(number)
        says({"run": run_of(f"run-{number}")})(connection, path)  # type: ignore[arg-type]

    def log_batch(connection: object, path: str) -> None:
        (drips_body if len(written) > 3 else says({}))(connection, path)  # type: ignore[arg-type]

    with hostile(like_mlflow(create=create, log_batch=log_batch)) as bad:
        summary = mirror_project(board_of(bad.address))
    assert "could not be reached (no answer in time)" in summary.message
    assert summary.experiment_id in ("7", None)  # what was done is told once a second: of the last one nothing is known
    assert set(summary.run_ids.values()) <= {"run-0", "run-1", "run-2"}


@pytest.mark.slow
def test_progress_is_what_counts_and_not_the_whole_time() -> None:
    # A server that takes half of what a step may take, for each of many runs, is slow and no more.
    def slowly(connection: object, path: str) -> None:
        time.sleep(STEP_SECONDS / 2)
        says({"run": run_of()})(connection, path)  # type: ignore[arg-type]

    with hostile(like_mlflow(create=slowly)) as slow:
        begun = time.monotonic()
        summary = mirror_project(board_of(slow.address))
        assert time.monotonic() - begun > 2 * STEP_SECONDS
    assert (counts(summary), summary.message) == ({"created": 6}, "")


@pytest.mark.slow
def test_steps_that_are_slow_on_the_average_end_the_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "RUN_SECONDS", 0.1)

    def slowly(connection: object, path: str) -> None:
        time.sleep(STEP_SECONDS / 2)
        says({"run": run_of()})(connection, path)  # type: ignore[arg-type]

    with hostile(like_mlflow(create=slowly)) as slow:
        summary = mirror_project(board_of(slow.address))
    assert "no answer in time" in summary.message and summary.created < 6


def test_a_server_cannot_have_files_written_into_a_folder_of_this_machine(tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    for uri in (place.as_uri(), str(place)):
        with hostile(like_mlflow(create=says({"run": run_of(artifact_uri=uri)}))) as bad:
            summary = mirror_project(board_of(bad.address, seeds=(0,)))
        assert counts(summary) == {"created": 3} and "no files were mirrored" in summary.note
        assert not place.exists()


def test_answers_have_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.response import HTTPResponse

    monkeypatch.setattr(HTTPAdapter, "send", HTTPAdapter.send)
    monkeypatch.setattr(HTTPResponse, "drain_conn", HTTPResponse.drain_conn)
    monkeypatch.setattr(server, "LARGEST_ANSWER", 1000)
    server.cap_answers()
    for size in (999, 1000):
        with hostile(says(b"x" * size)) as good:
            assert len(requests.get(good.address, timeout=5).content) == size
    for name in ("floods_body", "sends_a_bomb"):
        with hostile(HOSTILE_FROM_THE_START[name]) as bad, pytest.raises(server.TooLargeError):
            requests.get(bad.address, timeout=5)


def test_the_end_of_the_mirroring_process_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_mirror", _dies)
    summary = mirror_project(board_of("http://127.0.0.1:9"))
    assert "its process died" in summary.message


def _dies(board: object, on_step: object) -> SyncSummary:
    os._exit(1)


# The commands


def in_earnest(*command: str) -> tuple[subprocess.CompletedProcess[str], float]:
    begun = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    answer = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=120)
    return answer, time.monotonic() - begun


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", [drips_headers, drips_body, like_mlflow(search=endless_pages())])
def test_the_commands_end_within_the_stated_time(behaviour: Behaviour) -> None:
    longest = 60 + 30  # to list the runs, and the start beside busy processes
    command = ["-c", "from harness.cli import main; main()"]
    with hostile(behaviour) as bad:
        write_params(Path(), tiny_params(tracking={"uri": bad.address, "experiment": "x"}))
        answer, seconds = in_earnest(*command, "sync")
        assert (answer.returncode, answer.stderr, answer.stdout.count("\n")) == (1, "", 1) and seconds < longest
        Path(".dartsboard/tracked.json").unlink()
        answer, seconds = in_earnest("-m", "pipelines.track")
        assert (answer.returncode, answer.stderr, answer.stdout.count("\n")) == (0, "", 1) and seconds < longest
        assert "no answer in time" in read_tracked().message
        answer, seconds = in_earnest(*command, "doctor")
        assert "Traceback" not in answer.stderr and seconds < longest + 30


def test_the_stage_goes_on_without_truth_where_a_look_up_was_interrupted(records: Path) -> None:
    write_params(Path(), tiny_params(variants={"darts": {}}, seeds=[0]))
    write_one(Path(), "darts", 0)
    Path("results").mkdir()
    Path("results/epochs.parquet").write_bytes(b"PAR1")
    answer, _ = in_earnest("-c", "from harness.cli import main; main()", "sync")
    assert answer.returncode == 0, answer.stderr
    assert "1 new; without truth, for results/epochs.parquet is damaged" in answer.stdout
