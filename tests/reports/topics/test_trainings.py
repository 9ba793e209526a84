"""The section on the noise of the accuracies themselves: three noises, the skip cell, and differences within them."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.results.folder import Results, load_results
from harness.settings.protocol import Board
from harness.space.cell import ALL_CONV3, ALL_SKIP, RESIDUAL
from harness.statistics.training_noise import UNKNOWN, WITHIN
from harness.truth.columns import spread_key
from reports.analysis import summary
from reports.analysis.statistics import INSIDE, TRAINING, versus
from reports.analysis.trainings import beside_highest, spreads
from reports.section import Figures, Folded, Section, Text
from reports.tables.cells import cells_table, landmarks_table
from reports.tables.table import Table
from reports.topics import trainings
from tests.reports.boards import SIX
from tests.reports.simulate import Simulation

TEST = "truth/cifar10/test"
SD, COUNT, ERROR, FREEDOM = (
    spread_key(name, TEST) for name in ("training_sd", "trainings", "training_error", "training_freedom")
)
SKIPS = (61.21, 39.13, 62.55)
"""The three trainings of the skip cell that NAS-Bench-201 has, percent."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Board]:
    """A board whose `darts` always ends in the skip cell, and whose truth has the benchmark's trainings of it."""
    searches = {"darts": (ALL_SKIP, 1.0), "conv": (ALL_CONV3, 1.0), "drnas": (RESIDUAL, 0.9)}
    folder = tmp_path_factory.mktemp("trainings")
    board = Simulation(
        searches=searches, baselines=("random-search",), epochs=4, evaluations=20, trainings=3, columns=(TEST, *SIX[2:])
    ).write(folder)
    results = load_results(folder)
    for table in (results.runs, results.landmarks):
        own = table["cell"] == str(ALL_SKIP)
        sd = np.std(SKIPS, ddof=1)
        table.loc[own, [TEST, SD, COUNT, ERROR, FREEDOM]] = [np.mean(SKIPS), sd, 3, sd / np.sqrt(3), 2]
    own = (results.trainings["cell_index"] == ALL_SKIP.index) & (results.trainings["column"] == TEST)
    results.trainings.loc[own, "accuracy"] = SKIPS
    return results, board


def order(results: Results) -> list[str]:
    return [str(name) for name in summary.comparison(results).index]


def section_of(results: Results, board: Board) -> Section:
    found = trainings.section(results, board, order(results))
    assert found is not None
    return found


def texts(section: Section) -> str:
    return " ".join(block.text for block in section.blocks if isinstance(block, Text))


def test_both_spreads_of_a_method_are_its_own(written: tuple[Results, Board]) -> None:
    results, _ = written
    table = spreads(results, results.main, order(results))
    darts = table.loc["darts"]
    assert (darts["n"], darts["cells"], darts["trainings"], darts["search_sd"]) == (3, 1, 3, 0)
    assert darts["training_sd"] == pytest.approx(np.std(SKIPS, ddof=1))
    assert darts["error"] == pytest.approx(np.std(SKIPS, ddof=1) / np.sqrt(3))
    own = results.finished[results.finished["variant"] == "random-search"]
    assert table.loc["random-search", "search_sd"] == pytest.approx(own[TEST].std())
    assert table.loc["random-search", "training_sd"] == pytest.approx(np.sqrt((own[SD] ** 2).mean()))
    assert table.loc["random-search", "trainings"] == 3 * own["cell_index"].nunique()


def test_the_skip_cell_is_the_example_with_the_published_row(written: tuple[Results, Board]) -> None:
    told = texts(section_of(*written))
    assert "its 3 trainings gave 61.21, 39.13 and 62.55 %: 54.30 ± 13.15." in told
    assert "Published is 54.30 ± 0.00 (DARTS, first order (a), DARTS, second order (a)" in told


def test_without_its_trainings_there_is_no_example(written: tuple[Results, Board]) -> None:
    results, board = written
    kept = results.trainings[results.trainings["cell_index"] != ALL_SKIP.index]
    assert "six skip connections" not in texts(section_of(replace(results, trainings=kept), board))


def test_an_accuracy_that_was_never_published_is_told_alone(written: tuple[Results, Board]) -> None:
    results, board = written
    rows = results.trainings.copy()
    rows.loc[(rows["cell_index"] == ALL_SKIP.index) & (rows["column"] == TEST), "accuracy"] += 1
    told = texts(section_of(replace(results, trainings=rows), board))
    assert "55.30 ± 13.15." in told
    assert "Published" not in told


def test_the_three_noises_stand_in_one_sentence(written: tuple[Results, Board]) -> None:
    results, board = written
    table = spreads(results, results.main, order(results)).dropna(subset=["search_sd", "training_sd"])
    told = texts(section_of(results, board))
    assert f"scatter by {table['search_sd'].median():.2f} points (median sd)" in told
    assert f"the cells they found by {table['training_sd'].median():.2f}, and cells that compute the same" in told
    assert "the same function by 0.18" in told
    wider = (table["training_sd"] > table["search_sd"]).sum()
    assert f"{wider} of {len(table)} methods with both spreads scatter more over trainings." in told


