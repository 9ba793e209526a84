from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.base.errors import UserError
from harness.search.baseline import Signal, run_baseline, search_signal
from harness.settings.protocol import AccuracyColumn, TruthSettings
from harness.space.cell import CELL_COUNT, Cell, all_cells
from harness.truth.sources import import_truth
from harness.truth.table import TRUTH_FILE, Truth
from harness.truth.training_time import model_seconds
from variants.random_search import RandomSearch

EVERY_CELL = np.arange(CELL_COUNT)


def signal(seconds: float = 100.0) -> Signal:
    scores = np.random.default_rng(0).uniform(10, 90, CELL_COUNT)
    return Signal(scores, np.full(CELL_COUNT, seconds), notes=())


def table(tmp_path: Path, *columns: tuple[str, str, int | None]) -> Truth:
    """A table of these columns, each with its own values; 10 percent for the cell of six `none`."""
    chance = [100 / {"cifar100": 100, "ImageNet16-120": 120}.get(column[0], 10) for column in columns]
    none = Cell(("none",) * 6).index
    values = {
        "/".join(map(str, column)): np.where(none == EVERY_CELL, low, low + (EVERY_CELL % 50) + number)
        for number, (column, low) in enumerate(zip(columns, chance, strict=True))
    }
    pd.DataFrame({"index": EVERY_CELL, **values}).to_csv(tmp_path / "table.csv", index=False)
    mapping = {
        "/".join(map(str, key)): AccuracyColumn(data_set=key[0], split=key[1], epochs=key[2])  # type: ignore[arg-type]
        for key in columns
    }
    settings = TruthSettings(source="table", path=str(tmp_path / "table.csv"), cell_column="index", columns=mapping)
    return import_truth(settings, tmp_path / "truth.parquet")


class TestBudget:
    def test_evaluations_are_counted_and_charged(self) -> None:
        rows = run_baseline(RandomSearch, RandomSearch.Settings(evaluations=7), 0, signal())
        assert rows["epoch"].tolist() == list(range(1, 8))
        assert rows["cost_seconds"].tolist() == [100.0 * number for number in range(1, 8)]

    def test_seconds_replace_evaluations_and_the_training_that_crosses_them_is_the_last(self) -> None:
        settings = RandomSearch.Settings(evaluations=2, seconds=450)
        rows = run_baseline(RandomSearch, settings, 0, signal())
        assert rows["cost_seconds"].tolist() == [100.0, 200.0, 300.0, 400.0, 500.0]

    def test_the_benchmarks_budget_buys_about_a_hundred_evaluations(self) -> None:
        paid = Signal(signal().scores, model_seconds("cifar10-valid", 12), notes=())
        counts = [
            len(run_baseline(RandomSearch, RandomSearch.Settings(seconds=12000), seed, paid)) for seed in range(5)
        ]
        assert 100 < np.mean(counts) < 120

    def test_the_answer_is_the_best_so_far(self) -> None:
        given = signal()
        rows = run_baseline(RandomSearch, RandomSearch.Settings(evaluations=50), 3, given)
        best = [given.scores[Cell.from_string(cell).index] for cell in rows["cell"]]
        assert best == rows["signal"].cummax().tolist()

    def test_a_shorter_run_is_the_beginning_of_a_longer_one(self) -> None:
        short, long = (run_baseline(RandomSearch, RandomSearch.Settings(evaluations=n), 1, signal()) for n in (10, 20))
        pd.testing.assert_frame_equal(short, long.head(10))


class TestSignal:
    def test_short_validation_comes_first(self, tmp_path: Path) -> None:
        truth = table(
            tmp_path, ("cifar10", "test", 200), ("cifar10-valid", "valid", 12), ("cifar10-valid", "valid", 200)
        )
        found = search_signal(truth)
        assert np.array_equal(
            found.scores, truth.accuracy(EVERY_CELL, data_set="cifar10-valid", split="valid", epochs=12)
        )
        assert found.notes[0] == "searched by the truth table's cifar10-valid valid (12 epochs)"

    def test_the_embedded_table_is_named_as_what_it_is(self, project: Path) -> None:
        found = search_signal(Truth.read(TRUTH_FILE))
        assert found.notes[0] == (
            "searched by the truth table's cifar10 test (training length not stated): a full training, the accuracy "
            "that the answer is judged by, which a real search of this budget cannot afford"
        )
        assert "modelled" in found.notes[1]
        assert np.array_equal(found.seconds, model_seconds("cifar10", 200))

    def test_times_of_the_table_are_charged_and_the_lacking_ones_modelled(self, tmp_path: Path) -> None:
        truth = table(tmp_path, ("cifar10-valid", "valid", 12))
        timed = truth.frame.assign(seconds=np.arange(CELL_COUNT, dtype=float))
        found = search_signal(Truth(timed, truth.provenance))
        assert found.notes[1] == "charged the table's training times"
        assert np.array_equal(found.seconds, EVERY_CELL)
        timed.loc[timed["cell"] == 5, "seconds"] = np.nan
        partly = search_signal(Truth(timed, truth.provenance))
        assert "of 1 cells modelled" in partly.notes[1]
        assert partly.seconds[5] == model_seconds("cifar10-valid", 12)[5]
        assert np.array_equal(np.delete(partly.seconds, 5), np.delete(EVERY_CELL, 5))

    def test_a_table_that_lacks_cells_is_refused(self, tmp_path: Path) -> None:
        truth = table(tmp_path, ("cifar10", "test", 200))
        partial = Truth(truth.frame[truth.frame["cell"] != 7], truth.provenance)
        with pytest.raises(UserError, match=r"lack cifar10 test \(200 epochs\) of 1 cells"):
            search_signal(partial)


def test_the_model_of_training_time_fits_the_benchmarks_own_times(reference_data: Path) -> None:
    times = pd.read_parquet(reference_data / "nas-bench-201-costs-1000-cells.parquet")
    assert set(times["data_set"]) == {"cifar10", "cifar100", "ImageNet16-120"}
    for (data_set, epochs), rows in times.groupby(["data_set", "epochs"]):
        errors = rows["train_seconds"] - model_seconds(str(data_set), int(epochs))[rows["index"]]  # type: ignore[call-overload]
        assert abs(errors.mean()) < 0.001 * rows["train_seconds"].mean()
        assert (errors**2).sum() < 0.006 * ((rows["train_seconds"] - rows["train_seconds"].mean()) ** 2).sum()


def test_half_the_images_take_half_the_time() -> None:
    assert np.array_equal(2 * model_seconds("cifar10-valid", 12), model_seconds("cifar10", 12))
    assert len(model_seconds("cifar10", None)) == len(all_cells())
