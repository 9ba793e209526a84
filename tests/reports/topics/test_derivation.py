import math
from dataclasses import replace

import pandas as pd
import pytest

from harness.results.folder import Results, load_results
from harness.search.derivation import CHEAP_RULES
from harness.settings.protocol import Board
from reports.analysis import derivation as derivation_analysis
from reports.analysis.derivation import DRAWS, OWN_RULE, RULES, by_rule, by_variant
from reports.section import Figures, Folded, Text
from reports.tables import table as tables
from reports.topics import derivation
from tests.reports.boards import TEST
from tests.reports.simulate import Simulation

NAN = math.nan


def truths(rows: dict[tuple[str, int], list[float]], rules: list[str]) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples(rows, names=["variant", "seed"])
    return pd.DataFrame(list(rows.values()), index=index, columns=pd.Index(rules, name="rule"))


EXAMPLE = truths(
    {
        ("a", 0): [90.0, 92.0, 70.0],
        ("a", 1): [60.0, 60.0, 90.0],
        ("a", 2): [70.0, NAN, 70.0],
        ("b", 0): [93.0, 90.0, 93.0],
        ("c", 0): [94.0, NAN, NAN],
    },
    [OWN_RULE, "argmax", "skip-cap-2"],
)


def rule(table: pd.DataFrame, name: str) -> pd.Series:
    return table.set_index("rule").loc[name]


def with_derived(results: Results, derived: dict[tuple[str, str], list[float]], draws=()) -> Results:
    """`derived`: (variant, rule) to the truth by seed; `draws`: (variant, seed, truth, count)."""
    rows = [
        {"variant": variant, "seed": seed, "kind": "search", "rule": name, "cell": "", TEST: value}
        for (variant, name), values in derived.items()
        for seed, value in enumerate(values)
    ]
    rows.append({"variant": "random-search", "seed": 0, "kind": "baseline", "rule": "best", "cell": "", TEST: 99.0})
    drawn = pd.DataFrame(list(draws), columns=["variant", "seed", TEST, "count"]).assign(kind="search")
    return replace(results, derived=pd.DataFrame(rows), draws=drawn)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> tuple[Results, Board]:
    folder = tmp_path_factory.mktemp("results")
    board = Simulation(seeds=(0, 1), epochs=3, evaluations=5).write(folder)
    return load_results(folder), board


def test_every_cheap_rule_of_the_harness_is_a_column_of_its_own() -> None:
    assert set(CHEAP_RULES) < set(RULES)


def test_truths_have_a_column_a_rule_and_the_expected_truth_of_a_draw(simulated) -> None:
    results, _ = simulated
    derived = {("a", "stage 1"): [1.0, 2.0], ("a", "argmax"): [50.0, 60.0], ("a", OWN_RULE): [90.0, 92.0]}
    results = with_derived(results, derived, [("a", 0, 80.0, 3), ("a", 0, 40.0, 1), ("a", 1, 90.0, 4)])
    table = derivation_analysis.truth_by_rule(results)
    assert list(table) == [OWN_RULE, "argmax", DRAWS, "stage 1"]
    assert table[DRAWS].tolist() == [70.0, 90.0]  # weighed by the counts; a plain mean would be 60
    assert "random-search" not in table.index.unique("variant")


def test_statistics_of_a_variant_are_paired_by_seed() -> None:
    table = by_variant(EXAMPLE).set_index(["variant", "rule"])
    row = table.loc[("a", "argmax")]
    assert (row["mean"], row["sd"], row["n"], row["pairs"]) == (76.0, pytest.approx(512**0.5), 2, 2)
    # Over the two seeds that have both; the means of all seeds differ by 76 - 73.33.
    assert row["difference"] == 1.0
    assert (row["better"], row["equal"], row["worse"]) == (1, 1, 0)
    assert ("c", "argmax") not in table.index
    assert math.isnan(table.loc[("b", "argmax"), "sd"])


def test_statistics_of_a_rule_pool_the_runs_of_all_variants() -> None:
    row = rule(by_rule(EXAMPLE, 80.0), "skip-cap-2")
    assert (row["variants"], row["pairs"]) == (2, 4)
    assert row["difference"] == pytest.approx((-20 + 30 + 0 + 0) / 4)
    assert row["low"] <= row["difference"] <= row["high"]
    assert (row["better"], row["equal"], row["worse"]) == (1, 2, 1)
    assert (row["collapsed"], row["rescued"]) == (2, 1)
    assert (row["sound"], row["ruined"]) == (2, 1)
    # Its only collapsed cell was collapsed before.
    assert rule(by_rule(EXAMPLE, 80.0), "argmax")[["rescued", "ruined"]].tolist() == [0, 0]
    assert rule(by_rule(EXAMPLE, 65.0), "skip-cap-2")[["collapsed", "sound"]].tolist() == [1, 3]


def test_the_highest_mean_counts_ties_and_leaves_out_variants_of_one_rule() -> None:
    table = by_rule(EXAMPLE, 80.0)
    # a: skip-cap-2 (76.67) over argmax (76); b: own rule and skip-cap-2 tie; c was read by one rule alone.
    assert table.set_index("rule")["highest"].to_dict() == {OWN_RULE: 1, "argmax": 0, "skip-cap-2": 2}


