"""Every source against an independent witness: the official packages, real numbers, published landmarks."""

import hashlib
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.settings.tables import AccuracyColumn, TruthSettings
from harness.space.cell import CELL_COUNT, Cell
from harness.truth.sources import (
    import_analog_nasbench,
    import_nas_bench_201,
    import_nats_bench,
    import_table,
    import_truth,
)
from harness.truth.table import NETWORKS, Truth
from harness.truth.trials import SETS

FOLDER = "NATS-tss-v1_0-3ffb9-simple"

MEANS = {
    "cifar10_test_200": AccuracyColumn(data_set="cifar10", split="test", epochs=200),
    "cifar100_test_200": AccuracyColumn(data_set="cifar100", split="test", epochs=200),
    "imagenet16_120_test_200": AccuracyColumn(data_set="ImageNet16-120", split="test", epochs=200),
    "cifar10_valid_12": AccuracyColumn(data_set="cifar10-valid", split="valid", epochs=12),
}

LANDMARKS = {
    6111: (94.373, 73.22, 46.71),
    9930: (94.36, 73.513, 46.34),
    857: (93.99, 72.88, 47.311),
    1462: (93.76, 71.11, 41.44),
    4317: (89.37, 65.71, 35.48),
    1835: (54.30, 15.61, 16.32),
    2299: (70.92, 38.97, 18.41),
    7581: (49.02, 10.20, 9.35),
    1651: (10.00, 1.00, 0.83),
}
"""Test accuracies after 200 epochs on CIFAR-10, CIFAR-100 and ImageNet16-120."""

ANALOG_LANDMARKS = {1835: 60.78, 1651: 10.00, 1462: 93.24, 9930: 93.99}


