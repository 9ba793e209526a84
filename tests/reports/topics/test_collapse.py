"""The collapse section: its data frames against hand-made runs, its sentences, and boards with next to nothing."""

import dataclasses
import math

import pytest

from harness.results.folder import Results, TruthColumn, load_results
from harness.space.cell import ALL_SKIP, OPERATIONS, RESIDUAL, SKIP
from reports.analysis import collapse_rates, predictors, repairs, summary
from reports.analysis.end_values import end_values
from reports.drawing.picture import Picture
from reports.section import Figures, Folded, Text
from reports.tables.repairs import repairs_tables
from reports.tables.table import Table
from reports.topics import collapse
from tests.reports.simulate import Simulation

MAIN = "truth/cifar10/test"
COLUMN = TruthColumn(MAIN, "CIFAR-10 test", 200, 87.0, 12.9, 90.7, 94.37, str(RESIDUAL), ())


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    """Two searches and a baseline of three seeds; a search without a result."""
    folder = tmp_path_factory.mktemp("results")
    searches = {"darts": (ALL_SKIP, 1.0), "other": (RESIDUAL, 1.0)}
    lost = {("other", 2): ("failed", "out of memory")}
    Simulation(searches=searches, baselines=("random-search",), epochs=12, evaluations=4, lost=lost).write(folder)
    return load_results(folder)


def test_end_values_are_the_last_measured_ones_of_finished_searches_and_of_the_cell_they_return(results):
    epochs = results.epochs.copy()
    own = (epochs["variant"] == "darts") & (epochs["seed"] == 0)
    epochs.loc[own, "hessian_largest"] = [1.0, 2.0, -3.0, *[math.nan] * 9]
    epochs.loc[own, "flips"] = [math.nan, *[1.0] * 9, 2.0, 3.0]
    epochs.loc[own, "layer_alignment"] = math.nan
    epochs.loc[own, ["parameters", "count_skip_connect"]] = 2e6, 6
    runs = results.runs.copy()
    returned = (runs["variant"] == "darts") & (runs["seed"] == 0)
    runs.loc[returned, ["parameters", "count_skip_connect"]] = 3e6, 4
    values = end_values(dataclasses.replace(results, epochs=epochs.iloc[::-1], runs=runs))
    assert set(values.index) == {("darts", 0), ("darts", 1), ("darts", 2), ("other", 0), ("other", 1)}
    first = values.loc[("darts", 0)]
    assert first["hessian_largest"] == -3.0
    assert first["flips"] == 5.0  # the last 2 of 12 epochs
    assert math.isnan(first["layer_alignment"])
    assert first["parameters"] == 3.0
    assert first["count_skip_connect"] == 4.0
    assert first[MAIN] == results.runs.set_index(["variant", "seed"]).loc[("darts", 0), MAIN]


def test_repair_tables_say_how_many_pairs_an_entry_has(results):
    values = end_values(results)
    values.loc[("other", 0), "margin"] = math.nan
    found = repairs.differences(values, "darts", ["other"], ["entropy", "margin"])
    (table,) = repairs_tables(found, values[["entropy", "margin"]].reindex(columns=values.columns), "darts", COLUMN)
    (reference,), (row,) = (rows for _, rows in table.groups)
    assert [entry.text for entry in reference[:2]] == ["darts", "3"]
    assert [entry.text for entry in row[:2]] == ["other", "2"]
    assert "n = " not in row[2].note
    assert row[3].note == "n = 1"


def test_of_many_eigenvalues_only_the_last_of_each_run_are_drawn(results, monkeypatch):
    every = predictors.measured_eigenvalues(results)
    assert every.groupby(["variant", "seed"])["last"].sum().eq(1).all()
    assert len(every) > every["last"].sum()
    monkeypatch.setattr(predictors, "MOST_POINTS", len(every) - 1)
    last = predictors.measured_eigenvalues(results)
    assert last["last"].all() and (last["epoch"] == 12).all()


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


def test_a_space_without_skips_is_told_nothing_of_them(results):
    assert "skip edges" in texts(made(results))
    others = [operation for operation in OPERATIONS if operation != SKIP]
    without = dataclasses.replace(results, provenance={**results.provenance, "operations": others})
    assert "skip edges" not in texts(made(without))


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
