import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.results.folder import Results, load_results
from harness.space.cell import ALL_SKIP, RESIDUAL
from reports.analysis import aggregate, summary
from reports.analysis import statistics as statistics_analysis
from reports.analysis.statistics import EQUAL, HIGHER, INSIDE, LOWER, NO_PAIR, TOO_FEW, UNDECIDED, versus
from reports.section import Figures, Folded, Section, Text
from reports.tables import statistics as statistics_tables
from reports.tables.cells import cells_table
from reports.tables.table import Entry, Table
from reports.topics import statistics
from tests.reports.boards import SIX, hand_made
from tests.reports.simulate import Simulation

BASE = [93.0, 92.5, 93.5, 93.0, 92.0, 93.2, 92.9, 93.1, 92.7, 93.3]


def order(results: Results) -> list[str]:
    return list(summary.comparison(results).index)


def statistics_of(results: Results) -> pd.DataFrame:
    return statistics_analysis.column_statistics(results, results.main, order(results))


def section_of(results: Results, board) -> Section:
    section = statistics.section(results, board, order(results))
    assert section is not None
    return section


def text_of(section: Section) -> str:
    return " ".join(block.text for block in section.blocks if isinstance(block, Text))


def entries(section: Section) -> list[Entry]:
    tables = [block for block in section.blocks if isinstance(block, Table)]
    return [entry for table in tables for _, rows in table.groups for row in rows for entry in row]


def test_statistics_are_those_of_the_finished_runs():
    results, _ = hand_made({"a": [50.0, 90.0, 94.0, 95.0, math.nan]})
    rows = results.runs.index[results.runs["variant"] == "a"]
    results.runs.loc[rows, "canonical"] = ["x", "y", "x", "x", None]
    row, column = statistics_of(results).loc["a"], results.main
    assert (row["runs"], row["n"], row["distinct_cells"], row["same_cell"]) == (5, 4, 2, 3)
    assert row["mean"] == pytest.approx(82.25)
    assert row["median"] == 92.0
    # Of four values the lowest and the highest fall away.
    assert row["iqm"] == pytest.approx(92.0)
    assert row["min"] == 50.0
    assert row["sd"] == pytest.approx(np.std([50, 90, 94, 95], ddof=1))
    assert row["iqm_low"] < row["iqm"] < row["iqm_high"]
    assert row["score"] == pytest.approx((82.25 - column.mean) / (column.best - column.mean))
    assert row["regret"] == pytest.approx(column.best - 82.25)


def test_shares_have_wilson_intervals():
    results, _ = hand_made({"a": [50.0, 88.0, 94.0, 94.0]})
    assert results.main.mean < 88.0 < results.main.median
    row = statistics_of(results).loc["a"]
    z = 1.959963984540054
    middle, half = 0.5, z * math.sqrt(0.5 * 0.5 / 4 + z**2 / 64) / (1 + z**2 / 4)
    assert row["above"] == 2
    assert (row["above_low"], row["above_high"]) == pytest.approx((middle - half, middle + half))


def test_constant_runs_are_told_in_words_with_a_binomial_interval():
    results, board = hand_made({"constant": [54.3] * 3, "other": [90.0, 91.0, 92.0]})
    other = results.runs.index[results.runs["variant"] == "other"]
    results.runs.loc[other, "canonical"] = ["x", "y", "z"]
    constant = results.runs.index[results.runs["variant"] == "constant"]
    results.runs.loc[constant, "canonical"] = "x"
    section = section_of(results, board)
    assert "All runs found the same cell: constant (3 of 3; [0.44, 1.00])." in text_of(section)
    table = statistics_tables.statistics_table(results, results.main, ["constant", "other"])
    row = table.groups[0][1][0]
    assert row[3] == Entry("54.30", "no spread")
    assert row[8] == Entry("3 of 3", "[0.44, 1.00]")


def test_of_many_methods_with_one_cell_a_few_are_named():
    results, board = hand_made({f"constant-{number}": [54.3] * 3 for number in range(7)})
    results.runs["canonical"] = "x"
    assert "constant-3 (3 of 3; [0.44, 1.00]) and 3 more. Resampling" in text_of(section_of(results, board))
    (cell,) = cells_table(results).groups[0][1]
    assert cell[1] == Entry("constant-0 ×3, constant-1 ×3, constant-2 ×3, constant-3 ×3 and 3 more")