@pytest.fixture(scope="session")
def official(reference_tools: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The two official formats with made-up numbers: `zip` and `legacy` files, and the `nats` folder."""
    folder = tmp_path_factory.mktemp("official")
    tool = [sys.executable, str(reference_tools / "make_nb201_fixture.py"), "--cells", "6"]
    files = SimpleNamespace(zip=folder / "zip.pth", legacy=folder / "legacy.pth", nats=folder / FOLDER)
    subprocess.run([*tool, "--out", files.zip, "--nats-out", files.nats], check=True, capture_output=True)
    subprocess.run([*tool, "--out", files.legacy, "--legacy"], check=True, capture_output=True)
    return files


@pytest.fixture(scope="module")
def means(reference_data: Path) -> Truth:
    return import_table(reference_data / "nas-bench-201-means.csv.gz", "cell", MEANS)


@pytest.fixture(scope="module")
def analog() -> Truth:
    return import_analog_nasbench()


def assert_equals_api(truth: Truth, api: Any, indices: list[int]) -> None:
    """Compare every combination, mean and single trial, with the package's own answers."""
    compared = 0
    for index in indices:
        for data_set in SETS:
            for epochs in (12, 200):
                mean = api.get_more_info(index, data_set, hp=str(epochs), is_random=False)
                seconds = truth.seconds([index], data_set=data_set, epochs=epochs)
                assert seconds[0] == pytest.approx(mean["train-all-time"], rel=1e-12)
                for split in ("valid", "test", "valtest"):
                    key = {"data_set": data_set, "split": split, "epochs": epochs}
                    if f"{split}-accuracy" not in mean:
                        assert split not in SETS[data_set]
                        continue
                    assert truth.accuracy([index], **key)[0] == pytest.approx(mean[f"{split}-accuracy"], rel=1e-12)
                    trials = truth.trials([index], **key)
                    assert trials["loss"].mean() == pytest.approx(mean[f"{split}-loss"], rel=1e-12)
                    assert len(trials) == len(api.arch2infos_dict[index][str(epochs)].get_dataset_seeds(data_set))
                    for trial in trials.itertuples():
                        one = api.get_more_info(index, data_set, hp=str(epochs), is_random=int(trial.training_seed))
                        assert trial.accuracy == one[f"{split}-accuracy"]
                        assert trial.evaluation_seconds == pytest.approx(one[f"{split}-per-time"], rel=1e-12)
                        compared += 1
    assert compared > 50


@pytest.mark.parametrize("container", ["zip", "legacy"])
def test_nas_bench_201_answers_like_its_package(official: SimpleNamespace, container: str) -> None:
    import torch
    from nas_201_api import NASBench201API

    path = getattr(official, container)
    truth = import_nas_bench_201(path, allow_partial=True)
    api = NASBench201API(torch.load(path, weights_only=False), verbose=False)
    assert sorted(truth.frame["cell"].unique()) == api.evaluated_indexes
    assert_equals_api(truth, api, api.evaluated_indexes)
    assert truth.provenance.source == "nas-bench-201"
    assert truth.provenance.file == path.name
    assert truth.provenance.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert truth.provenance.cells == 6


def test_version_1_0_has_short_trainings_of_one_data_set_only(official: SimpleNamespace, tmp_path: Path) -> None:
    import torch

    content = torch.load(official.zip, weights_only=False)
    for infos in content["arch2infos"].values():
        less = infos["less"]
        less["all_results"] = {key: value for key, value in less["all_results"].items() if key[0] == "cifar10-valid"}
        less["dataset_seed"] = {"cifar10-valid": less["dataset_seed"]["cifar10-valid"]}
    for trial in less["all_results"].values():
        trial.update(train_times=None, eval_times={}, latency=None)
    torch.save(content, tmp_path / "v1_0.pth")
    truth = import_nas_bench_201(tmp_path / "v1_0.pth", allow_partial=True)
    assert {column.data_set for column in truth.columns() if column.epochs == 12} == {"cifar10-valid"}
    assert {column.data_set for column in truth.columns() if column.epochs == 200} == set(NETWORKS)
    last = less["arch_index"]
    assert np.isnan(truth.seconds([last], data_set="cifar10-valid", epochs=12)[0])
    short = truth.trials([last], data_set="cifar10-valid", split="valid", epochs=12)
    assert short["latency"].isna().all()
    assert short["accuracy"].notna().all()


def test_both_official_formats_give_the_same_table(official: SimpleNamespace) -> None:
    nats = import_nats_bench(official.nats, allow_partial=True)
    pd.testing.assert_frame_equal(nats.frame, import_nas_bench_201(official.zip, allow_partial=True).frame)


def test_nats_bench_answers_like_its_package_on_real_cells(reference_data: Path) -> None:
    import nats_bench

    folder = reference_data / "nats-real-cells" / FOLDER
    truth = import_nats_bench(folder, allow_partial=True)
    api = nats_bench.create(str(folder), "tss", fast_mode=True, verbose=False)
    assert_equals_api(truth, api, [0, 11, 284])


def test_real_cells_agree_with_the_real_means_and_with_the_closed_form_costs(
    reference_data: Path, means: Truth
) -> None:
    import nats_bench

    folder = reference_data / "nats-real-cells" / FOLDER
    truth = import_nats_bench(folder, allow_partial=True)
    for column in means.columns():
        found = truth.accuracy([0, 11, 284], **column._asdict())
        np.testing.assert_allclose(found, means.accuracy([0, 11, 284], **column._asdict()), rtol=1e-12)
    api = nats_bench.create(str(folder), "tss", fast_mode=True, verbose=False)
    for row in truth.frame.drop_duplicates(["cell", "data_set"]).itertuples():
        costs = api.get_cost_info(row.cell, row.data_set, hp="200")
        assert row.parameters == pytest.approx(costs["params"] * 1e6)
        assert row.flops == pytest.approx(costs["flops"] * 1e6)
        assert row.latency == pytest.approx(costs["latency"])


def test_the_checksum_of_a_folder_can_be_made_with_sha256sum(reference_data: Path) -> None:
    folder = reference_data / "nats-real-cells" / FOLDER
    command = f"cd {folder} && sha256sum [0-9]*.pickle.pbz2 | sha256sum"
    printed = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True).stdout
    assert import_nats_bench(folder, allow_partial=True).provenance.sha256 == printed.split()[0]


@pytest.mark.parametrize("index", LANDMARKS)
def test_landmarks_of_the_real_means(means: Truth, index: int) -> None:
    found = [
        means.accuracy([index], data_set=data_set, split="test", epochs=200)[0]
        for data_set in ("cifar10", "cifar100", "ImageNet16-120")
    ]
    np.testing.assert_allclose(found, LANDMARKS[index], atol=0.0051)


