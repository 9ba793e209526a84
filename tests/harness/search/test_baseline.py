import itertools
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from harness.base.errors import UserError
from harness.search.baseline import (
    MOST_EVALUATIONS,
    MOST_SECONDS,
    Signal,
    Training,
    check_lengths,
    run_baseline,
    search_signal,
    signal_columns,
)
from harness.settings.tables import AccuracyColumn, TruthSettings
from harness.settings.validation import validate
from harness.space.cell import CELL_COUNT, Cell, all_cells
from harness.truth.nats_bench import import_nats_bench
from harness.truth.sources import import_truth
from harness.truth.table import TRUTH_FILE, Provenance, Truth
from harness.truth.training_time import model_evaluation_seconds, model_seconds
from variants.random_search import RandomSearch
from variants.regularized_evolution import RegularizedEvolution

EVERY_CELL = np.arange(CELL_COUNT)
SHORT = ("cifar10-valid", "valid", 12)


def signal(trials: int = 1) -> Signal:
    scores = np.random.default_rng(0).uniform(10, 90, (trials, CELL_COUNT))
    return Signal(scores, np.full((trials, CELL_COUNT), 100.0), notes=())


def with_trials(truth: Truth) -> Truth:
    """Three trainings of each cell, 1 point apart, with 10, 20 and 30 s; the cell of index 5 has the first alone."""
    trials = [
        truth.frame.assign(
            training_seed=number,
            accuracy=truth.frame["accuracy"] + number,
            seconds=10.0 * (number + 1),
            evaluation_seconds=0.5,
        )
        for number in range(3)
    ]
    frame = pd.concat(trials)
    return Truth(frame[(frame["cell"] != 5) | (frame["training_seed"] == 0)], truth.provenance)


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


def means(*columns: tuple[str, str, int]) -> Truth:
    """As `table`, without an import."""
    parts = [
        pd.DataFrame({"cell": EVERY_CELL, "accuracy": 10.0 + number + EVERY_CELL % 50}).assign(
            **dict(zip(("data_set", "split", "epochs"), column, strict=True))
        )
        for number, column in enumerate(columns)
    ]
    unknown = dict.fromkeys(("training_seed", "loss", "seconds", "latency"), np.nan)
    frame = pd.concat(parts).assign(**unknown, parameters=1, flops=1)
    about = Provenance(source="table", file="table.csv", sha256="", importer_version=1, cells=CELL_COUNT)
    return Truth(frame, about)


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
        charged = model_seconds("cifar10-valid", 12) + model_evaluation_seconds("cifar10-valid", "valid")
        paid = Signal(signal().scores, charged[None], notes=())
        counts = [
            len(run_baseline(RandomSearch, RandomSearch.Settings(seconds=12000), seed, paid)) for seed in range(5)
        ]
        assert 100 < np.mean(counts) < 120

    def test_the_answer_is_the_best_so_far(self) -> None:
        given = signal()
        rows = run_baseline(RandomSearch, RandomSearch.Settings(evaluations=50), 3, given)
        best = [given.scores[0, Cell.from_string(cell).index] for cell in rows["cell"]]
        assert best == rows["signal"].cummax().tolist()

    def test_a_shorter_run_is_the_beginning_of_a_longer_one(self) -> None:
        short, long = (run_baseline(RandomSearch, RandomSearch.Settings(evaluations=n), 1, signal()) for n in (10, 20))
        pd.testing.assert_frame_equal(short, long.head(10))


