import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.results.folder import Results, load_results
from harness.settings.protocol import Board
from harness.space.cell import CONV1, CONV3, POOL, SKIP, Cell
from harness.truth.training_time import MODEL_EPOCHS, model_seconds
from reports.analysis import frontier as frontier_analysis
from reports.figures.frontier import frontier as draw_frontier
from reports.section import Figures, Section, Text
from reports.tables import table as tables
from reports.topics import frontier
from tests.reports.analysis.test_frontier import medians
from tests.reports.boards import TEST
from tests.reports.simulate import Simulation

NAN = math.nan


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> tuple[Results, Board]:
    folder = tmp_path_factory.mktemp("results")
    baselines = ("random-search", "regularized-evolution", "reinforce")
    board = Simulation(seeds=(0, 1), epochs=4, evaluations=5, baselines=baselines, without_alpha=("gdas",)).write(
        folder
    )
    return load_results(folder), board


@pytest.fixture(scope="module")
def built(simulated) -> Section:
    section = frontier.section(*simulated, ["drnas", "gdas", "darts", "reinforce"])
    assert section is not None
    return section


def test_the_price_of_an_image_is_that_of_the_model_of_training_times() -> None:
    # The model is linear, so the mean over all cells is the price of the average cell, in each of which an operation
    # stands on 6/5 of the edges.
    average = model_seconds("cifar10", MODEL_EPOCHS).mean() / (MODEL_EPOCHS * 50_000)
    assert frontier_analysis.image_seconds(6 / 5) == pytest.approx(average)
    times = model_seconds("cifar10", MODEL_EPOCHS)
    alone = sum(times[Cell((operation,) * 6).index] for operation in (SKIP, CONV1, CONV3, POOL))
    none = times[Cell(("none",) * 6).index]
    assert frontier_analysis.pass_seconds(64) == pytest.approx(64 * (alone - 3 * none) / (MODEL_EPOCHS * 50_000))
    assert frontier_analysis.epoch_seconds() == pytest.approx(model_seconds("cifar10-valid", 1).mean())


def test_searches_are_charged_their_passes_and_baselines_what_the_records_charge(simulated) -> None:
    results, board = simulated
    runs = frontier_analysis.finished_runs(results, board).set_index(["variant", "seed"])
    search, baseline = runs.loc[("darts", 0)], runs.loc[("reinforce", 1)]
    record = results.runs.set_index(["variant", "seed"]).loc[("darts", 0)]
    passes = record["forward_backward_passes"]
    assert search["charged"] == pytest.approx(passes * frontier_analysis.pass_seconds(board.chosen.batch_size))
    assert search["measured"] == record["seconds"]
    own = results.epochs[(results.epochs["variant"] == "reinforce") & (results.epochs["seed"] == 1)]
    assert baseline["charged"] == baseline["measured"] == own["cost_seconds"].iloc[-1]


def test_runs_of_unknown_cost_or_without_a_result_are_left_out(simulated) -> None:
    results, board = simulated
    runs = results.runs.copy()
    runs.loc[(runs["variant"] == "darts") & (runs["seed"] == 0), "forward_backward_passes"] = 0.0
    runs.loc[(runs["variant"] == "drnas") & (runs["seed"] == 1), "status"] = "failed"
    left = frontier_analysis.finished_runs(replace(results, runs=runs), board)
    assert len(left) == len(runs) - 2
    epochs = results.epochs.assign(cost_seconds=NAN)
    assert set(frontier_analysis.finished_runs(replace(results, epochs=epochs), board)["kind"]) == {"search"}


