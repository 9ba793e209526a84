"""The real dvc.yaml, end to end, on a tiny protocol."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import copy_project, tiny_params, write_params

SWEEP = (sys.executable, "-c", "from harness.cli import main; main()", "sweep")


def run(folder: Path, *command: str, check: bool = True) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    output = result.stdout + result.stderr
    assert not check or result.returncode == 0, output
    return output


def dvc(folder: Path, *arguments: str, check: bool = True) -> str:
    return run(folder, "dvc", *arguments, check=check)


def ran(output: str) -> set[str]:
    """The stages that a repro really ran, but for the one that always runs."""
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")} - {"sources"}


def searched(output: str) -> set[str]:
    """Those of them that are runs of the board."""
    return {stage for stage in ran(output) if stage.startswith(("search", "baseline"))}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    copy_project(folder)
    write_params(folder, tiny_params(seeds=[0]))
    run(folder, *SWEEP)
    return folder


class TestBoard:
    """In order: each test starts from the board that the one before left."""

    def test_a_fresh_board_has_everything(self, board: Path) -> None:
        page = (board / "reports/generated/report.html").read_text()
        assert "darts-2nd" in page
        runs = pd.read_parquet(board / "results/runs.parquet")
        assert list(zip(runs["variant"], runs["seed"], runs["status"], strict=True)) == [
            ("darts", 0, "done"),
            ("darts-2nd", 0, "done"),
            ("random-search", 0, "done"),
        ]
        epochs = pd.read_parquet(board / "results/epochs.parquet")
        assert epochs.groupby("variant").size().to_dict() == {"darts": 3, "darts-2nd": 3, "random-search": 5}
        assert epochs["truth/cifar10/test"].between(10, 94.1).all()
        metrics = json.loads((board / "results/metrics.json").read_text())
        assert metrics["darts"]["finished"] == 1
        shown = dvc(board, "metrics", "show")
        assert "darts-2nd.cifar10 test" in shown
        assert (board / "mlflow.db").exists()

    def test_a_second_run_does_nothing(self, board: Path) -> None:
        assert ran(run(board, *SWEEP)) == set()
        assert ran(dvc(board, "repro")) == set()

    def test_a_changed_setting_reruns_only_its_variant(self, board: Path) -> None:
        before = json.loads((board / "runs/darts-2nd/seed-0/record.json").read_text())
        changed = {"darts": {}, "darts-2nd": {"radius": 0.02}}
        write_params(board, tiny_params(seeds=[0], variants=changed))
        assert ran(dvc(board, "repro", "lookup")) == {"search@darts-2nd-0", "lookup"}
        after = json.loads((board / "runs/darts-2nd/seed-0/record.json").read_text())
        assert (before["settings"], after["settings"]) == ({"radius": 0.01}, {"radius": 0.02})

    def test_reverting_it_comes_from_the_cache(self, board: Path) -> None:
        write_params(board, tiny_params(seeds=[0]))
        output = run(board, *SWEEP)
        assert not searched(output)
        assert "runs are done" not in output
        assert json.loads((board / "runs/darts-2nd/seed-0/record.json").read_text())["settings"] == {"radius": 0.01}
        assert ran(dvc(board, "repro")) == set()

    @pytest.mark.slow
    def test_a_changed_setting_in_a_group_reruns_only_its_variant(self, board: Path) -> None:
        write_params(board, tiny_params(seeds=[0], variants={"darts": {}, "darts-2nd": {"radius": 0.03}}))
        output = run(board, *SWEEP)
        assert "1 of 1 runs are done" in output
        assert ran(output) == {"lookup", "report", "track"}
        write_params(board, tiny_params(seeds=[0]))
        output = dvc(board, "repro", "lookup")
        assert not searched(output)
        assert "Stage 'search@darts-2nd-0' is cached" in output

    def test_a_new_seed_runs_only_itself(self, board: Path) -> None:
        write_params(board, tiny_params(seeds=[0, 7]))
        stages = {"search@darts-7", "search@darts-2nd-7", "baseline@random-search-7", "lookup"}
        assert ran(dvc(board, "repro", "lookup")) == stages

    def test_a_removed_seed_leaves_the_report(self, board: Path) -> None:
        write_params(board, tiny_params(seeds=[7]))
        assert not searched(dvc(board, "repro", "lookup"))
        assert set(pd.read_parquet(board / "results/runs.parquet")["seed"]) == {7}
        assert (board / "runs/darts/seed-0").exists()

    def test_another_protocol_makes_nothing_stale(self, board: Path) -> None:
        content = tiny_params(seeds=[7])
        content["protocols"]["other"] = {**content["protocols"]["tiny"], "epochs": 99}
        write_params(board, content)
        assert ran(dvc(board, "repro", "lookup")) == set()

    @pytest.mark.slow
    def test_changed_code_of_a_variant_reruns_only_its_runs(self, board: Path) -> None:
        write_params(board, tiny_params(seeds=[0]))
        dvc(board, "repro", "lookup")
        with (board / "variants/darts_2nd.py").open("a") as file:
            file.write("\n# A change.\n")
        assert ran(dvc(board, "repro", "lookup")) == {"code", "search@darts-2nd-0", "lookup"}

    @pytest.mark.slow
    def test_a_mistake_in_the_settings_stops_before_anything_runs(self, board: Path) -> None:
        content = tiny_params(seeds=[7, 8])
        content["variants"]["darts-2nd"] = {"radios": 0.01}
        write_params(board, content)
        for command in (("dvc", "repro"), SWEEP):
            output = run(board, *command, check=False)
            assert "params.yaml, variants.darts-2nd: unknown key 'radios', did you mean 'radius'?" in output
            assert "Traceback" not in output
        assert not (board / "runs/darts/seed-8").exists()


@pytest.mark.slow
def test_a_clone_that_pulls_a_board_searches_nothing(tmp_path: Path) -> None:
    made, clone = tmp_path / "made", tmp_path / "clone"
    copy_project(made)
    (made / ".gitignore").write_text("__pycache__/\n/.dartsboard/\n/mlflow.db*\n")
    write_params(made, tiny_params(seeds=[0], variants={"darts": {}}))
    dvc(made, "remote", "add", "--default", "shelf", str(tmp_path / "shelf"))
    dvc(made, "repro")
    committed = (
        "git",
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "commit",
        "--quiet",
        "--all",
        "--message",
        "A board",
    )
    run(made, "git", "add", ".")
    run(made, *committed)
    dvc(made, "push")
    run(tmp_path, "git", "clone", "--quiet", str(made), str(clone))
    dvc(clone, "pull")
    assert ran(dvc(clone, "repro")) <= {"track", "report"}
    assert ran(dvc(clone, "repro")) == set()
    for file in ("runs/darts/seed-0/alpha.parquet", "results/plot_runs.csv", "data/truth.parquet"):
        assert (clone / file).read_bytes() == (made / file).read_bytes()
    drawn = json.loads(dvc(clone, "plots", "show", "--json"))
    assert len(drawn["data"]) == 4
    assert not drawn.get("errors")
