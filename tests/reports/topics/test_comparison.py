import math
from dataclasses import replace

import numpy as np
import pytest

from harness.results.folder import Results, load_results
from harness.space.cell import ALL_SKIP
from harness.statistics.step_down import step_down_sign_flips
from reports.analysis import summary
from reports.analysis.comparison import BEST, TIED, against_best
from reports.section import Folded, Section, Text
from reports.tables import comparison as comparison_tables
from reports.tables.table import Entry, Table
from reports.topics import comparison
from tests.reports.boards import SIX, TEST, hand_made
from tests.reports.simulate import Simulation

HIGH = [94.0, 93.5, 94.5, 94.0, 93.0, 94.2, 93.9, 94.1]


def shifted(by: list[float]) -> list[float]:
    return [value + step for value, step in zip(HIGH, by, strict=True)]


ORDERLY = [-1.0, -1.2, -0.9, -1.1, -1.0, -0.8, -1.3, -1.0]
NOISY = [-5.0, 3.0, -5.0, 3.0, -4.0, 2.5, -4.0, 2.0]


@pytest.fixture
def board():
    searches = {"worse": shifted(ORDERLY), "noisy": shifted(NOISY), "near": shifted([-0.1] * 8)}
    return hand_made(searches, {"multi": HIGH})


def order(results: Results) -> list[str]:
    return list(summary.comparison(results).index)


def table_of(results: Results) -> Table:
    return comparison_tables.main_table(results, order(results))


def rows_of(table: Table) -> dict[str, list[Entry]]:
    return {row[0].text: row for _, rows in table.groups for row in rows}


def texts(section: Section) -> str:
    return " ".join(block.text for block in section.blocks if isinstance(block, Text))


def test_marks_follow_the_rule(board):
    results, _ = board
    marks = against_best(results, results.main)
    # The best stands in no group of its own: a baseline may be best.
    assert marks["mark"].to_dict() == {"worse": "", "noisy": TIED, "near": TIED, "multi": BEST}
    assert marks["gap"].to_dict() == pytest.approx({"worse": 1.0375, "noisy": 0.9375, "near": 0.1, "multi": 0.0})
    assert marks.loc["worse", "best_pairs"] == 8


def test_p_values_are_those_of_every_pair_of_methods(board):
    results, _ = board
    p_values = against_best(results, results.main)["best_p"]
    runs = {"multi": HIGH, "worse": shifted(ORDERLY), "noisy": shifted(NOISY), "near": shifted([-0.1] * 8)}
    pairs = [(first, second) for place, first in enumerate(runs) for second in list(runs)[place + 1 :]]
    differences = np.column_stack([np.subtract(runs[first], runs[second]) for first, second in pairs])
    expected = step_down_sign_flips(differences.round(9))
    assert p_values.drop("multi").to_dict() == pytest.approx(
        {second: expected[place] for place, (first, second) in enumerate(pairs) if first == "multi"}
    )
    # All eight differences agree in sign for two methods.
    assert p_values["worse"] == p_values["near"] == 2 / 2**8
    assert math.isnan(p_values["multi"])


def test_best_is_bold_and_ties_carry_the_sign(board):
    rows = rows_of(table_of(board[0]))
    assert [row[2].bold for row in rows.values()] == [name == "multi" for name in rows]
    signs = {name for name, row in rows.items() if row[2].text.endswith("†")}
    assert signs == {"noisy", "near"}
    assert rows["worse"][1].text == "8 of 8"
    assert rows["worse"][2].note == ""


def test_caption_states_the_rule(board):
    caption = table_of(board[0]).caption
    for part in ("Bold: highest mean", "adjusted for all methods", "p ≥ 0.05", "0.18 on CIFAR-10 test", "ddof 1"):
        assert part in caption


def test_equal_means_are_both_best():
    results, _ = hand_made({"a": HIGH, "b": HIGH[::-1]})
    assert set(against_best(results, results.main)["mark"]) == {BEST}