def test_a_search_answers_with_its_argmax_cell_and_in_the_end_with_the_cell_it_returns(simulated) -> None:
    results, board = simulated
    epochs = results.epochs.copy()
    epochs.loc[epochs["variant"] == "gdas", TEST] = NAN
    runs = frontier_analysis.finished_runs(results, board)
    runs.loc[runs["variant"] == "darts", "truth"] = 12.0
    found = frontier_analysis.answers(replace(results, epochs=epochs), runs)
    darts = found["darts"][found["darts"]["seed"] == 0]
    own = epochs[(epochs["variant"] == "darts") & (epochs["seed"] == 0)]
    assert darts["share"].tolist() == [0.25, 0.5, 0.75, 1.0]
    assert darts["truth"].tolist() == [*own[TEST].iloc[:3], 12.0]
    assert found["gdas"]["share"].tolist() == [1.0, 1.0]
    baseline = found["reinforce"][found["reinforce"]["seed"] == 0]
    paid = epochs[(epochs["variant"] == "reinforce") & (epochs["seed"] == 0)]["cost_seconds"]
    np.testing.assert_allclose(baseline["share"] * baseline["charged"], paid)


def test_the_table_groups_by_strategy_and_says_what_is_dominated(built) -> None:
    table = next(block for block in built.blocks if isinstance(block, tables.Table) and block.name == "frontier")
    headings = {heading: [row[0].text for row in rows] for heading, rows in table.groups}
    assert headings == {
        "Gradient": ["drnas", "gdas", "darts"], "Reinforcement learning": ["reinforce"],
        "Evolution": ["regularized-evolution"], "Random": ["random-search"],
    }  # fmt: skip
    data = table.data.set_index("variant")
    for _, rows in table.groups:
        for row in rows:
            by = data.at[row[0].text, "charged_dominated_by"]
            assert (row[5].text, row[5].note) == (("below", by) if by else ("on it", ""))
            assert (row[4].text == "–") == (data.at[row[0].text, "kind"] == "baseline")
    on_it = data.index[data["charged_dominated_by"] == ""]
    text = " ".join(block.text for block in built.blocks if isinstance(block, Text))
    assert f"By charged cost {len(on_it)} of 6 variants" in text
    assert all(f"{variant} ({data.at[variant, 'truth']:.2f} %" in text for variant in on_it)


def test_sentences_count_searches_above_the_baselines_of_equal_cost() -> None:
    table = medians({"x": (100, 90), "y": (100, 70), "z": (1, 60), "base": (300, 92)})
    table = table.assign(
        kind=["search"] * 3 + ["baseline"], measured=table["charged"], measured_dominated_by="",
        charged_dominated_by=["", "x", "", ""], equal_cost_truth=[80, 80, NAN, NAN],
    )  # fmt: skip
    text = " ".join(frontier.frontier_sentences(table))
    assert "from the cheapest: z (60.00 %, 1 s), x (90.00 %, 100 s), base (92.00 %, 300 s)." in text
    assert "Of 2 search variants that cost as much as a baseline's first cell or more, 1 is above" in text
    assert "1 search variant ends before any baseline has paid for one cell" in text


def test_of_many_variants_on_the_frontier_a_few_are_named() -> None:
    table = medians({f"v{number}": (100 + number, 90 + number) for number in range(8)})
    table = table.assign(
        kind="search", measured=table["charged"], measured_dominated_by="", charged_dominated_by="",
        equal_cost_truth=NAN,
    )  # fmt: skip
    text = " ".join(frontier.frontier_sentences(table))
    assert "By charged cost 8 of 8 variants are on the frontier, from the cheapest: v0 (90.00 %, 100 s), " in text
    assert "v5 (95.00 %, 105 s) and 2 more." in text


def test_variants_at_one_point_share_a_name(simulated) -> None:
    results, _ = simulated
    spread = ["charged_low", "charged_high", "truth_low", "truth_high"]
    table = medians({f"v{number}": (100, 93.0) for number in range(5)} | {"other": (20, 90.0)})
    table = table.assign(kind="search", strategy="gradient", charged_dominated_by="")
    table[spread] = table[["charged", "charged", "truth", "truth"]].to_numpy()
    drawn = draw_frontier(table, "charged", results.main, "v0", 10.0)
    assert [text.get_text() for text in drawn.axes[0].texts] == ["other", "v0, v1, v2 and 2 more"]