def test_an_expectation_neither_wins_nor_rescues() -> None:
    table = truths({("a", 0): [60.0, 95.0], ("a", 1): [61.0, 95.0]}, [OWN_RULE, DRAWS])
    row = rule(by_rule(table, 80.0), DRAWS)
    assert row["difference"] == 34.5
    assert row[["highest", "collapsed", "rescued", "sound", "ruined"]].isna().all()
    assert rule(by_rule(table, 80.0), OWN_RULE)["collapsed"] == 2


def test_on_a_column_of_low_accuracies_nothing_counts_as_collapsed(simulated) -> None:
    results, _ = simulated
    assert derivation_analysis.collapse_mark(results) == 80.0
    low = replace(results, columns=(replace(results.main, median=65.0),))
    assert derivation_analysis.collapse_mark(low) is None
    table = by_rule(EXAMPLE, None)
    assert table["rescued"].isna().all()
    assert "no sign of collapse" in " ".join(derivation.sentences(table))


def test_sentences_say_what_the_table_says() -> None:
    text = " ".join(derivation.sentences(by_rule(EXAMPLE, 80.0)))
    assert "the same 5 finished searches of 3 variants" in text
    assert "most often that of skip-cap-2: in 2 variants." in text
    assert "rises most with skip-cap-2, by +2.50 points" in text
    assert "better in 1, equal in 2, worse in 1 of 4 runs" in text
    assert "falls most with argmax, by -0.33 points" in text
    assert "Of the 2 runs whose own cell is below 80 %, skip-cap-2 lifts most above it, 1; it brings 1 of 2" in text


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ({("a", 0): [90.0, 91.0]}, "there is no collapse to rescue"),
        ({("a", 0): [60.0, 61.0], ("a", 1): [60.0, 60.0]}, "No rule lifts a run whose own cell is below 80 %"),
        ({("a", 0): [90.0, 91.0]}, "With one seed a variant"),
        ({("a", 0): [90.0, 90.0]}, "changes least with argmax, by 0.00 points"),
    ],
)
def test_sentences_of_small_boards(rows, expected) -> None:
    assert expected in " ".join(derivation.sentences(by_rule(truths(rows, [OWN_RULE, "argmax"]), 80.0)))


def test_tables_show_dashes_for_absent_rules_and_stress_what_is_within_the_noise_floor(simulated) -> None:
    results, board = simulated
    derived = {("a", OWN_RULE): [90.0, 92.0], ("a", "argmax"): [90.1, 92.1], ("a", "skip-cap-2"): [80.0, 81.0]}
    derived |= {("b", OWN_RULE): [93.0], ("a", "stage 1"): [91.0, 91.0]}
    results = with_derived(results, derived)
    section = derivation.section(results, board, ["b", "a"])
    assert section is not None
    found = {block.name: block for block in section.blocks if isinstance(block, tables.Table)}
    assert set(found) == {"derivation-rules", "derivation", "derivation-own"}
    assert found["derivation"].header == ["variant", "own rule", "argmax", "skip-cap-2"]
    rows = found["derivation"].groups[0][1]
    assert [[entry.text for entry in row] for row in rows] == [
        ["b", "93.00", "–", "–"],
        ["a", "91.00 ± 1.41", "91.10 ± 1.41", "80.50 ± 0.71"],
    ]
    assert [entry.bold for entry in rows[1]] == [False, True, True, False]
    (folded,) = (block for block in section.blocks if isinstance(block, Folded))
    differences = folded.blocks[0].groups[0][1]
    assert [(entry.text, entry.note) for entry in differences[1][2:]] == [("+0.10", "2/0/0"), ("-10.50", "0/0/2")]
    own = found["derivation-own"].groups[0][1]
    assert [entry.text for entry in own[0]] == ["a", "stage 1", "91.00 ± 0.00", "0.00"]
    assert own[0][3].note == "1/0/1"


def test_a_board_of_one_rule_has_a_table_and_no_figure(simulated) -> None:
    results, board = simulated
    section = derivation.section(with_derived(results, {("a", OWN_RULE): [90.0]}), board, ["a"])
    assert section is not None
    assert not [block for block in section.blocks if isinstance(block, Figures)]
    assert isinstance(section.blocks[0], Text)
    assert "No run was read by a second rule" in section.blocks[0].text


def test_without_a_search_that_has_a_cell_there_is_no_section(simulated) -> None:
    results, board = simulated
    baselines = results.derived[results.derived["kind"] == "baseline"]
    for derived in (baselines, results.derived.iloc[:0]):
        lost = replace(results, derived=derived, draws=results.draws.iloc[:0])
        assert derivation.section(lost, board, ["darts"]) is None


def test_the_figure_names_every_variant_and_rule_and_writes_the_means(simulated) -> None:
    section = derivation.section(*simulated, ["gdas", "darts", "drnas", "random-search"])
    assert section is not None
    (figures,) = (block for block in section.blocks if isinstance(block, Figures))
    (_, picture) = figures.pictures[0]
    table = next(block for block in section.blocks if isinstance(block, tables.Table) and block.name == "derivation")
    means = table.data.loc[table.data["rule"] == "argmax", "mean"]
    for text in ("gdas", "argmax", "mean of draws", "n = 2", *(f"{mean:.2f}" for mean in means)):
        assert f">{text}<" in picture.svg