def test_every_number_of_the_sentences_stands_in_a_table(written: tuple[Results, Board]) -> None:
    results, board = written
    section = section_of(results, board)
    open_tables = [block for block in section.blocks if isinstance(block, Table)]
    folded = [table for block in section.blocks if isinstance(block, Folded) for table in block.blocks]
    spread = next(table for table in open_tables if table.name == "trainings-cifar10-test").data
    single = next(table for table in folded if isinstance(table, Table) and table.name == "trainings").data
    searches = spread[spread["kind"] != "landmark"].dropna(subset=["search_sd", "training_sd"])
    known = {f"{searches[name].median():.2f}" for name in ("search_sd", "training_sd")}
    known |= {f"{value:.2f}" for value in single["accuracy"]}
    skip = spread[spread["variant"] == "all skip"].iloc[0]
    known |= {f"{skip[name]:.2f}" for name in ("mean", "training_sd")} | {f"{skip['trainings']:.0f}"}
    known |= {str((searches["training_sd"] > searches["search_sd"]).sum()), str(len(searches))}
    known |= {str(spread["called"].eq(WITHIN).sum()), str(spread["allowed"].notna().sum())}
    known |= {f"{results.main.noise:.2f}", "0.00"}
    names = re.compile("|".join(map(re.escape, [results.main.label, *order(results)])))
    told = names.sub("", re.sub(r"\(DARTS.*?\):", "", texts(section)))
    assert set(re.findall(r"\d+(?:\.\d+)?", told)) <= known


def test_a_difference_within_training_noise_is_called_so(written: tuple[Results, Board]) -> None:
    results, board = written
    runs = results.runs.copy()
    runs.loc[runs["variant"] == "conv", TEST] = np.mean(SKIPS) + 20
    close = replace(results, runs=runs[runs["variant"].isin(["darts", "conv"])])
    # Of one cell each, both trained three times: 13.15 / sqrt(3) by t with 2 degrees of freedom allows some 33 points.
    row = beside_highest(close, close.main, order(close)).loc["darts"]
    assert row["gap"] == pytest.approx(20)
    assert 32 < row["allowed"] < 33
    assert row["called"] == WITHIN
    assert "the differences of 1 of 1 other methods from it are within training noise of the cells: darts." in texts(
        section_of(close, board)
    )
    tested = versus(close, close.main, "darts", order(close))
    assert tested is not None
    assert tested.loc["conv", "verdict"] == TRAINING
    assert tested.loc["conv", "training_noise"] == pytest.approx(row["allowed"])
    runs.loc[runs["variant"] == "conv", TEST] = np.mean(SKIPS) + 0.1
    tested = versus(close, close.main, "darts", order(close))
    assert tested is None or tested.loc["conv", "verdict"] in (INSIDE, TRAINING)


def test_means_alone_give_no_section(tmp_path) -> None:
    board = Simulation(searches={"darts": (ALL_SKIP, 1.0)}, baselines=(), seeds=(0,), epochs=1).write(tmp_path)
    results = load_results(tmp_path)
    assert trainings.section(results, board, ["darts"]) is None
    assert beside_highest(results, results.main, ["darts"]).empty
    assert all(entry.note == "" for row in cells_table(results).groups[0][1] for entry in row)


def test_with_means_alone_no_difference_is_called_small(written: tuple[Results, Board]) -> None:
    results, _ = written
    unknown = replace(results, runs=results.runs.assign(**{ERROR: np.nan, FREEDOM: np.nan}))
    assert set(beside_highest(unknown, unknown.main, order(unknown))["called"]) <= {UNKNOWN, WITHIN}
    assert beside_highest(unknown, unknown.main, order(unknown)).loc["darts", "called"] == UNKNOWN


def test_every_column_with_trainings_has_a_picture_and_a_table(written: tuple[Results, Board]) -> None:
    section = section_of(*written)
    pictures = [picture for block in section.blocks if isinstance(block, Figures) for _, picture in block.pictures]
    assert len(pictures) == 5
    assert "single training of a found cell" in pictures[0].svg
    assert "± 13.15" in pictures[0].svg
    assert "± 0.18 (noise floor)" in pictures[0].svg
    folded = [block for block in section.blocks if isinstance(block, Folded)]
    assert len(folded) == 5


def test_cells_carry_the_spread_of_their_trainings(written: tuple[Results, Board]) -> None:
    results, _ = written
    for table in (cells_table(results), landmarks_table(results)):
        notes = {entry.note for row in table.groups[0][1] for entry in row}
        assert "± 13.15, 3 trainings" in notes


def test_a_board_without_a_result_has_no_section(written: tuple[Results, Board]) -> None:
    results, board = written
    lost = replace(results, runs=results.runs.assign(**{TEST: np.nan}, status="failed"))
    assert trainings.section(lost, board, order(results)) is None
    assert isinstance(spreads(lost, lost.main, order(results)), pd.DataFrame)