class TestTrials:
    def test_each_evaluation_draws_one_and_pays_for_it(self) -> None:
        scores = np.array([[1.0], [2.0], [3.0]]) + np.zeros(CELL_COUNT)
        scores[1:, 7] = np.nan
        given = Signal(scores, 100 * scores, notes=())
        random = np.random.default_rng(0)
        drawn = [given.evaluate(Cell.from_index(3), random) for _ in range(3000)]
        assert {score for score, _ in drawn} == {1.0, 2.0, 3.0}
        assert all(seconds == 100 * score for score, seconds in drawn)
        counts = np.bincount([int(score) for score, _ in drawn])[1:]
        assert ((counts - 1000) ** 2 / 1000).sum() < 13.8  # chi-square, 2 degrees of freedom, p = 0.001
        assert {given.evaluate(Cell.from_index(7), random) for _ in range(50)} == {(1.0, 100.0)}

    def test_a_cell_that_is_seen_again_is_trained_again(self) -> None:
        class Stubborn(RandomSearch):
            name = "stubborn"

            def propose(self) -> Cell:
                return Cell.from_index(3)

        rows = run_baseline(Stubborn, Stubborn.Settings(evaluations=50), 0, signal(trials=3))
        assert rows["signal"].nunique() == 3

    def test_the_trials_have_a_stream_of_their_own(self) -> None:
        """Where the score does not decide, proposals are the same whatever the table holds of a cell."""
        one, three = (run_baseline(Recorder, Recorder.Settings(evaluations=30), 4, signal(trials)) for trials in (1, 3))
        assert proposed(4, signal(1)) == proposed(4, signal(3))
        assert one["signal"].tolist() != three["signal"].tolist()
        again = run_baseline(Recorder, Recorder.Settings(evaluations=30), 4, signal(3))
        pd.testing.assert_frame_equal(three, again)

    def test_evolution_is_led_by_what_it_saw(self) -> None:
        """The best of noisy scores is lucky: its mean is below what was seen."""
        mean = np.random.default_rng(1).uniform(10, 90, CELL_COUNT)
        noise = np.array([[-5.0], [5.0]]) + np.zeros(CELL_COUNT)
        given = Signal(mean + noise, np.full((2, CELL_COUNT), 1.0), notes=())
        rows = run_baseline(RegularizedEvolution, RegularizedEvolution.Settings(), 0, given)
        answers = mean[[Cell.from_string(cell).index for cell in rows["cell"]]]
        assert (rows["signal"].cummax() - answers).tail(50).tolist() == pytest.approx([5.0] * 50)


class Climber(RandomSearch):
    """Random search that asks for lengths in turn."""

    name = "climber"
    lengths = 2

    def begin(self, lengths: tuple[int | None, ...]) -> None:
        self.turns = itertools.cycle(lengths)

    def propose(self) -> Cell | Training:  # type: ignore[override]
        return Training(super().propose(), next(self.turns))


