"""What the derived cells cost on a device, beside the front of all cells."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.results.folder import CostColumn, Results
from harness.space.cell import ALL_CONV3, ALL_SKIP, Cell
from reports.analysis import landscape
from reports.section import Figures, Text
from reports.tables.table import Table
from reports.topics import cells
from tests.reports.boards import TEST, hand_made

COST = CostColumn("cost/latency", "latency on a phone", "ms")


@pytest.fixture(scope="module")
def priced() -> tuple[Results, object]:
    """A board whose cells cost as much as they have parameters (M) and 1 ms more.

    Of pc-darts two runs end in the best cell of all, of darts one in six skips, though its argmax is another.
    """
    results, board = hand_made({"darts": [0.0], "pc-darts": [0.0, 0.0]})
    space = results.space.assign(**{COST.key: 1 + results.space["parameters"] / 1e6}).set_index("cell")
    best = str(space[TEST].idxmax())
    ends = [("darts", 0, ALL_SKIP), ("pc-darts", 0, Cell.from_string(best)), ("pc-darts", 1, Cell.from_string(best))]
    derived = [(*end, rule) for end in ends for rule in ("variant", "argmax")]
    derived[1] = ("darts", 0, ALL_CONV3, "argmax")
    table = pd.DataFrame(derived, columns=["variant", "seed", "cell", "rule"]).assign(kind="search")
    table["cell"] = table["cell"].map(str)
    table = table.join(space[[COST.key, TEST]], on="cell")
    returned = table.query("rule == 'variant'")[["variant", "seed", "cell", TEST, COST.key]]
    runs = results.runs.drop(columns=["cell", TEST]).merge(returned, on=["variant", "seed"], how="left")
    return replace(results, runs=runs, derived=table, space=space.reset_index(), costs=(COST,)), board


def test_each_derived_cell_stands_at_its_cost_and_truth(priced) -> None:
    results, _ = priced
    found = landscape.derived_costs(results, COST)
    assert found[["variant", "rule", "own"]].to_numpy().tolist() == [
        ["darts", "variant", True],
        ["darts", "argmax", False],
        *[["pc-darts", rule, True] for rule in ("variant", "argmax")] * 2,
    ]
    space = results.space.set_index("cell")
    skip = space.loc[str(ALL_SKIP)]
    assert found["cost"].iloc[0] == skip[COST.key]
    cheaper = space.loc[space[COST.key] <= skip[COST.key], TEST]
    assert found["below"].iloc[0] == pytest.approx(cheaper.max() - skip[TEST])
    assert found["below"].iloc[2:].tolist() == [0.0] * 4


def test_no_cell_is_above_the_front(priced) -> None:
    results, _ = priced
    front = landscape.front(results, COST)
    assert front[COST.key].is_monotonic_increasing
    assert front[TEST].is_monotonic_increasing
    assert front[TEST].max() == results.space[TEST].max()
    for _, cell in results.space.sample(40, random_state=0).iterrows():
        assert front.loc[front[COST.key] <= cell[COST.key], TEST].max() >= cell[TEST]


def test_the_section_has_the_picture_and_its_numbers(priced) -> None:
    results, board = priced
    blocks = cells.section(results, board, ["pc-darts", "darts"]).blocks
    [figures] = [block for block in blocks if isinstance(block, Figures)]
    [(_, picture)] = figures.pictures
    assert picture.name == "pareto"
    for text in ("latency on a phone (ms)", "front of all cells", "pc-darts", "cell of a search", "by another rule"):
        assert text in picture.svg
    assert len(picture.svg) < 300_000
    [table] = [block for block in blocks if isinstance(block, Table)]
    assert table.data[["variant", "n"]].to_numpy().tolist() == [["pc-darts", 2], ["darts", 1]]
    [said] = [block.text for block in blocks if isinstance(block, Text) and "front" in block.text]
    assert "Of 3 runs with a cell of known cost 2 ended as well as any cell that costs no more" in said


def test_of_runs_whose_own_cells_have_no_known_cost_nothing_is_said(priced) -> None:
    results, board = priced
    other = (results.derived["variant"] == "darts") & (results.derived["rule"] == "argmax")
    derived = results.derived.assign(**{COST.key: results.derived[COST.key].where(other)})
    blocks = cells.section(replace(results, derived=derived), board, ["darts", "pc-darts"]).blocks
    [said] = [block.text for block in blocks if isinstance(block, Text) and "front" in block.text]
    assert said.endswith("No run ended in a cell of known cost.")
    assert not [block for block in blocks if isinstance(block, Table)]
    [figures] = [block for block in blocks if isinstance(block, Figures)]
    assert "by another rule" in figures.pictures[0][1].svg


def test_a_board_without_costs_speaks_of_none(priced) -> None:
    results, board = priced
    blocks = cells.section(replace(results, costs=()), board, ["darts", "pc-darts"]).blocks
    assert not [block for block in blocks if isinstance(block, Figures)]


def test_costs_that_no_derived_cell_has_are_told(priced) -> None:
    results, board = priced
    nothing = results.derived.assign(**{COST.key: np.nan})
    blocks = cells.section(replace(results, derived=nothing), board, ["darts", "pc-darts"]).blocks
    assert [block.text for block in blocks if isinstance(block, Text)][-1].startswith("Of no cell that was found")
    assert len(blocks) == 4