def test_a_smaller_network_than_the_benchmarks_is_named_and_its_own_is_not(simulated) -> None:
    results, board = simulated
    prices = frontier_analysis.price_data(board, results)
    table = frontier_analysis.points(frontier_analysis.finished_runs(results, board), [])
    assert "(16 × 16 pixels, 8 channels, 1 cell a stage, instead of 32 × 32 pixels, 16 channels, 5 cells a stage)" in (
        " ".join(frontier.price_sentences(prices, table, board))
    )
    protocol = board.chosen
    full = protocol.model_copy(
        update={
            "data": protocol.data.model_copy(update={"image_size": 32}),
            "network": protocol.network.model_copy(update={"channels": 16, "cells_per_stage": 5}),
        }
    )
    same = board.model_copy(update={"protocols": {board.protocol: full}})
    assert "another network" not in " ".join(frontier.price_sentences(prices, table, same))


def test_prices_tell_what_is_modelled_and_what_the_records_charge(simulated) -> None:
    results, board = simulated
    rows = [("x", 0, "baseline", 1, 10.0), ("x", 0, "baseline", 2, 110.0), ("x", 1, "baseline", 1, 30.0)]
    epochs = pd.DataFrame(rows, columns=["variant", "seed", "kind", "epoch", "cost_seconds"])
    prices = frontier_analysis.price_data(board, replace(results, epochs=epochs)).set_index("source")["seconds"]
    assert prices["by the records"] == 30.0  # of 10, 100 and 30: a run's first cell costs too
    assert prices["modelled"].tolist() == [frontier_analysis.pass_seconds(32), frontier_analysis.epoch_seconds()]


def test_the_notes_of_the_baselines_are_repeated_once(simulated) -> None:
    results, _ = simulated
    assert frontier.baseline_notes(results) == ""
    noted = replace(results, runs=results.runs.assign(notes="searched by x; charged the table's training times"))
    assert frontier.baseline_notes(noted) == "The baselines searched by x; charged the table's training times."
    noted.runs.loc[noted.runs["variant"] == "reinforce", "notes"] = "searched by x; where it asks, by y"
    assert frontier.baseline_notes(noted).count("searched by x") == 1


def test_figures_name_the_frontier_and_the_reference(built) -> None:
    figures = [block for block in built.blocks if isinstance(block, Figures)]
    pictures = {picture.name: picture.svg for block in figures for _, picture in block.pictures}
    assert list(pictures) == ["frontier-charged", "frontier-measured", "anytime-charged", "anytime-measured"]
    table = next(block for block in built.blocks if isinstance(block, tables.Table) and block.name == "frontier").data
    for cost in frontier_analysis.COSTS:
        for variant in ["darts", *table.loc[table[f"{cost}_dominated_by"] == "", "variant"]]:
            assert f">{variant}<" in pictures[f"frontier-{cost}"]
    # The upper axis counts in the charged unit.
    assert "epochs of training" in pictures["frontier-charged"]
    assert "epochs of training" not in pictures["frontier-measured"]


@pytest.mark.parametrize("kind", ["search", "baseline"])
def test_a_board_of_one_kind_and_one_run_renders(simulated, kind) -> None:
    results, board = simulated
    one = results.runs[(results.runs["kind"] == kind) & (results.runs["seed"] == 0)].iloc[:1]
    section = frontier.section(replace(results, runs=one), board, list(one["variant"]))
    assert section is not None
    table = next(block for block in section.blocks if isinstance(block, tables.Table) and block.name == "frontier")
    assert table.groups[0][1][0][1].text == "1"
    assert "By charged cost 1 of 1 variant is on the frontier" in " ".join(
        block.text for block in section.blocks if isinstance(block, Text)
    )


def test_without_a_finished_run_there_is_no_section(simulated) -> None:
    results, board = simulated
    lost = replace(results, runs=results.runs.assign(status="failed"))
    assert frontier.section(lost, board, []) is None