class TestLengths:
    LONG = ("cifar10-valid", "valid", 200)

    def several(self) -> Signal:
        """Scores between 10 and 90 after 12 epochs, between 0 and 10 after 200."""
        longer = Signal(signal().scores[:, ::-1] / 10, np.full((1, CELL_COUNT), 1600.0), (), 200)
        return Signal(signal().scores, signal().seconds, (), 12, (longer,))

    def test_a_proposal_may_ask_for_a_longer_training_and_pays_for_it(self) -> None:
        given = self.several()
        rows = run_baseline(Climber, Climber.Settings(evaluations=6), 0, given)
        assert rows["cost_seconds"].diff().fillna(100).tolist() == [100.0, 1600.0] * 3
        short, long = rows["signal"].iloc[::2], rows["signal"].iloc[1::2]
        assert np.isin(short, given.scores).all()
        assert np.isin(long, given.longer[0].scores).all()

    def test_without_a_length_it_is_the_shortest(self) -> None:
        settings = RandomSearch.Settings(evaluations=20)
        pd.testing.assert_frame_equal(
            run_baseline(RandomSearch, settings, 0, self.several()), run_baseline(RandomSearch, settings, 0, signal())
        )

    def test_what_was_trained_longer_is_the_better_answer(self) -> None:
        given = self.several()
        rows = run_baseline(Climber, Climber.Settings(evaluations=20), 0, given)
        long = given.longer[0].scores[0, [Cell.from_string(cell).index for cell in rows["cell"].iloc[1:]]]
        assert long.tolist() == rows["signal"].where(rows["signal"] < 10).cummax().ffill().iloc[1:].tolist()

    def test_a_length_that_there_is_not_is_one_sentence(self) -> None:
        class Endless(RandomSearch):
            name = "endless"

            def propose(self) -> Cell | Training:  # type: ignore[override]
                return Training(super().propose(), 1000)

        with pytest.raises(UserError, match="a training of 1000 epochs is asked for, expected one of 12 and 200"):
            run_baseline(Endless, Endless.Settings(), 0, self.several())

    def test_the_longer_columns_of_the_same_accuracy_come_along(self) -> None:
        others = [("cifar10-valid", "test", 200), ("cifar100", "valid", 200), ("cifar10", "test", 12)]
        truth = means(*others, SHORT, self.LONG)
        assert [tuple(column) for column in signal_columns(truth)] == [SHORT, self.LONG]
        found = search_signal(truth, "trial", every_length=True)
        assert found.lengths == (12, 200)
        for signal_at, (data_set, split, epochs) in zip((found, *found.longer), (SHORT, self.LONG), strict=True):
            expected = truth.accuracy(EVERY_CELL, data_set=data_set, split=split, epochs=epochs)
            assert np.array_equal(signal_at.scores, expected[None])
            seconds = model_seconds(data_set, epochs) + model_evaluation_seconds(data_set, split)
            assert np.array_equal(signal_at.seconds, seconds[None])
        assert found.notes[0] == "searched by the truth table's cifar10-valid valid (12 epochs)"
        assert found.notes[1] == (
            "where it asks for a longer training, searched by cifar10-valid valid (200 epochs): paid from its start"
        )
        assert search_signal(truth, "trial").longer == ()
        assert (found.notes[0], *found.notes[2:]) == search_signal(truth, "trial").notes

    def test_notes_on_the_longer_trainings_name_their_length(self) -> None:
        truth = means(SHORT, self.LONG)
        seconds = np.where(truth.frame["epochs"] == 12, 5.0, np.nan)
        timed = Truth(truth.frame.assign(seconds=seconds, evaluation_seconds=1.0), truth.provenance)
        notes = search_signal(timed, "trial", every_length=True).notes
        modelled = "training times modelled from the counts of operations, the table has none"
        assert f"after 200 epochs {modelled}" in notes
        assert "charged the table's training times" in notes

    def test_the_accuracy_that_it_is_judged_by_is_called_so(self) -> None:
        truth = means(("cifar10", "test", 12), ("cifar10", "test", 200))
        notes = search_signal(truth, "trial", every_length=True).notes
        assert "the accuracy that the answer is judged by" in notes[1]

    def test_a_table_of_too_few_lengths_is_one_sentence(self) -> None:
        check_lengths(means(SHORT, self.LONG), Climber)
        with pytest.raises(UserError) as caught:
            check_lengths(means(SHORT, ("cifar10", "test", 200)), Climber)
        assert str(caught.value) == (
            "climber needs an accuracy after 2 training lengths, and table.csv has cifar10-valid valid (12 epochs) "
            "only: import another table, or take climber out of params.yaml"
        )


class Recorder(RandomSearch):
    """Random search that keeps what it proposed."""

    name = "recorder"
    proposals: ClassVar[list[Cell]] = []

    def propose(self) -> Cell:
        Recorder.proposals.append(super().propose())
        return Recorder.proposals[-1]


def proposed(seed: int, given: Signal) -> list[Cell]:
    Recorder.proposals = []
    run_baseline(Recorder, Recorder.Settings(evaluations=30), seed, given)
    return Recorder.proposals