def test_a_method_that_is_higher_in_its_pairs_is_not_marked_down():
    # The best owes its mean to seeds that the other lacks; on the common ones it is lower every time.
    results, _ = hand_made({"best": [90.0] * 8 + [94.0] * 12, "short": [91.0 + seed / 10 for seed in range(8)]})
    marks = against_best(results, results.main)
    assert marks.loc["short", "gap"] > 0.18
    assert marks.loc["short", "best_p"] < 0.05
    assert marks.loc["short", "mark"] == TIED


def test_without_a_common_seed_nothing_is_told():
    results, _ = hand_made({"best": [94.0] * 4, "other": [math.nan] * 4 + [50.0] * 4})
    marks = against_best(results, results.main)
    assert marks.loc["other", ["mark", "best_pairs"]].tolist() == [TIED, 0]
    assert math.isnan(marks.loc["other", "best_p"])


def test_too_few_seeds_are_said(board):
    results, _ = hand_made({"a": HIGH[:3], "b": [50.0, 51.0, 52.0], "c": [50.0, 51.0, 53.0]})
    table = table_of(results)
    sentence = comparison.too_few_pairs(results, table.data)
    assert "on CIFAR-10 test a method shares at most 3 seeds" in sentence
    assert "6 would be needed before a comparison can reach p < 0.05" in sentence
    assert {row[2].text[-1] for name, row in rows_of(table).items() if name in "bc"} == {"†"}
    # Six pairs can speak, however many methods there are.
    results, _ = hand_made({"a": HIGH[:6], "b": [50.0] * 6, "c": [51.0] * 6})
    assert comparison.too_few_pairs(results, table_of(results).data) == ""
    assert comparison.too_few_pairs(board[0], table_of(board[0]).data) == ""


@pytest.mark.parametrize(
    ("strategy", "heading"),
    [
        ("gradient", "Differentiable"),
        ("random", "Weight-sharing controls"),
        ("reinforcement learning", "Weight-sharing controls"),
        (None, "Searches"),
    ],
)
def test_searches_are_grouped_by_strategy(board, strategy, heading):
    results, _ = board
    results.runs.loc[results.runs["variant"] == "noisy", "strategy"] = strategy
    groups = {name: [row[0].text for row in rows] for name, rows in table_of(results).groups}
    assert "noisy" in groups[heading]
    assert groups["Multi-trial"] == ["multi"]
    assert "all skip" in groups["No search"]
    assert groups["No search"][-1] == "random cell"


def test_cost_is_search_time_or_charged_time(board):
    results, _ = board
    results.runs.loc[results.runs["variant"] == "near", "seconds"] = [10.0, 20.0] * 4
    rows = rows_of(table_of(results))
    assert rows["near"][-1] == Entry("15 ± 5", "search")
    results.epochs["cost_seconds"] *= 100
    # 100 seconds and one more a seed, a hundredfold: mean 10,350, sd 245.
    assert rows_of(table_of(results))["multi"][-1] == Entry("10,350 ± 245", "charged")
    assert rows["random cell"][-1].text == "–"


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    folder = tmp_path_factory.mktemp("six")
    board = Simulation(searches={"darts": (ALL_SKIP, 1.0)}, baselines=(), epochs=1, columns=SIX).write(folder)
    return load_results(folder), board


def test_six_columns_stand_in_the_order_of_the_papers(six):
    results, _ = six
    table = table_of(results)
    assert table.blocks == [("", 2), ("CIFAR-10", 2), ("CIFAR-100", 2), ("ImageNet16-120", 2), ("cost", 1)]
    assert table.header[2:8] == ["valid", "test"] * 3
    truth = results.landmarks.set_index("name").loc["all skip"]
    assert [entry.text for entry in rows_of(table)["all skip"][2:8]] == [f"{truth[column]:.2f}" for column in SIX]


def test_missing_columns_and_lost_runs_are_named():
    results, board = hand_made({"a": [94.0, math.nan], "b": [93.0, 93.0]})
    section = comparison.section(results, board, order(results))
    assert "The truth source has no accuracies for: CIFAR-10 valid, CIFAR-100 valid" in texts(section)
    assert rows_of(section.blocks[0])["a"][1] == Entry("1 of 2", "1 failed", alarm=True)