def test_one_run_has_statistics_and_no_deviation():
    results, board = hand_made({"a": [94.0]})
    row = statistics_of(results).loc["a"]
    assert math.isnan(row["sd"])
    section = section_of(results, board)
    assert "All runs found the same cell" not in text_of(section)
    assert not any("nan" in str(entry).lower() for entry in entries(section))


def test_a_method_without_a_result_keeps_its_row():
    results, board = hand_made({"a": [94.0, 93.0], "lost": [math.nan, math.nan]})
    table = statistics_tables.statistics_table(results, results.main, order(results))
    rows = {row[0].text: row for row in table.groups[0][1]}
    assert rows["lost"][1] == Entry("–", "0 of 2 runs", alarm=True)
    assert not any("nan" in str(entry).lower() for entry in entries(section_of(results, board)))


def test_verdicts_against_a_reference():
    def moved(*steps: float) -> list[float]:
        return [value + steps[place % len(steps)] for place, value in enumerate(BASE)]

    searches = {
        "base": BASE,
        "up": moved(1.0, 0.8),
        "down": moved(-1.0, -0.8),
        "near": moved(0.1),
        "same": BASE,
        "wild": moved(5.0, -3.0),
        "short": [value + 1 for value in BASE[:3]],
        "lost": [math.nan] * 10,
    }
    results, _ = hand_made(searches)
    data = versus(results, results.main, "base", order(results))
    assert data["verdict"].to_dict() == {
        "up": HIGHER, "down": LOWER, "near": INSIDE, "same": EQUAL, "wild": UNDECIDED, "short": TOO_FEW,
    }  # fmt: skip
    assert data.loc["up", "p_sign_flip"] == pytest.approx(2 / 2**10)
    assert data.loc["up", "p_adjusted"] >= data.loc["up", "p_sign_flip"]


def test_with_few_seeds_no_verdict_is_given():
    results, board = hand_made({"darts": [50.0, 51.0, 52.0], "good": [94.0, 94.0, 94.0]})
    assert set(versus(results, results.main, "darts", order(results))["verdict"]) == {TOO_FEW}
    assert "1 method against the reference, darts, on CIFAR-10 test: too few pairs: 1." in text_of(
        section_of(results, board)
    )


def test_without_a_common_seed_there_is_no_pair():
    results, _ = hand_made({"base": [50.0, math.nan], "other": [math.nan, 94.0]})
    data = versus(results, results.main, "base", order(results))
    assert data.loc["other", "verdict"] == NO_PAIR
    assert data.loc["other", "probability_of_improvement"] == 1.0
    table = statistics_tables.versus_table(results, results.main, "base", "reference", order(results))
    assert "training noise" not in table.caption  # nothing is known of it, and its section is not there
    assert [entry.text for entry in table.groups[0][1][0]][1:4] == [NO_PAIR, "1.00", "–"]


def test_absent_reference_and_absent_baseline_are_said():
    results, board = hand_made({"darts": [math.nan, math.nan], "good": [94.0, 93.0]})
    assert board.reference == "darts"
    text = text_of(section_of(results, board))
    assert "No comparison with the reference, darts: none of its runs has a result." in text
    assert "No multi-trial baseline has a result" in text
    board = board.model_copy(update={"reference": "good"})
    assert "No comparison with the reference, good: no other method has a result." in text_of(
        section_of(results, board)
    )


def test_the_best_baseline_is_the_one_of_the_highest_mean():
    results, board = hand_made({"darts": BASE}, {"random": BASE, "better": [value + 1 for value in BASE]})
    assert statistics_analysis.best_baseline(results) == "better"
    section = section_of(results, board)
    assert "2 methods against the best multi-trial baseline, better, on CIFAR-10 test: lower: 2." in text_of(section)
    table = next(block for block in section.blocks if isinstance(block, Table) and "baseline" in block.name)
    assert "for the choice of better by these runs" in table.caption
    names = {block.name for block in section.blocks if isinstance(block, Table)}
    assert {"versus-reference-cifar10-test", "versus-baseline-cifar10-test", "noise-floor", "aggregate"} <= names