class TestSignal:
    def test_short_validation_comes_first(self, tmp_path: Path) -> None:
        truth = table(
            tmp_path, ("cifar10", "test", 200), ("cifar10-valid", "valid", 12), ("cifar10-valid", "valid", 200)
        )
        found = search_signal(truth, "mean")
        assert np.array_equal(
            found.scores, truth.accuracy(EVERY_CELL, data_set="cifar10-valid", split="valid", epochs=12)[None]
        )
        assert found.notes[0] == "searched by the truth table's cifar10-valid valid (12 epochs)"

    def test_a_trial_is_one_of_the_tables(self, tmp_path: Path) -> None:
        truth = with_trials(table(tmp_path, SHORT))
        found = search_signal(truth, "trial")
        rows = truth.trials([3], data_set="cifar10-valid", split="valid", epochs=12)
        assert found.scores[:, 3].tolist() == rows["accuracy"].tolist()
        assert found.seconds[:, 3].tolist() == [10.5, 20.5, 30.5]
        assert found.trials.tolist() == [1 if cell == 5 else 3 for cell in range(CELL_COUNT)]
        assert found.notes[1] == "each score is that of one of a cell's trainings, drawn anew for each evaluation"

    def test_the_mean_is_over_the_trials_and_is_charged_as_one(self, tmp_path: Path) -> None:
        truth = with_trials(table(tmp_path, SHORT))
        found = search_signal(truth, "mean")
        expected = truth.accuracy(EVERY_CELL, data_set="cifar10-valid", split="valid", epochs=12)
        assert found.scores[0] == pytest.approx(expected)
        assert found.seconds[0, [3, 5]].tolist() == [20.5, 10.5]
        assert "mean over a cell's trainings, and each is charged as one" in found.notes[1]

    def test_a_table_without_trials_shows_its_means(self, tmp_path: Path) -> None:
        truth = table(tmp_path, SHORT)
        by_kind = [search_signal(truth, kind) for kind in ("trial", "mean")]
        for found in by_kind:
            assert found.notes == by_kind[0].notes
            assert np.array_equal(found.scores, by_kind[0].scores)
        assert found.notes[1] == "each score is the mean over a cell's trainings, the table has no single ones"

    def test_the_embedded_table_is_named_as_what_it_is(self, project: Path) -> None:
        found = search_signal(Truth.read(TRUTH_FILE), "trial")
        assert found.notes[0] == (
            "searched by the truth table's cifar10 test (training length not stated): a full training, the accuracy "
            "that the answer is judged by, which a real search of this budget cannot afford"
        )
        assert "training times modelled" in found.notes[2]
        assert "evaluation times modelled" in found.notes[3]
        modelled = model_seconds("cifar10", 200) + model_evaluation_seconds("cifar10", "test")
        assert np.array_equal(found.seconds, modelled[None])

    def test_times_of_the_table_are_charged_and_the_lacking_ones_modelled(self, tmp_path: Path) -> None:
        truth = table(tmp_path, SHORT)
        timed = truth.frame.assign(seconds=np.arange(CELL_COUNT, dtype=float), evaluation_seconds=0.25)
        found = search_signal(Truth(timed, truth.provenance), "trial")
        assert found.notes[2:] == ("charged the table's training times", "charged the table's evaluation times")
        assert np.array_equal(found.seconds[0], EVERY_CELL + 0.25)
        timed.loc[timed["cell"] == 5, "seconds"] = np.nan
        partly = search_signal(Truth(timed.drop(columns="evaluation_seconds"), truth.provenance), "trial")
        assert "the training times of 1 cells modelled" in partly.notes[2]
        assert "evaluation times modelled" in partly.notes[3]
        validation = model_evaluation_seconds("cifar10-valid", "valid")
        assert partly.seconds[0, 5] == model_seconds("cifar10-valid", 12)[5] + validation[5]
        assert np.array_equal(np.delete(partly.seconds[0] - validation, 5).round(9), np.delete(EVERY_CELL, 5))

    def test_a_table_that_lacks_cells_is_refused(self, tmp_path: Path) -> None:
        truth = table(tmp_path, ("cifar10", "test", 200))
        partial = Truth(truth.frame[truth.frame["cell"] != 7], truth.provenance)
        with pytest.raises(UserError, match=r"lack cifar10 test \(200 epochs\) of 1 cells"):
            search_signal(partial, "trial")

    def test_only_the_cells_of_the_space_are_needed(self, tmp_path: Path) -> None:
        truth = table(tmp_path, ("cifar10", "test", 200))
        few = ("skip_connect", "nor_conv_3x3")
        space = [cell.index for cell in all_cells(few)]
        partial = Truth(truth.frame[truth.frame["cell"].isin(space)], truth.provenance)
        found = search_signal(partial, "trial", few)
        assert np.flatnonzero(found.trials).tolist() == space
        assert len(run_baseline(RandomSearch, RandomSearch.Settings(evaluations=30), 0, found, few)) == 30
        with pytest.raises(
            UserError, match=r"lack cifar10 test \(200 epochs\) of 1 cells of the protocol's operations"
        ):
            search_signal(Truth(partial.frame[partial.frame["cell"] != space[3]], truth.provenance), "trial", few)


