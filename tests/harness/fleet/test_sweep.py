"""The head of a sweep, on the engine of this machine."""

import shutil
import subprocess
from multiprocessing import active_children
from pathlib import Path

import pytest
from click.testing import CliRunner
from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException

from harness.base.errors import UserError
from harness.board.runner import run_method
from harness.cli import main
from harness.fleet import dvc_stages
from harness.fleet.forks import warm_up
from harness.fleet.sweep import Placement, _Sweep
from harness.records.record import run_folder
from harness.settings.protocol import load_board
from tests.conftest import tiny_params, write_params
from tests.faults.searching import assert_same, result
from tests.harness.fleet.sweeping import dvc, forget_stages, prepare_sweep
from tests.harness.fleet.test_group import mishap, wait_until  # noqa: F401

VARIANTS = {"darts": {}, "darts-2nd": {"radius": 0.01}, "mishap": {}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mishap: None) -> Path:  # noqa: F811
    warm_up().join()  # from here, so that workers do not import the copy of the project
    monkeypatch.chdir(tmp_path)
    prepare_sweep(tmp_path, tiny_params(seeds=[1, 2], variants=VARIANTS))
    return tmp_path


def written() -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in Path("runs").rglob("record.json")}


def test_a_board_that_the_table_cannot_serve_is_refused_before_the_first_run(project: Path) -> None:
    write_params(project, tiny_params(baselines={"successive-halving": {}}))
    with pytest.raises(UserError, match="successive-halving needs an accuracy after 2 training lengths"):
        _Sweep(Placement(), 0)._prepare([])
    assert not Path("runs").exists()


def test_it_finds_its_own_dvc_and_python_where_no_environment_is_active(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with Path("stages").open("w") as lock:
        assert _Sweep(Placement(), lock.fileno())._dvc("version") == 0


@pytest.mark.slow
def test_a_board_with_a_crash_goes_on_and_nothing_is_done_twice(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = CliRunner().invoke(main, ["sweep", "--dry-run"])
    assert answer.stdout.splitlines()[-1] == "8 runs in 8 tasks; further stages: sources, lookup, theory"
    assert "mishap seed 2: 1 core\n" in answer.stdout
    assert not Path("runs").exists()

    answer = CliRunner().invoke(main, ["sweep", "--option", "workers=2"])
    assert answer.exit_code == 1, answer.output
    assert "6 of 8 runs are done" in answer.stdout
    assert "mishap seed 1: failed, RuntimeError: the sky fell" in answer.stdout
    assert "mishap seed 2: crashed, its process was ended by SIGKILL" in answer.stdout
    assert Path("found.txt").exists()  # what comes after the runs was made without the one that has no record
    assert dvc_stages.stale() == ["search@mishap-2"]
    assert not active_children()

    alone = tmp_path_factory.mktemp("alone")
    for part in ("params.yaml", "data"):
        (alone / part).symlink_to(folder / part)
    runs = [("darts", 1), ("darts-2nd", 2), ("random-search", 1)]
    together = [result(*run) for run in runs]
    monkeypatch.chdir(alone)
    for run, found in zip(runs, together, strict=True):
        run_method(load_board(), *run)
        assert_same(result(*run), found)
    monkeypatch.chdir(folder)

    # A head that was killed before DVC knew: the records are taken as they are, those that DVC holds come back.
    before = written()
    shutil.rmtree(run_folder("darts", 1))
    forget_stages("search@darts-2nd")
    shutil.rmtree(run_folder("mishap", 1))
    shutil.rmtree(".dvc/cache/runs")
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("mishap: {}", ""))
    answer = CliRunner().invoke(main, ["sweep"])
    assert answer.exit_code == 0, answer.output
    assert "runs are done" not in answer.stdout
    assert written().items() >= {path: at for path, at in before.items() if "darts-2nd" in str(path)}.items()
    assert run_folder("darts", 1).exists()
    assert dvc_stages.stale() == []

    # Killed while it writes, DVC leaves half a dvc.lock.
    def dump_half(lock_file: Lockfile, stages: list[object]) -> None:
        Path(lock_file.path).write_text("schema: '2")
        raise DvcException("killed")

    monkeypatch.setattr(Lockfile, "dump_stages", dump_half)
    text = Path("dvc.lock").read_text()
    dvc_stages.commit("search@darts-1")
    assert Path("dvc.lock").read_text() == text


@pytest.mark.slow
def test_without_a_shared_folder_runs_go_through_the_remote(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = tmp_path_factory.mktemp("places")
    other, remote = places / "other machine", places / "remote"
    write_params(folder, tiny_params(seeds=[1], variants={"darts": {}}))
    for arguments in (("add", "."), ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "a")):
        subprocess.run(["git", *arguments], check=True)
    subprocess.run(["git", "clone", "--quiet", str(folder), str(other)], check=True)
    for place in (folder, other):
        monkeypatch.chdir(place)
        dvc("remote", "add", "--local", "--default", "storage", str(remote))
    monkeypatch.chdir(folder)
    answer = CliRunner().invoke(main, ["sweep", "--store", "dvc", "--folder", str(other)])
    assert answer.exit_code == 0, answer.output
    assert "2 of 2 runs are done" in answer.stdout
    assert dvc_stages.stale() == []
    here = [result(*run) for run in (("darts", 1), ("random-search", 1))]
    monkeypatch.chdir(other)
    for run, found in zip((("darts", 1), ("random-search", 1)), here, strict=True):
        assert_same(result(*run), found)

    # A worker whose project is another one says so.
    write_params(other, tiny_params(seeds=[2], variants={"darts": {}}, truth=truth_of(other)))
    monkeypatch.chdir(folder)
    write_params(folder, tiny_params(seeds=[2], variants={"darts": {}}, baselines={}))
    answer = CliRunner().invoke(main, ["sweep", "--store", "dvc", "--folder", str(other)])
    assert answer.exit_code == 1
    assert "darts seed 2: refused, DVC's remote has no truth for this project" in answer.stdout


def truth_of(folder: Path) -> dict[str, object]:
    table = folder / "table.csv"
    table.write_text("cell,accuracy\n0,10.0\n")
    columns = {"accuracy": {"data_set": "cifar10", "split": "test", "epochs": None}}
    return {"source": "table", "path": str(table), "cell_column": "cell", "columns": columns}
