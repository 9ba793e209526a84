"""A file that params.yaml names is an input of the pipeline: by content, wherever it lies."""

import json
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.board.sources import changed_sources
from harness.cli import main
from harness.fleet import dvc_stages
from harness.records.record import read_record, run_folder
from harness.settings.protocol import load_board
from tests.conftest import tiny_params, write_params
from tests.harness.fleet.sweeping import make_sweep

COLUMNS = {"acc": {"data_set": "cifar10", "split": "test", "epochs": 200}}
TABLE = {"source": "table", "path": "../table.csv", "cell_column": "cell", "columns": COLUMNS}


def params(radius: float = 0.01) -> dict[str, Any]:
    content = tiny_params(seeds=[0], truth=TABLE, reference="darts-2nd", variants={"darts-2nd": {"radius": radius}})
    content["protocols"]["tiny"]["epochs"] = 1
    content["protocols"]["tiny"]["data"]["split"] = {"kind": "file", "file": "../split.json"}
    return content


def write_table(best: float) -> None:
    table = pd.DataFrame({"cell": range(15_625), "acc": 50.0})
    table.loc[[1651, 0], "acc"] = [10.0, best]  # six times none can only guess
    table.to_csv("../table.csv", index=False)


def write_split(first: int) -> None:
    Path("../split.json").write_text(json.dumps({"train": list(range(first, 40)), "valid": list(range(40, 80))}))


def fingerprint() -> str:
    return read_record(run_folder("darts-2nd", 0)).fingerprint


def repro() -> set[str]:
    """Run `dvc repro` and return the stages that really ran."""
    output = subprocess.run(["dvc", "repro"], check=True, capture_output=True, text=True).stdout
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")} - {"sources"}


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project whose truth and split are files beside it."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    write_table(60.0)
    write_split(0)
    make_sweep(project, params())


@pytest.mark.slow
def test_a_changed_file_reruns_what_was_made_from_it_and_no_cache_confuses_it(board: None, tmp_path: Path) -> None:
    repro()
    first = fingerprint()

    write_table(70.0)
    write_split(1)
    assert repro() == {"data", "truth", "search@darts-2nd-0", "baseline@random-search-0", "lookup"}
    second = fingerprint()
    assert second != first

    write_split(0)
    write_params(Path(), params(radius=0.02))
    assert repro() == {"search@darts-2nd-0", "lookup"}  # DVC's cache has the images
    write_split(1)
    write_params(Path(), params())
    assert repro() <= {"lookup"}  # DVC's cache has a record for each of the splits
    assert fingerprint() == second

    (tmp_path / "table.csv").unlink()  # a reviewer may not have it
    assert repro() == set()


def test_work_outside_dvc_is_recorded_with_the_files_it_was_done_with(board: None) -> None:
    write_split(1)
    with suppress(SystemExit):
        main(["search", "darts-2nd", "--seed", "0"])
    assert dvc_stages.stale("search") == []
    assert changed_sources(load_board()) == []
