import json
import math
import shutil
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.board.lookup import look_up
from harness.board.runner import run_baseline, run_search
from harness.records.record import EPOCH_COLUMNS, read_record, run_folder, write_run
from harness.results.columns import RESULT_COLUMNS, SCHEMA_VERSION
from harness.results.folder import load_results
from harness.search import registry
from harness.settings.protocol import load_board
from harness.space.cell import ALL_SKIP, CELL_COUNT, OPERATIONS
from harness.truth.columns import SPREADS
from harness.truth.table import Truth
from tests.conftest import tiny_params, write_params


@pytest.fixture(scope="module")
def looked_up(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board with a finished, a failed and a missing search, and baselines; looked up."""
    folder = tmp_path_factory.mktemp("looked_up")
    shutil.copytree(prepared, folder, dirs_exist_ok=True)
    with chdir(folder):
        _look_up_a_board(folder)
    return folder


@pytest.fixture
def results(looked_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The results of a copy of it, which is the current folder."""
    shutil.copytree(looked_up, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


def _look_up_a_board(folder: Path) -> None:
    write_params(folder, tiny_params(seeds=[0, 1, 2], variants={"darts": {}}))
    board = load_board()
    record = run_search(board, "darts", 0)
    failed = record.model_copy(update={"seed": 1, "status": "failed", "reason": "it broke", "cell": None, "epochs": 0})
    write_run(run_folder("darts", 1), failed, pd.DataFrame(columns=list(EPOCH_COLUMNS)), None)
    for seed in board.seeds:
        run_baseline(board, "random-search", seed)
    look_up(board, Truth.read(), Path("results"))


def test_every_run_of_the_board_has_a_row(results: Path) -> None:
    runs = pd.read_parquet(results / "runs.parquet")
    assert runs[["variant", "seed", "status"]].to_numpy().tolist() == [
        ["darts", 0, "done"],
        ["darts", 1, "failed"],
        ["darts", 2, "missing"],
        ["random-search", 0, "done"],
        ["random-search", 1, "done"],
        ["random-search", 2, "done"],
    ]
    assert runs["reason"].fillna("").tolist()[:3] == ["", "it broke", "it was never run"]
    assert runs["truth/cifar10/test"].isna().tolist() == [False, True, True, False, False, False]


def test_truths_percentiles_and_costs_are_those_of_the_cells(results: Path) -> None:
    runs = pd.read_parquet(results / "runs.parquet").iloc[0]
    everything = Truth.read().accuracy(np.arange(CELL_COUNT), data_set="cifar10", split="test", epochs=None)
    found = everything[int(runs["cell_index"])]
    assert runs["truth/cifar10/test"] == found
    assert runs["percentile/cifar10/test"] == pytest.approx(100 * (everything < found).mean())
    record = read_record(run_folder("darts", 0))
    assert runs["cell"] == record.cell
    epochs = pd.read_parquet(results / "epochs.parquet")
    darts = epochs[epochs["variant"] == "darts"]
    assert darts["truth/cifar10/test"].tolist() == everything[darts["cell_index"].astype(int)].tolist()
    assert darts[[name for name in darts if name.startswith("count_")]].sum(axis=1).tolist() == [6.0] * 3


def test_landmarks_and_the_distribution_of_all_cells(results: Path) -> None:
    landmarks = pd.read_parquet(results / "landmarks.parquet").set_index("name")
    assert landmarks.loc["all skip", "cell_index"] == ALL_SKIP.index
    assert landmarks.loc["residual cell", "truth/cifar10/test"] == pytest.approx(93.99, abs=0.005)
    described = json.loads((results / "truth.json").read_text())
    column = described["columns"]["truth/cifar10/test"]
    assert landmarks.loc["best of CIFAR-10 test", "truth/cifar10/test"] == column["best"] == column["quantiles"][100]
    assert column["epochs"] is None
    assert "CIFAR-100 test" in described["missing_columns"]


def test_the_table_of_the_truth_is_named(results: Path) -> None:
    described = json.loads((results / "truth.json").read_text())
    assert (described["table"], described["told_by"]) == ("analog-nasbench", "the kind of the source")


def test_of_a_truth_of_means_no_training_is_known(results: Path) -> None:
    assert pd.read_parquet(results / "trainings.parquet").empty
    for name in ("runs", "landmarks", "derived", "space"):
        table = pd.read_parquet(results / f"{name}.parquet")
        assert table[[f"{spread}/cifar10/test" for spread in SPREADS]].isna().all(axis=None), name


def test_single_trainings_reach_every_table_of_cells(results: Path) -> None:
    frame = Truth.read().frame
    trained = [
        frame.assign(training_seed=seed, accuracy=(frame["accuracy"] + step).clip(0, 100))
        for seed, step in ((777, -1.0), (888, 1.0))
    ]
    truth = Truth(pd.concat(trained).drop(columns="trial"), Truth.read().provenance)
    look_up(load_board(), truth, Path("results"))
    for name in ("runs", "landmarks", "derived", "space"):
        table = pd.read_parquet(results / f"{name}.parquet").dropna(subset=["truth/cifar10/test"])
        assert set(table["trainings/cifar10/test"]) == {2}
        assert table["training_sd/cifar10/test"].iloc[0] == pytest.approx(math.sqrt(2))
        assert table["training_error/cifar10/test"].iloc[0] == pytest.approx(1)
    single = pd.read_parquet(results / "trainings.parquet")
    skip = single[single["cell_index"] == ALL_SKIP.index]
    assert skip["training_seed"].tolist() == [777, 888]
    assert skip["accuracy"].mean() == pytest.approx(60.78, abs=0.005)
    ended_in = set(pd.read_parquet(results / "runs.parquet")["cell_index"].dropna())
    assert ended_in < set(single["cell_index"])


def test_every_column_is_documented(results: Path) -> None:
    tables = {path.stem for path in results.glob("*.parquet")}
    assert tables == set(RESULT_COLUMNS)
    for name in tables:
        columns = pd.read_parquet(results / f"{name}.parquet").columns
        held = {column.replace("cifar10/test", "DATA_SET/SPLIT") for column in columns}
        assert held == set(RESULT_COLUMNS[name]) - {"cost/NAME"}


def test_every_strategy_of_a_method_is_documented() -> None:
    told = RESULT_COLUMNS["runs"]["strategy"]
    assert [method.name for method in registry.methods().values() if method.strategy not in told] == []


def test_the_folder_states_its_version_and_is_read_back(results: Path) -> None:
    assert json.loads((results / "provenance.json").read_text())["schema_version"] == SCHEMA_VERSION
    loaded = load_results(results)
    assert loaded.finished["variant"].tolist() == ["darts", *["random-search"] * 3]
    assert loaded.main.key == "truth/cifar10/test"


def test_metrics_are_a_few_numbers_a_variant(results: Path) -> None:
    metrics = json.loads((results / "metrics.json").read_text())
    assert metrics["darts"]["runs"] == 3
    assert metrics["darts"]["finished"] == 1
    assert metrics["random-search"]["cifar10 test"] == pytest.approx(
        pd.read_parquet(results / "runs.parquet").query("variant == 'random-search'")["truth/cifar10/test"].mean(),
        abs=1e-3,
    )
    assert not any(
        isinstance(number, float) and math.isnan(number) for row in metrics.values() for number in row.values()
    )


def test_every_derived_cell_has_its_truth(results: Path) -> None:
    derived = pd.read_parquet(results / "derived.parquet")
    record = read_record(run_folder("darts", 0))
    darts = derived[(derived["variant"] == "darts") & (derived["seed"] == 0)]
    assert dict(zip(darts["rule"], darts["cell"], strict=True)) == record.derived
    assert derived["truth/cifar10/test"].notna().all()
    assert set(derived.loc[derived["variant"] == "random-search", "rule"]) == {"best"}


def test_a_smaller_space_is_judged_by_its_own_cells(project: Path) -> None:
    content = tiny_params(seeds=[0], variants={})
    content["protocols"]["tiny"]["operations"] = list(OPERATIONS[1:])
    write_params(project, content)
    record = run_baseline(load_board(), "random-search", 0)
    assert record.protocol_settings == {"operations": list(OPERATIONS[1:])}
    look_up(load_board(), Truth.read(), Path("results"))
    landmarks, space, runs = (pd.read_parquet(f"results/{name}.parquet") for name in ("landmarks", "space", "runs"))
    assert len(space) == json.loads(Path("results/truth.json").read_text())["cells"] == 4096
    assert "all none" not in set(landmarks["name"]) and "residual cell" in set(landmarks["name"])
    truths = space["truth/cifar10/test"]
    column = json.loads(Path("results/truth.json").read_text())["columns"]["truth/cifar10/test"]
    assert [column[name] for name in ("mean", "best")] == pytest.approx([truths.mean(), truths.max()])
    found = runs["truth/cifar10/test"].iloc[0]
    assert runs["percentile/cifar10/test"].iloc[0] == pytest.approx(100 * (truths < found).mean())
    # Another space is another search.
    content["protocols"]["tiny"]["operations"] = list(OPERATIONS)
    write_params(project, content)
    assert run_baseline(load_board(), "random-search", 0).fingerprint != record.fingerprint