def test_n_stands_beside_a_mean_where_cells_are_missing():
    results, _ = hand_made({"a": HIGH, "b": HIGH[::-1]})
    results.runs.loc[results.runs.index[results.runs["variant"] == "a"][:2], TEST] = math.nan
    rows = rows_of(table_of(results))
    assert (rows["a"][1].text, rows["a"][2].note) == ("8 of 8", "n = 6")
    assert rows["b"][2].note == ""


def test_one_run_and_no_run_at_all_have_a_table():
    results, board = hand_made({"a": [94.0]})
    section = comparison.section(results, board, ["a"])
    assert rows_of(section.blocks[0])["a"][2] == Entry("94.00", bold=True)
    results, board = hand_made({"a": [math.nan]})
    section = comparison.section(results, board, ["a"])
    assert rows_of(section.blocks[0])["a"][2].text == "–"
    assert "nan" not in str([row for _, rows in section.blocks[0].groups for row in rows])


# Beside published


def published(protocol: str) -> tuple[Results, Section]:
    results, board = hand_made({"darts": [54.3, 54.3, 70.9], "new": [94.0, 93.0, 92.0]}, {"random-search": HIGH[:3]})
    results = replace(results, provenance=results.provenance | {"protocol": protocol})
    return results, comparison.section(results, board, order(results))


def published_table(section: Section) -> Table:
    return next(block for block in section.blocks if isinstance(block, Table) and block.name == "published")


def test_our_row_stands_above_the_published_ones_of_the_method():
    _, section = published("quick")
    groups = dict(published_table(section).groups)
    assert set(groups) == {"darts", "random-search"}
    ours, *theirs = groups["darts"]
    assert [entry.text for entry in ours[:6]] == ["this board", "quick", "simulated", "measured here", "3", "1"]
    assert ours[6].text == "59.83 ± 9.58"
    by_protocol = {row[1].text: row for row in theirs}
    assert by_protocol["NAS-Bench-201 paper"][6].text == "54.30 ± 0.00"
    nats = by_protocol["NATS-Bench, search on each data set"]
    assert [entry.text for entry in nats[3:]] == ["from memory, not verified", "3", "0", "59.84 ± 7.84"]


def test_published_methods_that_we_do_not_run_are_folded():
    _, section = published("quick")
    folded = next(block for block in section.blocks if isinstance(block, Folded))
    table = folded.blocks[0]
    assert f"({len(table.groups[0][1])})" in folded.summary
    methods = {row[0].text for row in table.groups[0][1]}
    # pc-darts is a variant of the project, but not of this board.
    assert {"iDARTS", "PC-DARTS"} <= methods
    assert not {"DARTS, first order (a)", "random search"} & methods


def test_protocols_are_said_to_differ_where_they_do():
    assert "No published row was made under it" in texts(published("quick")[1])
    text = texts(published("nas-bench-201")[1])
    assert "It follows that of the NAS-Bench-201 paper, as far as its paper states it. 2 other protocols" in text


def test_published_accuracies_stand_in_their_columns(six):
    results, board = six
    table = published_table(comparison.section(results, board, order(results)))
    assert table.header[6:] == [column.label for column in summary.paper_order(results)]
    row = next(row for row in dict(table.groups)["darts"] if row[0].text == "DARTS, first order (a)")
    assert [entry.text.split()[0] for entry in row[6:]] == ["39.77", "54.30", "15.03", "15.61", "16.43", "16.32"]
    assert {"mean", "sd", "ddof", "seeds", "protocol", "source", "verified"} <= set(table.data.columns)


def test_without_a_published_method_all_rows_are_folded():
    results, board = hand_made({"new": [94.0]})
    blocks = comparison.published_blocks(results, board, ["new"])
    assert [type(block) for block in blocks] == [Folded]


def test_csv_holds_what_the_table_shows(board):
    data = table_of(board[0]).data.set_index("variant")
    assert data.loc["noisy", f"{TEST}/mark"] == TIED
    assert data.loc["noisy", "group"] == "Differentiable"
    assert data.loc["random cell", f"{TEST}/n"] == 15_625
