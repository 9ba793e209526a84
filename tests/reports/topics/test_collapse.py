"""The collapse section: its data frames against hand-made runs, its sentences, and boards with next to nothing."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from harness.space.cell import ALL_CONV3, ALL_SKIP, OPERATIONS, RESIDUAL, all_cells
from harness.statistics.estimates import proportion_interval
from reports.analysis import collapse_rates, repairs, summary
from reports.analysis.end_values import DIAGNOSTICS, end_values
from reports.figures import cell_timelines, landscape, predictors
from reports.figures.style import Picture
from reports.figures.trajectories import over_seeds
from reports.results import Results, TruthColumn, load_results
from reports.section import Figures, Folded, Text
from reports.tables.table import Table
from reports.topics import collapse
from tests.reports.simulate import Simulation

MAIN = "truth/cifar10/test"
COLUMN = TruthColumn(MAIN, "CIFAR-10 test", 200, 87.0, 12.9, 90.7, 94.37, str(RESIDUAL), ())


def outcomes(variant: str, criterion: str, epochs: list[float | None]) -> pd.DataFrame:
    """Return rows of collapse.parquet: a run per entry, collapsed from that epoch on or not."""
    rows = [(variant, seed, criterion, epoch is not None, epoch, 10) for seed, epoch in enumerate(epochs)]
    columns = ["variant", "seed", "criterion", "collapsed", "epoch", "epochs"]
    return pd.DataFrame(rows, columns=columns).astype({"epoch": float})


def test_rates_count_collapsed_runs_and_say_when():
    outcome = pd.concat([outcomes("b", "skip", [None, None]), outcomes("a", "skip", [3, None, 9, 4])])
    found = collapse_rates.rates(outcome, ["a", "absent", "b"])
    assert list(found["variant"]) == ["a", "b"]
    first, second = found.iloc[0], found.iloc[1]
    assert (first["runs"], first["collapsed"], first["share"]) == (4, 3, 0.75)
    assert (first["low"], first["high"]) == tuple(proportion_interval(3, 4))[1:]
    assert (first["epoch_median"], first["epoch_first"], first["epoch_last"]) == (4, 3, 9)
    assert (second["collapsed"], second["share"]) == (0, 0)
    assert math.isnan(second["epoch_median"])


def test_sentences_hold_the_numbers_of_the_rates():
    outcome = pd.concat([outcomes("b", "skip", [None, None]), outcomes("a", "skip", [3, None, 9, 4])])
    outcome = pd.concat([outcome, outcomes("a", "pool", [None] * 4), outcomes("a", "none", [None, 7, None, None])])
    skip, pool, none = collapse_rates.sentences(collapse_rates.rates(outcome, ["a", "b"]), "CIFAR-10 test")
    assert skip.startswith(
        "3 of 6 finished searches collapse to skip (at least 4 of 6 edges), 50 % (95 % interval 19 to "
    )
    assert skip.endswith("81 %): a 3 of 4, from epoch 4.")
    assert pool == "None of the 4 finished searches collapses to pool (at least 4 of 6 edges)."
    assert none.startswith("1 of 4 finished searches collapses to none")


def test_a_sentence_counts_the_variants_it_does_not_name():
    names = [f"v{number}" for number in range(9)]
    found = collapse_rates.rates(pd.concat([outcomes(name, "truth", [2]) for name in names]), names)
    (said,) = collapse_rates.sentences(found, "CIFAR-10 test")
    assert said.startswith("9 of 9 finished searches end in an argmax cell below 80 % CIFAR-10 test accuracy, 100 %")
    assert said.endswith("v5 1 of 1, from epoch 2; 3 more variants.")


def test_quartiles_over_seeds_ignore_runs_that_ended_and_the_best_so_far_never_falls():
    by_seed = pd.DataFrame(
        {0: [90.0, 50.0, 60.0], 1: [80.0, 92.0, 70.0], 2: [85.0, math.nan, math.nan]}, index=[1, 2, 3]
    )
    found = over_seeds(by_seed)
    assert found["median"].tolist() == [85.0, 71.0, 65.0]
    assert found["lower"].tolist() == [82.5, 60.5, 62.5]
    assert found["upper"].tolist() == [87.5, 81.5, 67.5]
    assert found["best_so_far"].tolist() == [85.0, 91.0, 91.0]


# Time lines


def epochs_of(variant: str, seed: int, truths: list[float], cells: list | None = None) -> pd.DataFrame:
    cells = cells or [str(ALL_SKIP)] * len(truths)
    frame = pd.DataFrame({"epoch": range(1, len(truths) + 1), "cell": cells, MAIN: truths})
    return frame.assign(variant=variant, seed=seed, kind="search")


def test_of_many_runs_the_lowest_the_median_and_the_highest_are_shown():
    truths = {0: 90.0, 1: 10.0, 2: 94.0, 3: 70.0, 4: 80.0}
    many = [epochs_of("many", seed, [99.0, truth]) for seed, truth in truths.items()]
    few = [epochs_of("few", seed, [50.0]) for seed in (2, 1, 0)]
    chosen = cell_timelines.chosen_runs(pd.concat([*many, *few]), MAIN)
    assert chosen.loc[chosen["variant"] == "many", "seed"].tolist() == [1, 4, 2]
    assert chosen.loc[chosen["variant"] == "many", "truth"].tolist() == [10.0, 80.0, 94.0]
    assert chosen.loc[chosen["variant"] == "few", "seed"].tolist() == [0, 1, 2]


def test_runs_without_a_cell_have_no_strip():
    runs = pd.concat([epochs_of("a", 0, [50.0], [None]), epochs_of("a", 1, [math.nan])])
    assert cell_timelines.chosen_runs(runs, MAIN)["seed"].tolist() == [1]


def test_strips_hold_the_operations_in_the_order_of_the_epochs():
    run = epochs_of("a", 0, [0.0, 0.0, 0.0], [str(ALL_SKIP), None, str(RESIDUAL)]).iloc[::-1]
    epochs, codes = cell_timelines.operation_codes(run)
    assert epochs.tolist() == [1, 2, 3]
    assert codes.tolist() == [list(ALL_SKIP.codes), [-1] * 6, list(RESIDUAL.codes)]


def test_spans_join_consecutive_epochs():
    epochs = np.array([1, 2, 3, 4, 5, 6])
    holds = np.array([True, True, False, True, False, True])
    assert cell_timelines.constant_spans(epochs, holds) == [(1, 2), (4, 4), (6, 6)]
    assert cell_timelines.constant_spans(epochs, ~holds | holds) == [(1, 6)]
    assert cell_timelines.constant_spans(epochs, holds & ~holds) == []


# End values, differences and correlations


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    """Two searches and a baseline of three seeds; a search without a result."""
    folder = tmp_path_factory.mktemp("results")
    searches = {"darts": (ALL_SKIP, 1.0), "other": (RESIDUAL, 1.0)}
    lost = {("other", 2): ("failed", "out of memory")}
    Simulation(searches=searches, baselines=("random-search",), epochs=12, evaluations=4, lost=lost).write(folder)
    return load_results(folder)


def test_end_values_are_the_last_measured_ones_of_finished_searches(results):
    epochs = results.epochs.copy()
    own = (epochs["variant"] == "darts") & (epochs["seed"] == 0)
    epochs.loc[own, "hessian_largest"] = [1.0, 2.0, -3.0, *[math.nan] * 9]
    epochs.loc[own, "flips"] = [math.nan, *[1.0] * 9, 2.0, 3.0]
    epochs.loc[own, "layer_alignment"] = math.nan
    epochs.loc[own, "parameters"] = 2e6
    values = end_values(dataclasses.replace(results, epochs=epochs.iloc[::-1]))
    assert set(values.index) == {("darts", 0), ("darts", 1), ("darts", 2), ("other", 0), ("other", 1)}
    first = values.loc[("darts", 0)]
    assert first["hessian_largest"] == -3.0
    assert first["flips"] == 5.0  # the last 2 of 12 epochs
    assert math.isnan(first["layer_alignment"])
    assert first["parameters"] == 2.0
    assert first["count_skip_connect"] == 6.0
    assert first[MAIN] == results.runs.set_index(["variant", "seed"]).loc[("darts", 0), MAIN]


def values_of(**variants: dict[int, float]) -> pd.DataFrame:
    """Return a table like `end_values` with one diagnostic."""
    index = [(variant, seed) for variant, seeds in variants.items() for seed in seeds]
    data = [value for seeds in variants.values() for value in seeds.values()]
    return pd.DataFrame({"entropy": data}, index=pd.MultiIndex.from_tuples(index, names=["variant", "seed"]))


def difference(**variants: dict[int, float]) -> pd.Series:
    table = values_of(**variants)
    return repairs.differences(table, "reference", list(variants), ["entropy"]).iloc[0]


def test_differences_are_paired_by_seed():
    row = difference(reference={0: 1.0, 1: 5.0, 2: 9.0, 7: 100.0}, other={2: 8.0, 1: 4.5, 0: 0.0, 3: -50.0})
    assert (row["variant"], row["diagnostic"], row["pairs"]) == ("other", "entropy", 3)
    assert row["mean_difference"] == pytest.approx((-1 - 0.5 - 1) / 3)
    assert row["low"] == -1.0 and row["high"] == -0.5
    assert row["change"] == "lower"


@pytest.mark.parametrize(
    ("other", "change"),
    [({0: 2.0, 1: 3.0}, "higher"), ({0: 2.0, 1: 0.0}, ""), ({0: 1.0, 1: 1.0}, ""), ({0: 9.0}, ""), ({5: 9.0}, "")],
    ids=["higher", "both signs", "equal", "one pair", "no pair"],
)
def test_a_change_needs_an_interval_without_zero(other, change):
    row = difference(reference={0: 1.0, 1: 1.0}, other=other)
    assert row["change"] == change
    assert row["pairs"] == len({0, 1} & set(other))
    assert math.isnan(row["low"]) == (row["pairs"] < 2)


def test_few_pairs_are_an_observation_and_many_a_mark():
    seeds = range(6)
    many = difference(reference=dict.fromkeys(seeds, 1.0), other=dict.fromkeys(seeds, 2.0))
    few = difference(reference=dict.fromkeys(seeds, 1.0), other=dict.fromkeys(range(5), 2.0))
    lower = difference(reference=dict.fromkeys(seeds, 1.0), other=dict.fromkeys(seeds, 0.0))
    assert [repairs.mark(row) for row in (many, few, lower)] == ["*", " (*)", "*"]


def test_repair_sentences_name_the_variants_that_differ():
    reference = dict.fromkeys(range(3), 1.0)
    table = values_of(
        reference=reference, up=dict.fromkeys(range(3), 2.0), down=dict.fromkeys(range(3), 0.0), same=reference
    )
    found = repairs.differences(table, "reference", ["down", "same", "up"], ["entropy"])
    said = repairs.sentences(found, "reference", COLUMN)
    assert said == [
        "Entropy, 3 variants against reference: lower for down; higher for up.",
        "2 of these 2 differences rest on fewer than 6 seeds: observations, not tests.",
    ]
    unchanged = repairs.sentences(found[found["variant"] == "same"], "reference", COLUMN)
    assert unchanged == ["Entropy, 1 variant against reference: no difference whose interval excludes 0."]
    alone = values_of(reference={0: 1.0}, other={0: 2.0})
    assert repairs.sentences(repairs.differences(alone, "reference", ["other"], ["entropy"]), "reference", COLUMN) == []


def test_repair_tables_say_how_many_pairs_an_entry_has(results):
    values = end_values(results)
    values.loc[("other", 0), "margin"] = math.nan
    found = repairs.differences(values, "darts", ["other"], ["entropy", "margin"])
    (table,) = repairs.tables(found, values[["entropy", "margin"]].reindex(columns=values.columns), "darts", COLUMN)
    (reference,), (row,) = (rows for _, rows in table.groups)
    assert [entry.text for entry in reference[:2]] == ["darts", "3"]
    assert [entry.text for entry in row[:2]] == ["other", "2"]
    assert "n = " not in row[2].note
    assert row[3].note == "n = 1"


def test_a_difference_that_rounds_to_zero_has_no_sign():
    assert [repairs.signed(value, 2) for value in (0.004, -0.004, 0.0, -1234.5)] == [
        "0.00",
        "0.00",
        "0.00",
        "-1,234.50",
    ]


def correlated(skips: list[float], truths: list[float]) -> pd.Series:
    table = pd.DataFrame(math.nan, index=range(len(skips)), columns=list(DIAGNOSTICS))
    table["count_skip_connect"] = skips
    return predictors.predictors(table.assign(**{MAIN: truths}), MAIN).T["count_skip_connect"]


def test_correlation_is_that_of_ranks_with_ties():
    skips, truths = [0, 1, 1, 2, 4, 6, 6, 3], [94.0, 93.0, 90.0, 91.0, 85.0, 54.3, 54.3, 92.0]
    row = correlated(skips, truths)
    assert row["spearman"] == pytest.approx(pd.Series(skips).corr(pd.Series(truths), method="spearman"))
    assert row["low"] <= row["spearman"] <= row["high"] < 0
    said = predictors.sentence(row, "number of skips", "CIFAR-10 test")
    assert said.startswith(
        "Over the finished searches a higher number of skips goes with a lower CIFAR-10 test accuracy"
    )
    assert f"Spearman {row['spearman']:+.2f}" in said and "n = 8" in said


def test_no_correlation_is_claimed_where_none_can_be_seen():
    few = correlated([0, 1, 2], [94.0, 93.0, 92.0])
    constant = correlated([1] * 7, [94.0, 93.0, 92.0, 91.0, 90.0, 89.0, 88.0])
    unclear = correlated([0, 1, 2, 3, 4, 5], [90.0, 94.0, 91.0, 93.0, 90.5, 92.0])
    assert "fewer than 6 runs (n = 3)" in predictors.sentence(few, "number of skips", "x")
    assert "no spread (n = 7)" in predictors.sentence(constant, "number of skips", "x")
    assert "shows no clear correlation" in predictors.sentence(unclear, "number of skips", "x")


@pytest.mark.parametrize("values", [[0.1, 10.0], [-2.0, 0.0, 0.1], [-1.0], [math.nan]])
def test_eigenvalues_without_a_logarithm_stand_apart(values):
    from matplotlib.figure import Figure

    series = pd.Series(values)
    panel = Figure().add_subplot()
    positions = predictors.signed_log_axis([panel], series)
    positive = series > 0
    assert np.allclose(positions[positive], np.log10(series[positive]))
    assert (positions[series <= 0] < positions[positive].min()).all() or not positive.any()
    assert (positions[series <= 0] < panel.get_xticks()[1]).all()
    assert positions.isna().equals(series.isna())
    assert ("≤ 0" in [label.get_text() for label in panel.get_xticklabels()]) == bool((series <= 0).any())


def test_of_many_eigenvalues_only_the_last_of_each_run_are_drawn(results, monkeypatch):
    every = predictors.measured_eigenvalues(results)
    assert every.groupby(["variant", "seed"])["last"].sum().eq(1).all()
    assert len(every) > every["last"].sum()
    monkeypatch.setattr(predictors, "MOST_POINTS", len(every) - 1)
    last = predictors.measured_eigenvalues(results)
    assert last["last"].all() and (last["epoch"] == 12).all()


# All cells


def test_truth_by_operation_count_is_that_of_all_cells():
    cells = all_cells()
    counts = pd.DataFrame([cell.counts for cell in cells]).add_prefix("count_")
    space = counts.assign(**{MAIN: 90.0 - 5.0 * counts["count_skip_connect"]})
    space.loc[0, MAIN] = math.nan
    runs = pd.DataFrame([cell.counts for cell in (ALL_SKIP, ALL_SKIP, ALL_CONV3)]).add_prefix("count_")
    found = landscape.by_operation_count(space, runs, MAIN)
    skip = found[found["operation"] == "skip_connect"].set_index("count")
    assert skip["mean"].tolist() == [90.0, 85.0, 80.0, 75.0, 70.0, 65.0, 60.0]
    assert skip["cells"].sum() == len(cells) - 1
    assert skip["runs"].tolist() == [1, 0, 0, 0, 0, 0, 2]
    assert set(found["operation"]) == set(OPERATIONS)
    said = landscape.count_sentence(found, COLUMN)
    assert "highest with 0 skip edges (90.00 %) and lowest with 6 (60.00 %)" in said
    assert "from 0 to 3 edges it moves within 15.00 points" in said


# The section


def ordered(results: Results) -> list[str]:
    return [str(variant) for variant in summary.comparison(results).index]


def made(results: Results) -> list:
    found = collapse.section(results, Simulation(searches={"darts": (ALL_SKIP, 1.0)}).board(), ordered(results))
    return [part for block in found.blocks for part in (block.blocks if isinstance(block, Folded) else [block])]


def texts(blocks: list) -> str:
    return "\n".join(block.text for block in blocks if isinstance(block, Text))


def pictures(blocks: list) -> list[Picture]:
    return [picture for block in blocks if isinstance(block, Figures) for _, picture in block.pictures]


def test_section_has_every_picture_and_table_and_no_bitmap(results):
    blocks = made(results)
    assert [picture.name for picture in pictures(blocks)] == [
        "collapse-rates", "collapse-times", "cell-timelines", "eigenvalue-truth", "end-values-truth", "repairs",
        "operation-counts", "landscape",
    ]  # fmt: skip
    tables = [block.name for block in blocks if isinstance(block, Table)]
    assert tables == [
        "collapse", "collapse-predictors", "repairs-op-weights", "repairs-cell", "repairs-supernet", "operation-counts",
    ]  # fmt: skip
    # The page's content policy lets no image in, not even one inside a drawing.
    assert not [picture.name for picture in pictures(blocks) if "<image" in picture.svg]
    assert "3 of 5 finished searches collapse to skip" in texts(blocks)


def test_lost_runs_do_not_count(results):
    finished = collapse_rates.finished_searches(results)
    assert len(finished[finished["criterion"] == "skip"]) == 5
    assert len(results.collapse[results.collapse["criterion"] == "skip"]) == 6


def test_a_board_without_a_result_says_so(results):
    lost = results.runs.assign(status="failed", cell=None, cell_index=math.nan)
    blocks = made(dataclasses.replace(results, runs=lost))
    assert "No finished search has an argmax cell" in texts(blocks)
    assert "The reference variant darts has no finished search" in texts(blocks)
    assert [picture.name for picture in pictures(blocks)] == ["cell-timelines", "operation-counts", "landscape"]


def test_a_board_without_a_search_has_no_section(results):
    board = Simulation().board()
    for rows in (results.epochs["kind"] == "baseline", results.epochs["epoch"] < 0):
        assert collapse.section(dataclasses.replace(results, epochs=results.epochs[rows]), board, []) is None


def first_text(results: Results, reference: str) -> str:
    return next(collapse._repairs(results, end_values(results), ordered(results), reference)).text


def test_without_anything_to_pair_there_is_no_comparison(results):
    assert first_text(results, "absent").startswith("The reference variant absent has no finished search")
    alone = dataclasses.replace(results, runs=results.runs[results.runs["variant"] == "darts"])
    assert first_text(alone, "darts").startswith("darts is the only variant with a finished search")
    one_seed = dataclasses.replace(results, runs=results.runs[results.runs["seed"] == 0])
    assert first_text(one_seed, "darts").startswith("No variant has two seeds in common with darts")


def test_a_hessian_that_was_not_measured_is_told(results):
    unmeasured = dataclasses.replace(results, epochs=results.epochs.assign(hessian_largest=math.nan))
    blocks = list(collapse._predictors(unmeasured, end_values(unmeasured), ordered(results), "darts"))
    assert "No search measured the Hessian in alpha" in texts(blocks)
    assert [picture.name for picture in pictures(blocks)] == ["end-values-truth"]


def test_searches_without_cells_are_named(results):
    without = dataclasses.replace(results, collapse=results.collapse[results.collapse["variant"] != "other"])
    said = next(collapse._rates(without, ordered(results))).text
    assert said == "No argmax cell over the epochs, so not in the counts: other."


def test_a_truth_that_never_reaches_the_threshold_is_no_criterion(results):
    low = dataclasses.replace(results, columns=(dataclasses.replace(results.main, best=47.0),))
    said = next(collapse._rates(low, ordered(results))).text
    assert said.startswith("No cell reaches 80 % on CIFAR-10 test (the best: 47.00 %)")
    assert set(collapse_rates.finished_searches(low)["criterion"]) == {"skip", "pool", "none"}