def test_statistics_of_the_real_means(means: Truth) -> None:
    arrays = {
        data_set: means.accuracy(range(CELL_COUNT), data_set=data_set, split="test", epochs=200)
        for data_set in ("cifar10", "cifar100", "ImageNet16-120")
    }
    assert [int(array.argmax()) for array in arrays.values()] == [6111, 9930, 857]
    np.testing.assert_allclose([array.mean() for array in arrays.values()], [87.06, 61.41, 33.59], atol=0.01)
    np.testing.assert_allclose([np.median(array) for array in arrays.values()], [90.75, 65.29, 36.39], atol=0.01)
    percentile = means.percentile([1835, 1462], data_set="cifar10", split="test", epochs=200)
    np.testing.assert_allclose(percentile, [2.5, 98.9], atol=0.05)


def test_csv_and_parquet_by_string_and_by_index_are_one_table(reference_data: Path, means: Truth) -> None:
    parquet = import_table(reference_data / "nas-bench-201-means.parquet", "index", MEANS)
    pd.testing.assert_frame_equal(parquet.frame, means.frame, check_exact=True)


def test_an_empty_field_is_a_missing_accuracy(tmp_path: Path) -> None:
    path = tmp_path / "means.csv"
    path.write_text("cell,a,b\n4,50.5,\n6,,60.5\n")
    columns = {"a": MEANS["cifar10_test_200"], "b": MEANS["cifar100_test_200"]}
    truth = import_table(path, "cell", columns, allow_partial=True)
    assert len(truth.frame) == 2
    np.testing.assert_array_equal(truth.accuracy([4, 6], data_set="cifar10", split="test", epochs=200), [50.5, np.nan])


def test_analog_landmarks(analog: Truth) -> None:
    key = {"data_set": "cifar10", "split": "test", "epochs": None}
    found = analog.accuracy(list(ANALOG_LANDMARKS), **key)
    np.testing.assert_allclose(found, list(ANALOG_LANDMARKS.values()), atol=0.0051)
    assert analog.accuracy(range(CELL_COUNT), **key).max() == pytest.approx(94.07, abs=0.0051)
    assert analog.provenance.cells == CELL_COUNT
    assert analog.final_epochs(data_set="cifar10", split="test") is None
    assert [label for label, there in analog.report_columns().items() if there] == ["CIFAR-10 test"]


def test_analog_is_read_as_it_agrees_with_nas_bench_201(analog: Truth, means: Truth) -> None:
    ours = analog.accuracy(range(CELL_COUNT), data_set="cifar10", split="test", epochs=None)
    theirs = means.accuracy(range(CELL_COUNT), data_set="cifar10", split="test", epochs=200)
    assert stats.pearsonr(ours, theirs).statistic > 0.999
    assert stats.kendalltau(ours, theirs).statistic == pytest.approx(0.926, abs=0.001)
    assert np.median(np.abs(ours - theirs)) == pytest.approx(0.33, abs=0.005)


def test_costs_are_those_of_the_cell(analog: Truth) -> None:
    row = analog.frame[analog.frame["cell"] == 1462].iloc[0]
    cell = Cell.from_index(1462)
    shape = NETWORKS["cifar10"]
    assert (row["parameters"], row["flops"]) == (cell.parameters(shape), cell.flops(shape))


def test_imports_leave_the_global_random_numbers_alone(official: SimpleNamespace, reference_data: Path) -> None:
    before = random.getstate(), np.random.get_state()
    import_nas_bench_201(official.zip, allow_partial=True)
    import_nats_bench(reference_data / "nats-real-cells" / FOLDER, allow_partial=True)
    import_analog_nasbench()
    assert random.getstate() == before[0]
    np.testing.assert_equal(np.random.get_state(), before[1])


def test_import_truth_follows_the_settings(official: SimpleNamespace, reference_data: Path, tmp_path: Path) -> None:
    output = tmp_path / "data" / "truth.parquet"
    table = {"cell_column": "index", "columns": {"cifar10_test_200": MEANS["cifar10_test_200"].model_dump()}}
    for source, path, more in [
        ("analog-nasbench", None, {}),
        ("nas-bench-201", official.zip, {}),
        ("nats-bench", official.nats, {}),
        ("table", reference_data / "nas-bench-201-means.parquet", table),
    ]:
        settings = TruthSettings(source=source, path=path and str(path), partial=True, **more)
        truth = import_truth(settings, output)
        written = Truth.read(output)
        assert written.provenance == truth.provenance
        assert written.provenance.source == source
        pd.testing.assert_frame_equal(written.frame, truth.frame)


def test_data_sets_of_the_settings_are_those_of_the_table() -> None:
    names = AccuracyColumn.model_json_schema()["properties"]["data_set"]["enum"]
    assert set(names) == set(NETWORKS) == set(SETS)
