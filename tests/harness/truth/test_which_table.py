"""Which benchmark's table it is, and in which version, as far as its content tells."""

import math
from pathlib import Path

import pandas as pd
import pytest

from harness.settings.tables import AccuracyColumn
from harness.truth import which_table as which
from harness.truth.sources import import_analog_nasbench
from harness.truth.table import Provenance, Truth
from harness.truth.table_file import import_table
from harness.truth.which_table import ANALOG, MOVED, NATS, SHARED, V1_0, V1_1, which_table

TEST = AccuracyColumn(data_set="cifar10", split="test", epochs=200)


def table(rows: list[tuple[int, str, str, int, int | None, float]], source: str = "table") -> Truth:
    names = ["cell", "data_set", "split", "epochs", "training_seed", "accuracy"]
    frame = pd.DataFrame(rows, columns=names).assign(loss=0.1, seconds=1.0, parameters=1, flops=1, latency=0.1)
    return Truth(frame, Provenance(source=source, file="f", sha256="0" * 64, importer_version=1, cells=1))


def means(values: dict[int, float], source: str = "table") -> Truth:
    return table([(cell, "cifar10", "test", 200, None, value) for cell, value in values.items()], source)


@pytest.mark.parametrize(("number", "name"), [(0, V1_1), (1, NATS)])
@pytest.mark.parametrize("digits", [2, 4])
def test_cells_that_moved_tell_a_table_of_means(number: int, name: str, digits: int) -> None:
    accuracies = SHARED | {cell: both[number] for cell, both in MOVED.items()}
    found = which_table(means({cell: round(value, digits) for cell, value in accuracies.items()}))
    assert found == (name, f"the accuracies of {len(accuracies)} known cells")


def test_one_cell_that_moved_is_enough_and_one_that_fits_no_table_too() -> None:
    cell, (old, new) = next(iter(MOVED.items()))
    assert which_table(means({cell: new, 7: 50.0})).table == NATS
    assert which_table(means({cell: old, 7: 50.0})).table == V1_1
    told = "it has other accuracies of 1 known cell than any known table"
    assert which_table(means({cell: (old + new) / 2})) == (None, told)
    assert which_table(means({**SHARED, 1835: 60.78})).table is None


def test_what_is_the_same_in_several_tables_tells_none() -> None:
    assert which_table(means(SHARED)) == (None, "it holds no accuracy that is not the same in several tables")
    assert which_table(means(SHARED, "nats-bench")) == (NATS, "the kind of the source")


def test_the_content_counts_for_more_than_the_kind() -> None:
    moved = {cell: both[0] for cell, both in MOVED.items()}
    assert which_table(means(moved, "nats-bench")).table == V1_1


def test_an_official_file_is_told_by_its_short_trainings() -> None:
    half = [(4, "cifar10-valid", "valid", epochs, 777, 80.0) for epochs in (12, 200)]
    assert which_table(table(half, "nas-bench-201")) == (V1_0, "the data sets of its trainings of 12 epochs")
    assert which_table(table([*half, (4, "cifar10", "test", 12, 777, 80.0)], "nas-bench-201")).table == V1_1
    known = [(cell, "cifar10", "test", 200, 777, both[0]) for cell, both in MOVED.items()]
    assert which_table(table([*half, *known], "nas-bench-201")).table == V1_0


def test_the_number_of_trainings_tells_where_no_cell_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(which, "TRAININGS", {1: 1, 2: 2})
    trained = {4: 1, 5: 2, 6: 2}
    rows = [(cell, "cifar100", "test", 200, seed, 60.0) for cell, count in trained.items() for seed in range(count)]
    assert which_table(table(rows)) == (V1_1, "the number of trainings of each cell")
    assert which_table(table(rows[:-1])).table is None


def test_a_table_of_two_sources_is_not_called_by_one_of_them() -> None:
    known = [(cell, "cifar10", "test", 200, None, new) for cell, (_, new) in MOVED.items()]
    trained = [(4, "cifar100", "test", 200, 777, 60.0)]
    told = f"the accuracies of {len(MOVED)} known cells"
    found = which_table(table([*known, *trained]))
    assert found.table == f"{NATS} and another source"
    assert found.told_by == f"{told}; some of its columns hold single trainings, others only means"
    assert which_table(table(known)) == (NATS, told)


def test_the_embedded_table_is_itself() -> None:
    provenance = import_analog_nasbench().provenance
    assert (provenance.table, provenance.name, provenance.told_by) == (ANALOG, ANALOG, "the kind of the source")


def test_a_table_that_nothing_tells_is_called_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("cell,acc\n4,50\n")
    provenance = import_table(tmp_path / "own.csv", "cell", {"acc": TEST}, allow_partial=True).provenance
    assert (provenance.table, provenance.name) == (None, "own.csv")


def test_the_real_means_are_nats_bench_and_the_real_trainings_v1_1(reference_data: Path) -> None:
    held = import_table(reference_data / "nas-bench-201-means.parquet", "index", {"cifar10_test_200": TEST})
    assert held.provenance.table == NATS
    name = "nas-bench-201-v1.1-cifar10-test-trials.parquet"
    single = import_table(reference_data / name, "cell_index", {"accuracy": TEST}, trial_column="trial")
    assert single.provenance.table == V1_1
    key = TEST.model_dump()
    counted, _ = single.spread(**key)
    assert pd.Series(counted).value_counts().to_dict() == which.TRAININGS
    moved = pd.DataFrame(
        {"old": single.accuracy(range(15_625), **key), "new": held.accuracy(range(15_625), **key), "times": counted}
    )
    moved["by"] = (moved["old"] - moved["new"]).abs()
    changed = moved[moved["by"] > 1e-4]  # the trainings have the digits of float32
    assert math.floor(10 * changed["by"].max()) == 22
    assert changed["times"].value_counts().to_dict() == {1: 2208, 2: 208}