class TestLargestBudget:
    @pytest.mark.parametrize("budget", [{"evaluations": MOST_EVALUATIONS + 1}, {"seconds": 1.1 * MOST_SECONDS}])
    def test_one_that_no_run_can_spend_is_refused_with_its_key(self, budget: dict[str, float]) -> None:
        with pytest.raises(UserError, match=f"random-search: {next(iter(budget))}: input should be less than or equal"):
            validate(RandomSearch.Settings, budget, where="params.yaml, baselines.random-search")

    def test_times_that_can_spend_none_are_one_sentence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("harness.search.baseline.MOST_EVALUATIONS", 50)
        free = replace(signal(), seconds=np.zeros((1, CELL_COUNT)))
        with pytest.raises(UserError, match="random-search: 50 evaluations cost 0 of the 10 s that `seconds` allows"):
            run_baseline(RandomSearch, RandomSearch.Settings(seconds=10), 0, free)
        assert len(run_baseline(RandomSearch, RandomSearch.Settings(evaluations=50), 0, free)) == 50


def test_the_model_of_training_time_fits_the_benchmarks_own_times(reference_data: Path) -> None:
    times = pd.read_parquet(reference_data / "nas-bench-201-costs-1000-cells.parquet")
    assert set(times["data_set"]) == {"cifar10", "cifar100", "ImageNet16-120"}
    for (data_set, epochs), rows in times.groupby(["data_set", "epochs"]):
        errors = rows["train_seconds"] - model_seconds(str(data_set), int(epochs))[rows["index"]]  # type: ignore[call-overload]
        assert abs(errors.mean()) < 0.001 * rows["train_seconds"].mean()
        assert (errors**2).sum() < 0.006 * ((rows["train_seconds"] - rows["train_seconds"].mean()) ** 2).sum()


def test_an_evaluation_sees_and_pays_what_nats_benchs_simulation_does(reference_data: Path) -> None:
    import nats_bench

    folder = reference_data / "nats-real-cells" / "NATS-tss-v1_0-3ffb9-simple"
    real = import_nats_bench(folder, allow_partial=True)
    own = real.frame[(real.frame["data_set"] == "cifar10-valid") & (real.frame["epochs"] == 12)]
    rest = np.setdiff1d(EVERY_CELL, own["cell"])
    others = pd.DataFrame({"cell": rest, "accuracy": 10.0, "training_seed": 777, "seconds": 1.0}).assign(
        **dict(zip(("data_set", "split", "epochs"), SHORT, strict=True)), loss=1.0, parameters=1, flops=1, latency=1.0
    )
    found = search_signal(Truth(pd.concat([own, others]), real.provenance), "trial")
    api = nats_bench.create(str(folder), "tss", fast_mode=True, verbose=False)
    random = np.random.default_rng(0)
    for index in (0, 11, 284):
        ours = {found.evaluate(Cell.from_index(index), random) for _ in range(60)}
        theirs = {api.simulate_train_eval(index, "cifar10", hp="12")[:3:2] for _ in range(60)}
        assert len(ours) == len(theirs) == 2
        assert np.array(sorted(ours)) == pytest.approx(np.array(sorted(theirs)), rel=1e-12)


def test_the_model_of_evaluation_time_fits_the_benchmarks_own_times(reference_data: Path) -> None:
    times = pd.read_parquet(reference_data / "nas-bench-201-costs-1000-cells.parquet")
    for (data_set, epochs), rows in times.groupby(["data_set", "epochs"]):
        each = rows["test_seconds"] / epochs  # the table has the sum over all epochs
        errors = each - model_evaluation_seconds(str(data_set), "test")[rows["index"]]
        assert abs(errors.mean()) < 0.001 * each.mean()
        assert (errors**2).sum() < 0.021 * ((each - each.mean()) ** 2).sum()


def test_half_the_images_take_half_the_time() -> None:
    assert np.array_equal(2 * model_seconds("cifar10-valid", 12), model_seconds("cifar10", 12))
    assert len(model_seconds("cifar10", None)) == len(all_cells())