def test_the_choice_of_the_best_baseline_is_paid_for():
    # Two baselines may have been the best: the comparisons with both count.
    a, b, c, d = np.random.default_rng(0).normal(90, 1, (4, 10)).tolist()
    results, _ = hand_made({"a": a, "b": b}, {"c": c, "d": d})
    best = statistics_analysis.best_baseline(results)
    baselines = statistics_analysis.baselines_with_result(results)
    assert set(baselines) == {"c", "d"}
    paid, unpaid = (versus(results, results.main, best, order(results), names) for names in (baselines, ()))
    assert (paid["p_adjusted"] >= unpaid["p_adjusted"]).all()
    assert (paid["p_adjusted"] > unpaid["p_adjusted"]).any()


def test_noise_floor_counts_close_pairs():
    results, _ = hand_made({"a": [94.0], "b": [93.9], "c": [93.75], "d": [50.0]})
    # a-b and b-c lie within 0.18, a-c does not.
    assert statistics_tables.noise_table(results).data.iloc[0].tolist() == ["CIFAR-10 test", 0.18, 6, 2]


def test_nothing_finished_gives_no_section():
    results, board = hand_made({"a": [math.nan, math.nan]})
    assert statistics.section(results, board, ["a"]) is None


def test_every_number_of_the_sentences_stands_in_a_table():
    results, board = hand_made({"darts": BASE, "up": [value + 1 for value in BASE]}, {"multi": BASE})
    section = section_of(results, board)
    tables = {block.name: block for block in section.blocks if isinstance(block, Table)}
    data = tables["versus-reference-cifar10-test"].data
    counts = data["verdict"].value_counts()
    assert f"{len(data)} methods" in text_of(section)
    assert all(f"{verdict}: {count}" in text_of(section) for verdict, count in counts.items())


# Over all data sets


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    searches = {"darts": (ALL_SKIP, 1.0), "drnas": (RESIDUAL, 0.9)}
    folder = tmp_path_factory.mktemp("six")
    board = Simulation(searches=searches, baselines=("random-search",), epochs=4, evaluations=4, columns=SIX).write(
        folder
    )
    return load_results(folder), board


def test_scores_are_aggregated_over_the_test_columns(six):
    results, _ = six
    columns = aggregate.aggregate_columns(results)
    assert [column.label for column in columns] == ["CIFAR-10 test", "CIFAR-100 test", "ImageNet16-120 test"]
    scored = aggregate.scores(results, order(results))
    own = results.finished[results.finished["variant"] == "drnas"]
    expected = [(own[column.key] - column.mean) / (column.best - column.mean) for column in columns]
    assert scored["drnas"] == pytest.approx(np.array(expected).T)
    row = aggregate.aggregate_data(scored).loc["drnas"]
    values = np.sort(np.ravel(expected))
    assert row["iqm"] == pytest.approx(values[2:-2].mean())
    assert row["optimality_gap"] == pytest.approx((1 - values).mean())
    assert row["n"] == 3


def test_runs_that_lack_a_column_are_left_out_of_the_aggregate(six):
    results, _ = six
    runs = results.runs.copy()
    runs.loc[runs.index[runs["variant"] == "darts"][0], "truth/cifar100/test"] = math.nan
    scored = aggregate.scores(replace(results, runs=runs), order(results))
    assert (len(scored["darts"]), len(scored["drnas"])) == (2, 3)


def test_profiles_count_the_runs_above(six):
    results, _ = six
    scored = aggregate.scores(results, order(results))
    profile = aggregate.profiles(scored)["drnas"]
    middle = profile.iloc[len(profile) // 2]
    assert middle["share"] == pytest.approx((scored["drnas"] > middle["threshold"]).mean())
    assert (
        profile["threshold"].iloc[0] < min(own.min() for own in scored.values()) or profile["threshold"].iloc[0] <= -1
    )


def test_other_columns_are_folded_and_the_figure_is_there(six):
    results, board = six
    section = section_of(results, board)
    folded = [block.blocks[0].name for block in section.blocks if isinstance(block, Folded)]
    assert len(folded) == 15
    assert len(set(folded)) == 15
    pictures = [picture for block in section.blocks if isinstance(block, Figures) for _, picture in block.pictures]
    assert [picture.name for picture in pictures] == ["performance-profiles"]
    assert "drnas" in pictures[0].svg


def test_a_truth_whose_best_is_its_mean_has_no_scores():
    results, board = hand_made({"darts": [90.0, 91.0]})
    flat = replace(results, columns=(replace(results.main, best=results.main.mean),))
    assert math.isnan(statistics_of(flat).loc["darts", "score"])
    assert not [block for block in section_of(flat, board).blocks if isinstance(block, Figures)]
