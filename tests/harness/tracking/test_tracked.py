from pathlib import Path

import pandas as pd
import pytest

from harness.tracking.mirror import sync
from harness.tracking.tracked import Tracked, read_tracked, write_tracked
from pipelines.track import main as track
from tests.conftest import tiny_params, write_params
from tests.harness.tracking.runs import board_of, reader_of, write_all, write_one


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six records and the store that mirrors them."""
    folder = tmp_path_factory.mktemp("project")
    write_all(folder)
    return folder


def test_the_file_names_every_run_that_mlflow_holds(project: Path) -> None:
    for _ in ("created", "skipped"):
        summary = sync(board_of(), project / "runs", project=project)
        write_tracked(summary, project / "tracked.json")
        tracked = read_tracked(project / "tracked.json")
        held = {name: run.info.run_id for name, run in reader_of(project).runs.items()}
        assert len(held) == 6
        assert tracked.runs == held
        assert not tracked.is_served
    experiment = next(iter(reader_of(project).runs.values())).info.experiment_id
    assert tracked.link("darts", 1) == f"http://127.0.0.1:5000/#/experiments/{experiment}/runs/{held['darts/seed-1']}"
    assert tracked.link("darts", 99) == ""


def test_a_run_that_was_replaced_has_its_new_id(project: Path) -> None:
    before = sync(board_of(), project / "runs", project=project).run_ids
    write_one(project, "darts", 0, fingerprint="f" * 64)
    summary = sync(board_of(), project / "runs", project=project)
    assert summary.replaced == 1
    held = {name: run.info.run_id for name, run in reader_of(project).runs.items()}
    assert summary.run_ids == held
    assert before["darts/seed-0"] != held["darts/seed-0"]


def test_a_dead_server_is_told_without_its_password(project: Path) -> None:
    board = board_of(uri="http://user:secret@127.0.0.1:9/mlflow?token=secret")
    summary = sync(board, project / "runs", project=project)
    write_tracked(summary, project / "tracked.json")
    assert "secret" not in (project / "tracked.json").read_text()
    tracked = read_tracked(project / "tracked.json")
    assert tracked.page == "http://127.0.0.1:9/mlflow"
    assert "could not be reached" in tracked.message
    assert tracked.link("darts", 0) == ""


def test_a_server_is_linked_at_its_own_address() -> None:
    tracked = Tracked(store="x", page="https://h:1/m", experiment_id="7", runs={"a/seed-0": "r"})
    assert tracked.link("a", 0) == "https://h:1/m/#/experiments/7/runs/r"


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"store": "x", "page": "javascript:alert(1)"}',
        '{"store": "x", "experiment_id": "1", "runs": {"a/seed-0": "\\"><script>"}}',
        '{"store": "x", "experiment_id": "../1"}',
    ],
)
def test_a_damaged_file_gives_no_link(tmp_path: Path, content: str) -> None:
    (tmp_path / "tracked.json").write_text(content)
    tracked = read_tracked(tmp_path / "tracked.json")
    assert tracked.link("a", 0) == ""
    assert "damaged" in tracked.message


def test_a_missing_file_gives_no_link(tmp_path: Path) -> None:
    assert read_tracked(tmp_path / "tracked.json").message == "the runs were not mirrored yet"


@pytest.mark.parametrize(
    ("uri", "told"), [("file:somewhere", "is no store of MLflow"), ("http://127.0.0.1:9", "could not be reached")]
)
def test_the_stage_fails_for_no_store_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], uri: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, tiny_params(tracking={"uri": uri, "experiment": "x"}))
    Path("results").mkdir()
    for name in ("epochs", "runs"):
        pd.DataFrame(columns=["variant", "seed"]).to_parquet(f"results/{name}.parquet")
    track()
    assert told in read_tracked().message
    assert told in capsys.readouterr().out
